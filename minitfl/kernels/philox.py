"""Random numbers out of counters: Philox 4x32 with 10 rounds, Threefry 2x32 with 20.

Each turns a counter into as many bits, under a key; equal counters give equal bits, so any part of a stream can be
computed alone. Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011.
"""

from __future__ import annotations

import numpy as np

MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
GROWTH = 0x9E3779B9, 0xBB67AE85  # of the keys, from round to round
ROTATIONS = (13, 15, 26, 6), (17, 29, 16, 24)
PARITY = 0x1BD11BDA


def words(*numbers):
    """64-bit numbers as 32-bit ones, the lower half first."""
    return [half for number in numbers for half in (number & 0xFFFFFFFF, number >> 32 & 0xFFFFFFFF)]


def counters(start, count, *rest):
    """uint32 (count, 2 + len(rest)): start, start + 1, ... of 64 bits each, followed by the words `rest`."""
    made = np.empty((count, 2 + len(rest)), np.uint32)
    low = np.uint64(start % 2**64) + np.arange(count, dtype=np.uint64)
    made[:, 0] = low & np.uint64(0xFFFFFFFF)
    made[:, 1] = low >> np.uint64(32)
    made[:, 2:] = np.array(rest, np.uint32)
    return made


def philox(counter, key):
    """The bits of each counter (n, 4) under a key of two words: uint32 (n, 4)."""
    a, b, c, d = counter.T
    for turn in range(10):
        first, second = MULTIPLIERS[0] * a.astype(np.uint64), MULTIPLIERS[1] * c.astype(np.uint64)
        keys = [np.uint32((k + turn * growth) % 2**32) for k, growth in zip(key, GROWTH, strict=True)]
        a, b = _high(second) ^ b ^ keys[0], second.astype(np.uint32)
        c, d = _high(first) ^ d ^ keys[1], first.astype(np.uint32)
    return np.stack([a, b, c, d], axis=1)


def threefry(counter, key):
    """The bits of each counter (n, 2) under a key of two words: uint32 (n, 2)."""
    keys = [np.uint32(k) for k in (*key, key[0] ^ key[1] ^ PARITY)]
    a, b = counter[:, 0] + keys[0], counter[:, 1] + keys[1]
    for turn in range(5):
        for rotation in ROTATIONS[turn % 2]:
            a += b
            b = (b << np.uint32(rotation) | b >> np.uint32(32 - rotation)) ^ a
        a += keys[(turn + 1) % 3]
        b += keys[(turn + 2) % 3]
        b += np.uint32(turn + 1)
    return np.stack([a, b], axis=1)


def _high(product):
    return (product >> np.uint64(32)).astype(np.uint32)
