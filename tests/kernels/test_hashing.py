"""LSH_PROJECTION."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.kernels.hashing import fingerprint
from tests.cases import SEEDS, array, check, differential, ours
from tests.kernels.one_op import Arg, blank, one_op
from tests.sweep import TYPES, sweep

HASHED = (*TYPES, "int2", "uint4")


def projection(seeds, x, w=None, type="DENSE", output="int32"):
    arguments = [seeds if isinstance(seeds, Arg) else Arg(np.asarray(seeds, np.float32))]
    arguments.append(x if isinstance(x, Arg) else Arg(np.asarray(x)))
    if w is not None:
        arguments.append(w if isinstance(w, Arg) else Arg(np.asarray(w, np.float32)))
    return one_op("LSH_PROJECTION", arguments, [output], type=type)


# ---- worked by hand


@pytest.mark.parametrize(
    "size, value",
    [
        (4, 0x82BFFD898958E540),
        (7, 0xA2E0BFF20DB0A6A1),
        (12, 0x9FD5DF33AEFC3D7D),
        (20, 0x8DD7E7F1BF16A0E9),
        (40, 0x08F45B937B49468C),
        (64, 0xF58504BB53DECC4B),
        (65, 0xC6A3282C3E793DBE),
        (200, 0x074C7FCC26D66FB3),
    ],
)
def test_fingerprint(size, value):
    """Of the bytes 0, 1, 2, ...; values from tf.raw_ops.Fingerprint."""
    assert fingerprint(np.arange(size, dtype=np.uint8)[np.newaxis]).tolist() == [value]


def test_bits_are_the_signs_of_weighted_fingerprints():
    seeds, x, w = np.float32([[0.5, -1, 3]]), np.int32([7, 8]), [1, -2]
    keys = np.array([[list(s.tobytes() + i.tobytes()) for i in x] for s in seeds[0]], np.uint8)
    marks = fingerprint(keys.reshape(6, 8)).reshape(3, 2).tolist()
    signed = [[mark - 2**64 if mark >= 2**63 else mark for mark in row] for row in marks]
    bits = [int(a * w[0] + b * w[1] > 0) for a, b in signed]
    assert ours(*projection(seeds, x, w))[0].tolist() == bits
    number = 4 * bits[0] + 2 * bits[1] + bits[2]
    assert ours(*projection(np.repeat(seeds, 2, axis=0), x, w, "SPARSE"))[0].tolist() == [number, number + 8]


# ---- against the official runtime


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("type", HASHED)
def test_projection(official, type, weighted):
    """Items of 0 to about 100 bytes, which is all branches of the fingerprint."""

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape = (int(rng.integers(1, 6)), *(int(n) for n in rng.integers(rng.random() < 0.9, 7, rng.integers(3))))
        x = Arg(array(data.draw, type, shape), type, constant=type in ("int4", "int2", "uint4"))
        hashes, bits = int(rng.integers(1, 4)), int(rng.integers(rng.random() < 0.9, 33))
        seeds = Arg(rng.normal(size=(hashes, bits)).astype(np.float32), constant=bool(rng.random() < 0.5 and bits))
        w = rng.normal(size=shape[0]) if weighted else None
        check(*projection(seeds, x, w, ("DENSE", "SPARSE")[rng.integers(2)]))

    run()


@pytest.mark.parametrize("method", ["DENSE", "SPARSE"])
def test_long_items(official, method):
    rng = np.random.default_rng(0)
    for size in (15, 16, 31, 47, 60, 61, 124, 300):
        x = rng.integers(0, 256, (3, size)).astype(np.uint8)
        check(*projection(rng.normal(size=(4, 32)), x, rng.normal(size=3), method))


# ---- refusals


@pytest.mark.parametrize(
    "seeds, x, w, type",
    [
        (np.ones((1, 33)), [1], None, "DENSE"),
        (np.ones(3), [1], None, "DENSE"),
        (np.ones((1, 1, 3)), [1], None, "DENSE"),
        (np.ones((1, 3)), np.int32(1), None, "DENSE"),
        (np.ones((1, 3)), np.zeros((0, 2), np.int32), None, "DENSE"),
        (np.ones((1, 3)), [1, 2], [1], "SPARSE"),
        (np.ones((1, 3)), [1, 2], [[1], [1]], "SPARSE"),
        (np.ones((1, 3)), [1, 2], None, "UNKNOWN"),
    ],
)
def test_refused(official, seeds, x, w, type):
    content, arrays = projection(seeds, x, w, type)
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_weights_that_are_named_and_absent(official):
    content, arrays = one_op("LSH_PROJECTION", [blank("float32", (1, 3)), blank("int32", 2), None], ["int32"], type=2)
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_types(official):
    """Seeds and weights of another type are officially taken for float32, bit by bit, and the output for int32."""

    def make(seeds, w, y):
        return projection(blank(seeds, (2, 3), constant=seeds == "int4"), [1, 2], blank(w, 2), output=y)

    numbers = ("float32", "int32", "uint32", "int64")
    known = {(s, w, y): "read as float32, written as int32" for s in numbers for w in numbers for y in numbers[1:]}
    del known["float32", "float32", "int32"]
    assert sweep(make, (numbers, numbers, numbers[1:]), known) == {("float32", "float32", "int32")}
