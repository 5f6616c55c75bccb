"""The fast forms of what joins, cuts and rearranges tensors against NumPy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.engine.between import between

pytest.importorskip("numba")
TYPES = ("float32", "int8", "uint8", "int16", "int64")
seeds = st.integers(0, 2**32 - 1)


def shapes(least=1, most=5, largest=20):
    return st.lists(st.integers(1, largest), min_size=least, max_size=most).map(tuple)


def runs_fast(m, op, seed, inputs=None):
    assert between(m.content(), inputs, seed=seed)["numba"] == [op]


def whole(*numbers):
    return np.array(numbers, np.int32)


@given(st.sampled_from(TYPES), shapes(), st.data(), seeds)
def test_concatenation(type, shape, data, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(1, 70), min_size=1, max_size=4))
    m = Model()
    parameters = {"scale": 1.0, "zero_point": 0} if type in ("int8", "uint8") else {}
    inputs = [m.input((*shape[:axis], n, *shape[axis + 1 :]), type, **parameters) for n in lengths]
    y = m.tensor(shape, type, **parameters)
    m.op("CONCATENATION", inputs, [y], axis=axis)
    m.output(y)
    runs_fast(m, "CONCATENATION", seed)


@given(st.sampled_from(TYPES[:4]), shapes(1, 4), st.data(), seeds)
def test_pack_and_unpack(type, shape, data, seed):
    count, axis = data.draw(st.integers(1, 4)), data.draw(st.integers(0, len(shape)))
    m = Model()
    inputs = [m.input(shape, type) for _ in range(count)]
    packed = m.tensor((), type)
    outputs = [m.tensor((), type) for _ in range(count)]
    m.op("PACK", inputs, [packed], values_count=count, axis=axis)
    m.op("UNPACK", [packed], outputs, num=count, axis=axis)
    for y in outputs:
        m.output(y)
    assert between(m.content(), seed=seed)["numba"] == ["PACK", "UNPACK"]


@given(st.sampled_from(TYPES), shapes(), st.data(), seeds)
def test_split(type, shape, data, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    lengths = data.draw(st.lists(st.integers(1, 20), min_size=1, max_size=4))
    m = Model()
    x = m.input((*shape[:axis], sum(lengths), *shape[axis + 1 :]), type)
    outputs = [m.tensor(shape, type) for _ in lengths]
    m.op("SPLIT_V", [x, m.constant(whole(*lengths)), m.constant(whole(axis))], outputs, num_splits=len(lengths))
    for y in outputs:
        m.output(y)
    runs_fast(m, "SPLIT_V", seed)


@given(st.sampled_from(TYPES), shapes(), st.data(), seeds)
def test_strided_slice(type, shape, data, seed):
    strides = [data.draw(st.sampled_from([1, 1, 2, 3, -1, -2])) for _ in shape]
    begins, ends = ([data.draw(st.integers(-n, n)) for n in shape] for _ in range(2))
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op("STRIDED_SLICE", [x, *(m.constant(whole(*numbers)) for numbers in (begins, ends, strides))], [y],
         begin_mask=data.draw(st.integers(0, 31)), end_mask=data.draw(st.integers(0, 31)))  # fmt: skip
    m.output(y)
    runs_fast(m, "STRIDED_SLICE", seed)


@given(st.sampled_from(TYPES), shapes(1, 4, 6), st.data(), seeds)
def test_tile_and_broadcast(type, shape, data, seed):
    times = [data.draw(st.integers(1, 3)) for _ in shape]
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op("TILE", [x, m.constant(whole(*times))], [y])
    m.output(y)
    runs_fast(m, "TILE", seed)
    wide = [data.draw(st.integers(1, 20)) if data.draw(st.booleans()) else 1 for _ in shape]
    m = Model()
    x, y = m.input([n if k == 1 else 1 for n, k in zip(shape, wide)], type), m.tensor(shape, type)
    into = [data.draw(st.integers(1, 3)), *(n if k == 1 else k for n, k in zip(shape, wide))]
    m.op("BROADCAST_TO", [x, m.constant(whole(*into))], [y], version=2)
    m.output(y)
    runs_fast(m, "BROADCAST_TO", seed)


@given(st.sampled_from(TYPES), shapes(1, 5, 24), st.data(), seeds)
def test_transpose(type, shape, data, seed):
    perm = data.draw(st.permutations(range(len(shape))))
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op("TRANSPOSE", [x, m.constant(whole(*perm))], [y])
    m.output(y)
    runs_fast(m, "TRANSPOSE", seed)


@pytest.mark.parametrize("type", TYPES)
@pytest.mark.parametrize("shape, perm", [((70, 100), (1, 0)), ((2, 33, 3), (0, 2, 1)), ((3, 40, 50, 17), (0, 3, 1, 2))])
def test_large_transpose(type, shape, perm):
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op("TRANSPOSE", [x, m.constant(whole(*perm))], [y])
    m.output(y)
    runs_fast(m, "TRANSPOSE", 0)


@given(st.sampled_from(["float32", "int8"]), st.sampled_from(["SPACE_TO_DEPTH", "DEPTH_TO_SPACE"]), st.data(), seeds)
def test_blocks(type, op, data, seed):
    batch, height, width, channels, block = (data.draw(st.integers(1, n)) for n in (2, 6, 6, 20, 3))
    shape = (batch, height, width, channels * block * block)
    if op == "SPACE_TO_DEPTH":
        shape = (batch, height * block, width * block, channels)
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op(op, [x], [y], block_size=block)
    m.output(y)
    runs_fast(m, op, seed)


@given(st.sampled_from(TYPES), shapes(), st.sampled_from([0, 7, -3]), st.data(), seeds)
def test_pad(type, shape, value, data, seed):
    pads = [[data.draw(st.integers(0, 3)) for _ in range(2)] if data.draw(st.booleans()) else [0, 0] for _ in shape]
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    value = m.constant(np.array([abs(value)]).astype(type))
    m.op("PADV2", [x, m.constant(np.array(pads, np.int32)), value], [y])
    m.output(y)
    runs_fast(m, "PADV2", seed)


@given(st.sampled_from(TYPES), shapes(1, 3), st.sampled_from(["REFLECT", "SYMMETRIC"]), st.data(), seeds)
def test_mirror_pad(type, shape, mode, data, seed):
    most = [n - 1 if mode == "REFLECT" else n for n in shape]
    pads = [[data.draw(st.integers(0, n)) for _ in range(2)] for n in most]
    m = Model()
    parameters = {"scale": 1.0, "zero_point": 0} if type in ("int8", "uint8", "int16") else {}
    x, y = m.input(shape, type, **parameters), m.tensor(shape, type, **parameters)
    m.op("MIRROR_PAD", [x, m.constant(np.array(pads, np.int32))], [y], mode=mode)
    m.output(y)
    runs_fast(m, "MIRROR_PAD", seed)


@given(st.sampled_from(TYPES), shapes(1, 4), st.sampled_from(["int32", "int64"]), st.data(), seeds)
def test_gather(type, shape, index_type, data, seed):
    axis = data.draw(st.integers(0, len(shape) - 1))
    batch_dims = data.draw(st.integers(0, axis))
    picked = (*shape[:batch_dims], *data.draw(shapes(0, 2, 9)))
    indices = np.random.default_rng(seed).integers(0, shape[axis], picked).astype(index_type)
    m = Model()
    x, i, y = m.input(shape, type), m.input(picked, index_type), m.tensor(shape, type)
    m.op("GATHER", [x, i], [y], axis=axis, batch_dims=batch_dims)
    m.output(y)
    values = np.random.default_rng(seed).integers(0, 100, shape).astype(type)
    runs_fast(m, "GATHER", seed, [values, indices])


@given(st.sampled_from(TYPES[:4]), st.booleans(), st.data(), seeds)
def test_nearest_neighbour(type, corners, data, seed):
    shape = [data.draw(st.integers(1, n)) for n in (2, 9, 9, 20)]
    size = [data.draw(st.integers(1, 20)) for _ in range(2)]
    m = Model()
    x, y = m.input(shape, type), m.tensor(shape, type)
    m.op("RESIZE_NEAREST_NEIGHBOR", [x, m.constant(whole(*size))], [y], align_corners=corners)
    m.output(y)
    runs_fast(m, "RESIZE_NEAREST_NEIGHBOR", seed)
