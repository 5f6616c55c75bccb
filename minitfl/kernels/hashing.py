"""LSH_PROJECTION: each bit of y tells on which side of a random plane the input lies (locality-sensitive hashing).

    score = sum over i of w[i] * fingerprint(seed and the bytes of x[i]), taken as a signed number; bit = score > 0

seeds (hashes, bits) float32; x (items, ...) of any type; w (items,) float32, or absent for 1. y int32:

    dense    (hashes * bits,) the bits, 0 or 1
    sparse   (hashes,) the bits of each hash as one number, the first the highest, + hash * 2**bits

The fingerprint is FarmHash's, of 64 bits (Pike and Alakuijala, github.com/google/farmhash, namespace farmhashna), here
of many keys of one length at a time.
"""

from __future__ import annotations

import numpy as np

from minitfl.graph import BITS
from minitfl.op import Call, Kernel, Site, op

K0, K1, K2 = np.uint64(0xC3A5C85C97CB3127), np.uint64(0xB492B66FBE98F273), np.uint64(0x9AE16A3B2F90404F)
DENSE, SPARSE = 2, 1  # of LSHProjectionType


@Kernel
def project_dense(seeds, x, type, w, y):
    """y = 1 where the score is above 0, else 0"""
    y[...] = _sides(seeds, x, type, w).reshape(-1)


@Kernel
def project_sparse(seeds, x, type, w, y):
    """y[hash] = the bits of its scores as one number + hash * 2**bits, modulo 2**32."""
    hashes, bits = seeds.shape
    values = np.left_shift(np.int64(1), np.arange(bits)[::-1])
    y[...] = _sides(seeds, x, type, w).astype(np.int64) @ values + (np.arange(hashes) << bits % 32)


def _sides(seeds, x, type, w):
    """Is the score above 0? (hashes, bits). The sum runs in the official order, as a rounding may turn it over."""
    items = _stored(x, type)
    keys = np.empty((seeds.size, 4 + items.shape[1]), np.uint8)
    keys[:, :4] = np.ascontiguousarray(seeds, "<f4").reshape(-1, 1).view(np.uint8)
    score = np.zeros(seeds.size)
    for i, item in enumerate(items):
        keys[:, 4:] = item
        value = fingerprint(keys).view(np.int64).astype(np.float64)
        score += value if w is None else value * np.float64(w[i])
    return (score > 0).reshape(seeds.shape)


def _stored(x, type):
    """The bytes of each item as a model's buffer holds them (items, nbytes).

    Small integers are packed; strings are preceded by their table of offsets, and then all is cut into equal parts.
    """
    if type == "string":
        texts = x.reshape(-1).tolist()
        ends = np.cumsum([4 * (len(texts) + 2), *map(len, texts)])
        data = np.frombuffer(np.array([len(texts), *ends], "<i4").tobytes() + b"".join(texts), np.uint8)
    elif type in BITS:
        per_byte = 8 // BITS[type]
        parts = np.zeros(-(-x.size // per_byte) * per_byte, np.uint8)
        parts[: x.size] = x.reshape(-1).view(np.uint8) & (2 ** BITS[type] - 1)
        data = parts.reshape(-1, per_byte) @ (1 << BITS[type] * np.arange(per_byte)).astype(np.uint8)
    else:
        data = np.ascontiguousarray(x).reshape(-1).view(np.uint8)
    each = data.size // len(x)
    return data[: each * len(x)].reshape(len(x), each)


# ---- the fingerprint


def fingerprint(keys):
    """uint64 (n,) of n keys of at least 4 bytes each, uint8 (n, nbytes)."""
    size = keys.shape[1]
    if size > 64:
        return _long(keys)
    factor = K2 + np.uint64(2 * size)
    if size < 8:
        first, last = _word(keys, 0, 4), _word(keys, size - 4, 4)
        return _join(np.uint64(size) + (first << np.uint64(3)), last, factor)
    if size <= 16:
        first, last = _word(keys, 0) + K2, _word(keys, size - 8)
        return _join(_turn(last, 37) * factor + first, (_turn(first, 25) + last) * factor, factor)
    a, b = _word(keys, 0) * (K1 if size <= 32 else K2), _word(keys, 8)
    outer = _mix(a, b, _word(keys, size - 8) * factor, _word(keys, size - 16) * K2, b + K2, factor)
    if size <= 32:
        return outer[1]
    c, d = _word(keys, 16) * factor, _word(keys, 24)
    e = (outer[0] + _word(keys, size - 32)) * factor
    return _mix(c, d, e, (outer[1] + _word(keys, size - 24)) * factor, d + a, factor)[1]


def _long(keys):
    """Blocks of 64 bytes, one after the other; the last 64 bytes, which overlap with them, are stirred in apart."""
    count, size = keys.shape
    x = np.full(count, 81, np.uint64) * K2 + _word(keys, 0)
    y = np.full(count, 81, np.uint64) * K1 + np.uint64(113)
    z = _fold(y * K2 + np.uint64(113)) * K2
    v = w = (np.zeros(count, np.uint64),) * 2
    for start in range(0, size - 1 & -64, 64):
        x, y, z, v, w = _stir(keys, start, x, y, z, v, w, K1, np.uint64(1))
    factor = K1 + ((z & np.uint64(0xFF)) << np.uint64(1))
    w0 = w[0] + np.uint64(size - 1 & 63)
    v0 = v[0] + w0
    x, y, z, v, w = _stir(keys, size - 64, x, y, z, (v0, v[1]), (w0 + v0, w[1]), factor, np.uint64(9))
    return _join(_join(v[0], w[0], factor) + _fold(y) * K0 + z, _join(v[1], w[1], factor) + x, factor)


def _stir(keys, start, x, y, z, v, w, factor, times):
    x = _turn(x + y + v[0] + _word(keys, start + 8), 37) * factor ^ w[1] * times
    y = _turn(y + v[1] + _word(keys, start + 48), 42) * factor + v[0] * times + _word(keys, start + 40)
    z = _turn(z + w[0], 33) * factor
    v = _half(keys, start, v[1] * factor, x + w[0])
    w = _half(keys, start + 32, z + w[1], y + _word(keys, start + 16))
    return z, y, x, v, w


def _half(keys, start, a, b):
    """32 bytes stirred into two numbers."""
    first, second, third, fourth = (_word(keys, start + n) for n in (0, 8, 16, 24))
    a = a + first
    b = _turn(b + a + fourth, 21)
    total = a + second + third
    return total + fourth, b + _turn(total, 44) + a


def _mix(a, b, c, d, other, factor):
    """(sum of the four, that joined with what `other` gives)."""
    total = _turn(a + b, 43) + _turn(c, 30) + d
    return total, _join(total, a + _turn(other, 18) + c, factor)


def _join(u, v, factor):
    """Two numbers into one."""
    a = _fold((u ^ v) * factor)
    return _fold((v ^ a) * factor) * factor


def _fold(x):
    return x ^ x >> np.uint64(47)


def _turn(x, places):
    """Rotated to the right."""
    return x >> np.uint64(places) | x << np.uint64(64 - places)


def _word(keys, start, size=8):
    """The number that `size` bytes of each key make, the first the lowest."""
    return np.ascontiguousarray(keys[:, start : start + size]).view(f"<u{size}")[:, 0].astype(np.uint64)


# ---- preparations


@op("LSH_PROJECTION")
def lsh_projection(site: Site) -> Call:
    site.arity((2, 3), 1)
    seeds, x, y = site.input(0), site.input(1), site.output(0)
    w = site.input(2) if len(site.inputs) == 3 else None
    site.expect(seeds.rank == 2 and seeds.known_shape[1] <= 32, f"seeds {seeds.shape}; of bits there are at most 32")
    site.expect(x.rank >= 1 and x.known_shape[0] >= 1, f"an input {x.shape} has no items")
    site.expect(w is None or w.shape == x.known_shape[:1], "as many weights as items are expected")
    method = site.options.type
    site.expect(method in (DENSE, SPARSE), f"the type of projection is {method}")
    types = (seeds.type, "float32" if w is None else w.type, y.type)
    if types != ("float32", "float32", "int32"):
        site.unsupported(f"seeds, weights and output are {types}")
    kernel, size = (project_dense, seeds.size) if method == DENSE else (project_sparse, seeds.known_shape[0])
    y = y.reshaped(size)
    nbytes = x.nbytes // x.known_shape[0]
    workspace = x.nbytes * 2 + seeds.size * (nbytes + 400)
    return Call(kernel, (seeds, x, x.type, w, y), (y,), workspace=workspace)
