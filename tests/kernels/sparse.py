"""Sparse constants for tests: from a dense array to what a file stores of it, by the definition."""

from itertools import product

import numpy as np


def encode(dense, order, formats, blocks=()):
    """(values, the file's sparsity parameters) of an array.

    order: the traversal order; formats: "d" (dense) or "s" (compressed) for each level of it; blocks: (dimension, size)
    for each blocked dimension.
    """
    rank = dense.ndim
    sizes = list(dense.shape) + [size for _, size in blocks]
    for dimension, size in blocks:
        sizes[dimension] //= size
    steps = dict(blocks)
    block_of = {dimension: rank + k for k, (dimension, _) in enumerate(blocks)}

    def at(place):  # place: {dimension: index}
        return tuple(place[d] * steps.get(d, 1) + place.get(block_of.get(d), 0) for d in range(rank))

    expanded = np.empty([sizes[d] for d in order], dense.dtype)
    for place in product(*(range(sizes[d]) for d in order)):
        expanded[place] = dense[at(dict(zip(order, place)))]
    levels, prefixes = [], [()]
    for format, d in zip(formats, order, strict=True):
        kept = [[i for i in range(sizes[d]) if format == "d" or np.any(expanded[(*p, i)])] for p in prefixes]
        prefixes = [(*p, i) for p, some in zip(prefixes, kept) for i in some]
        if format == "d":
            levels.append({"format": 0, "dense_size": sizes[d]})
        else:
            levels.append(_compressed(np.cumsum([0, *map(len, kept)]), [i for some in kept for i in some]))
    tree = {"traversal_order": list(order), "dim_metadata": levels}
    if blocks:
        tree["block_map"] = [d for d, _ in blocks]
    return np.array([expanded[p] for p in prefixes], dense.dtype), tree


def _compressed(segments, indices):
    """A compressed level. Its numbers are stored in 8, 16 or 32 bits, which vary here."""
    level = {"format": 1}
    for name, numbers in (("array_segments", segments), ("array_indices", indices)):
        kind = 1 + len(numbers) % (3 if max(numbers, default=0) < 256 else 2)
        stored = np.array(numbers, ("int32", "uint16", "uint8")[kind - 1])
        level |= {f"{name}_type": kind, name: {"values": stored.tobytes() if kind == 3 else stored}}
    return level


def constant(m, dense, order, formats, blocks=(), type=None, **fields):
    """A sparse constant of a Model that stands for `dense`."""
    values, tree = encode(dense, order, formats, blocks)
    return m.constant(values, type, shape=dense.shape, sparsity=tree, **fields)


def draw_format(rng, shape, most_blocks=2):
    """(order, formats, blocks) that fit a shape, blocks last and dense."""
    rank = len(shape)
    divisible = [d for d in range(rank) if shape[d] % 2 == 0 and shape[d] > 0]
    chosen = sorted(rng.permutation(divisible)[: rng.integers(0, most_blocks + 1)]) if divisible else []
    blocks = tuple((int(d), int(rng.choice([b for b in (2, 4, 8, 16) if shape[d] % b == 0]))) for d in chosen)
    inner = rng.permutation(len(blocks)) + rank
    order = [int(d) for d in [*rng.permutation(rank), *inner]]
    formats = "".join(rng.choice(["d", "s"], rank)) + "d" * len(blocks)
    return order, formats, blocks


def draw_sparse(rng, type, shape):
    """A dense array, mostly of zeros."""
    if type.startswith("float"):
        values = (rng.normal(size=shape) * 10).astype(type)
    else:
        values = rng.integers(-127, 128, shape).astype(type)
    values[rng.random(shape) < rng.choice([0.3, 0.8, 1.0], p=[0.4, 0.5, 0.1])] = 0
    return values
