"""Random numbers: the official ones where the model gives seeds, else others in each interpreter.

    RANDOM_UNIFORM               y in [0, 1), of 23 random bits
    RANDOM_STANDARD_NORMAL       y with mean 0 and variance 1 (Box and Muller, Ann. Math. Stat. 29, 1958)
    MULTINOMIAL                  y[b, j] = k with probability exp(logits[b, k]) / sum of them
    STABLEHLO_RNG_BIT_GENERATOR  random bits, and the state for the next time

The first three keep their place in a stream of Philox numbers from run to run: seed is its key, seed2 the upper half of
its counter. They start it anew where the official runtime prepares them anew (see op.Memory).
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.kernels.broadcast import BLOCK, refused, wrong
from minitfl.kernels.fixedpoint import wrap_int32
from minitfl.kernels.philox import counters, philox, threefry, words
from minitfl.op import MEMORY, Call, Kernel, Site, op

LEAST = np.float32(1e-7)  # what stands for a uniform number near 0, which has no logarithm
METHODS = {0: ("philox", (2, 3)), 1: ("philox", (2, 3)), 2: ("threefry", (2,))}  # by RngAlgorithm; sizes of the state
SKIPPED = 2 * 256  # counters that MULTINOMIAL goes past for each sample, whatever it uses


@Kernel
def random_uniform(memory, seeds, y):
    """y = uniform numbers in [0, 1), of 23 bits each"""
    for part, bits in _parts(memory, seeds, y):
        part[...] = _unit_float32(bits)[: part.size]


@Kernel
def random_normal(memory, seeds, y):
    """y = sqrt(-2 * log(u)) * (sin, cos)(2 * pi * v): two uniform numbers u, v make two normal ones."""
    for part, bits in _parts(memory, seeds, y):
        first, second = _unit_float32(bits).reshape(-1, 2).T
        radius = np.sqrt(np.float32(-2) * np.log(np.maximum(first, LEAST)))
        angle = (2 * math.pi * second.astype(np.float64)).astype(np.float32)
        pairs = np.stack([np.sin(angle) * radius, np.cos(angle) * radius], axis=1)
        part[...] = pairs.reshape(-1)[: part.size]


@Kernel
def multinomial(memory, seeds, logits, y):
    """y[b, j] = k with probability exp(logits[b, k]) / sum of them.

    Infinite logits, and those that are no numbers, count as never.
    """
    batch, samples = y.shape
    key, upper, start = _stream(memory, seeds, batch * ((samples + 3) // 4 * 4) * SKIPPED)
    finite = np.isfinite(logits)
    most = np.where(finite, logits, np.finfo(np.float32).min).max(axis=1, keepdims=True)
    odds = np.where(finite, np.exp(logits.astype(np.float64) - most), 0).cumsum(axis=1)
    flat = y.reshape(-1)
    for first in range(0, flat.size, BLOCK):
        part = flat[first : first + BLOCK]
        bits = philox(counters(start + first // 2, (part.size + 1) // 2, *upper), key).reshape(-1, 2)[: part.size]
        row = np.arange(first, first + part.size) // samples
        for n in np.unique(row):
            here = row == n
            part[here] = np.searchsorted(odds[n], _unit_float64(bits[here]) * odds[n, -1], side="right")


@Kernel
def random_bits(method, state, next_state, y):
    """y = random bits, next_state = the state with its counter moved past them.

    method: "philox" or "threefry". state (2 or 3,) uint64: key, counter, and for three the counter's upper half.
    """
    key, start, *upper = (int(n) for n in state)
    rest = words(upper[0] if upper else key) if method == "philox" else []
    width = 2 + len(rest)
    flat = y.reshape(-1).view(np.uint32)
    for n in range(0, flat.size, BLOCK):
        part = flat[n : n + BLOCK]
        counter = counters(start + n // width, -(-part.size // width), *rest)
        bits = philox(counter, words(key)) if method == "philox" else threefry(counter, words(key))
        part[...] = bits.reshape(-1)[: part.size]
    next_state[...] = state
    next_state[1] = (start + -(-flat.size // width)) % 2**64


def _parts(memory, seeds, y):
    """(part of y, at least as many random bits)."""
    key, upper, start = _stream(memory, seeds, -(-y.size // 4))
    flat = y.reshape(-1)
    for n in range(0, flat.size, BLOCK):
        part = flat[n : n + BLOCK]
        yield part, philox(counters(start + n // 4, -(-part.size // 4), *upper), key).reshape(-1)


def _stream(memory, seeds, count):
    """(key, upper words of the counter, where to start), and the stream goes on by `count`."""
    if not memory:
        chosen = seeds if any(seeds) else np.random.SeedSequence().generate_state(2, np.uint64).tolist()
        memory.update(seeds=chosen, place=0)
    key, upper = words(memory["seeds"][0]), words(memory["seeds"][1])
    start = memory["place"]
    memory["place"] += count
    return key, upper, start


def _unit_float32(bits):
    """[0, 1) of the lower 23 bits."""
    return (bits & np.uint32(0x7FFFFF) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def _unit_float64(bits):
    """[0, 1) of 52 bits: the lower 20 of the first word (n, 2), and the second."""
    return ((bits[:, 0] & np.uint32(0xFFFFF)).astype(np.float64) * 2.0**32 + bits[:, 1]) * 2.0**-52


# ---- preparations


@op("RANDOM_UNIFORM", pure=False)
def random_uniform_(site: Site) -> Call:
    return _random(site, random_uniform)


@op("RANDOM_STANDARD_NORMAL", pure=False)
def random_standard_normal(site: Site) -> Call:
    return _random(site, random_normal)


def _random(site: Site, kernel: Kernel) -> Call:
    site.arity(1, 1)
    shape = site.input(0)
    site.expect(shape.type == "int32" and shape.rank == 1, f"the shape is {shape.type} {shape.shape}")
    sizes = tuple(int(n) for n in site.value(shape))
    site.expect(all(n >= 0 for n in sizes), f"the shape {sizes} is negative")
    y = site.output(0).reshaped(sizes)
    if y.type != "float32":
        return refused(y, f"Unsupported output datatype for {site.op}: {y.type}")
    return Call(kernel, (MEMORY, _seeds(site), y), (y,), workspace=min(y.size + 4, BLOCK) * 64)


def _seeds(site: Site) -> tuple[int, ...]:
    """The official runtime keeps the lower 32 bits of a seed, as a signed number."""
    return tuple(int(wrap_int32(n)) % 2**64 for n in (site.options.seed, site.options.seed2))


@op("MULTINOMIAL", pure=False)
def multinomial_(site: Site) -> Call:
    site.arity(2, 1)
    logits, samples = site.input(0), site.input(1)
    site.expect(logits.type == "float32", f"the logits are {logits.type}")
    site.expect(samples.type == "int32", f"the number of samples is {samples.type}")
    count = int(site.value(samples).reshape(-1)[0]) if samples.size else 0
    y = site.output(0).reshaped(0, 0)
    if logits.rank != 2:
        return wrong(y, f"the logits have {logits.rank} axes, not 2")
    if not logits.known_shape[1]:
        return wrong(y, "there are no classes")
    if samples.rank:
        return wrong(y, f"the number of samples has {samples.rank} axes")
    if count < 0 and logits.data is None:
        return wrong(y, f"{count} samples")
    y = y.reshaped(logits.known_shape[0], count)
    if y.type not in ("int32", "int64"):
        return refused(y, f"Unsupported output datatype for Multinomial op: {y.type}")
    workspace = logits.size * 24 + min(y.size + 4, BLOCK) * 64
    return Call(multinomial, (MEMORY, _seeds(site), logits, y), (y,), workspace=workspace)


@op("STABLEHLO_RNG_BIT_GENERATOR")
def rng_bit_generator(site: Site) -> Call:
    site.arity(1, 2)
    state, next_state, y = site.input(0), site.output(0), site.output(1)
    site.expect(state.type == "uint64" and state.rank == 1, f"the state is {state.type} {state.shape}")
    alike = next_state.type == "uint64" and next_state.shape == state.shape
    site.expect(alike, f"the next state is {next_state.type} {next_state.shape}")
    site.expect(y.type in ("int32", "int64", "uint32", "uint64"), f"random bits as {y.type}")
    y = y.reshaped(y.known_shape)
    method, sizes = METHODS.get(site.options.algorithm, ("none", ()))
    if state.size not in sizes:
        message = f"algorithm {site.options.algorithm} with a state of {state.size} numbers"
        return wrong(y, message, next_state)
    return Call(random_bits, (method, state, next_state, y), (next_state, y), workspace=BLOCK * 24)
