"""REAL, IMAG, COMPLEX_ABS: real part, imaginary part and absolute value of complex numbers.

complex64 gives float32, complex128 gives float64.
"""

from __future__ import annotations

import numpy as np

from minitfl.op import Call, Kernel, Site, op

PARTS = {"complex64": "float32", "complex128": "float64"}


@Kernel
def real_part(x, y):
    """y = the real part of x"""
    np.copyto(y, x.real)


@Kernel
def imaginary_part(x, y):
    """y = the imaginary part of x"""
    np.copyto(y, x.imag)


@Kernel
def modulus(x, y):
    """y = sqrt(real**2 + imaginary**2); infinite where a part is."""
    np.hypot(x.real, x.imag, out=y)  # np.abs of complex numbers is off by 2 in the last place


def _of_complex(site: Site, kernel: Kernel) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    if x.type not in PARTS:
        site.unsupported(f"type {x.type}")
    site.expect(y.type == PARTS[x.type], f"output of type {y.type}, {PARTS[x.type]} is expected")
    y = y.reshaped(x.known_shape)
    return Call(kernel, (x, y), (y,))


@op("REAL")
def real(site: Site) -> Call:
    return _of_complex(site, real_part)


@op("IMAG")
def imag(site: Site) -> Call:
    return _of_complex(site, imaginary_part)


@op("COMPLEX_ABS")
def complex_abs(site: Site) -> Call:
    return _of_complex(site, modulus)
