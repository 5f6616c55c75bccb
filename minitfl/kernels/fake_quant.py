"""FAKE_QUANT and NumericVerify: what quantization would do to real numbers, or has done. y is float32.

    FAKE_QUANT       x float32                       y = x as it would come back from `num_bits` bits
    NumericVerify    x uint8 int8 int16 float16,     y = dequantized x - reference
                     reference float32

FAKE_QUANT: the steps are scale = (max - min) / (2**num_bits - 1), the range is moved so that 0 is one of them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import blocks, refused, workspace
from minitfl.kernels.convert import along_axis, dequantize
from minitfl.kernels.custom_options import read_options
from minitfl.kernels.fixedpoint import round_away
from minitfl.op import Call, Kernel, Site, op


@Kernel
def fake_quantize(x, low, high, scale, y):
    """y = low + scale * round((x - low) / scale), x within low..high; NaN becomes low."""
    inverse = np.float32(1) / scale
    for y, x in blocks(y, x):
        steps = np.fmin(np.fmax(x, low), high) - low
        y[...] = round_away(steps * inverse) * scale + low


@Kernel
def difference(x, reference, scale, zero, most, y):
    """y = scale * (x - zero) - reference, of which none may exceed `most`. scale, zero broadcast over x."""
    wide = np.broadcast_to(scale, y.shape), np.broadcast_to(zero, y.shape)
    for y, x, reference, scale, zero in blocks(y, x, reference.reshape(y.shape), *wide):
        dequantize.numpy(x, scale, zero, y)
        np.subtract(y, reference, out=y)
        wrong = np.abs(y) > most
        if wrong.any():
            place = np.unravel_index(np.argmax(wrong), wrong.shape)
            raise ModelError(f"Mismatch: {x[place]} stands for {reference[place]}, off by {y[place]}, more than {most}")


# ---- preparations


@op("FAKE_QUANT", max_version=2)
def fake_quant(site: Site) -> Call:
    site.arity(1, 1)
    x, options = site.input(0), site.options
    if options.narrow_range:
        site.unsupported("narrow_range is meant for weights")
    if x.type != "float32":
        site.unsupported(f"type {x.type}")
    bits = options.num_bits
    site.expect(0 <= bits <= 31, f"num_bits is {bits}")
    y = replace(site.output(0), type="float32").reshaped(x.known_shape)
    low, high, scale = _nudged(np.float32(options.min), np.float32(options.max), np.float32((1 << bits) - 1))
    return Call(fake_quantize, (x, low, high, scale, y), (y,), workspace=workspace(y, nbytes=4))


def _nudged(low, high, steps):
    """The range low..high moved so that 0 is one of its steps, and the width of a step; in float32."""
    with np.errstate(all="ignore"):
        scale = (high - low) / steps
        zero = -low / scale
        zero = np.float32(0) if not zero > 0 else round_away(min(zero, steps))
        zero = np.float32(int(zero) & 0xFFFF)  # officially a 16-bit number
        return -zero * scale, (steps - zero) * scale, scale


@op("NumericVerify")
def numeric_verify(site: Site) -> Call:
    site.arity(2, 1)
    x, reference = site.input(0), site.input(1)
    if x.type not in ("uint8", "int8", "int16", "float16"):
        site.unsupported(f"type {x.type}")
    site.expect(reference.type == "float32", f"reference of type {reference.type}")
    site.expect(x.size == reference.size, f"shapes {x.shape} and {reference.shape}")
    y = replace(site.output(0), type="float32").reshaped(x.known_shape)
    if x.type in ("int16", "float16") and x.quantization is not None and not x.quantization.per_tensor:
        return refused(y, f"NumericVerify of type {x.type} with a scale for each channel")
    scale, zero = (np.float32(1), np.int64(0)) if x.type == "float16" else along_axis(site, x)
    options = read_options(site, floats=["tolerance"], flags=["log_if_failed"])
    tolerance = options["tolerance"]  # in steps
    most = tolerance * np.float32(x.numbers[0]) if options["log_if_failed"] and tolerance >= 0.1 else np.inf
    return Call(difference, (x, reference, scale, zero, most, y), (y,), workspace=workspace(y, arrays=2))
