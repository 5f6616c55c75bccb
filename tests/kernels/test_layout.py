"""RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import array, check, differential, ours, quantization, shapes

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64")
ANY_TYPES = (*TYPES, "bool", "float64", "string")


def unary(op, type, shape, extra=(), version=1, **options):
    """A model of one op whose further inputs are constants."""
    m = Model()
    numbers = {"scale": 0.5, "zero_point": 3 if type == "int8" else 0} if type in ("int8", "uint8", "int16") else {}
    x = m.input(shape, type, **numbers)
    constants = [m.constant(np.asarray(c)) for c in extra]
    y = m.tensor((), type, **numbers)
    m.op(op, [x, *constants], [y], version=version, **options)
    m.output(y)
    return m.content()


# ---- worked by hand


def test_space_to_depth_takes_blocks_row_by_row():
    x = np.arange(16, dtype=np.float32).reshape(1, 4, 4, 1)
    (y,) = ours(unary("SPACE_TO_DEPTH", "float32", x.shape, block_size=2), [x])
    # the first block is rows 0-1, columns 0-1: 0 1 / 4 5
    assert y.shape == (1, 2, 2, 4)
    assert y[0, 0, 0].tolist() == [0, 1, 4, 5]
    assert y[0, 1, 1].tolist() == [10, 11, 14, 15]


def test_space_to_batch_pads_with_the_zero_point():
    x = np.full((1, 1, 1, 1), 7, np.int8)
    content = unary("SPACE_TO_BATCH_ND", "int8", x.shape, (np.int32([2, 2]), np.int32([[0, 1], [0, 1]])))
    (y,) = ours(content, [x])
    assert y.reshape(-1).tolist() == [7, 3, 3, 3]


def test_a_scalar_is_transposed_to_itself():
    """The official runtime loops or gives garbage here."""
    (y,) = ours(unary("TRANSPOSE", "float32", (), (np.zeros(0, np.int32),)), [np.float32(2.5)])
    assert y.shape == () and y == 2.5


# ---- against the official runtime


@pytest.mark.parametrize("type", ANY_TYPES)
def test_reshape(official, type):
    @differential()
    @given(st.data())
    def run(data):
        # the official set_tensor garbles a scalar string
        shape = data.draw(shapes(1 if type == "string" else 0, 4, 4))
        wanted = data.draw(st.permutations([n for n in shape if n != 1] + [1] * data.draw(st.integers(0, 2))))
        if wanted and data.draw(st.booleans()):
            wanted[data.draw(st.integers(0, len(wanted) - 1))] = -1
        x = array(data.draw, type, shape)
        if data.draw(st.booleans()):
            check(unary("RESHAPE", type, shape, (np.array(wanted, np.int32),)), [x])
        else:
            check(unary("RESHAPE", type, shape, new_shape=wanted), [x])

    run()


@pytest.mark.parametrize("type", TYPES)
def test_squeeze_and_expand_dims(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(st.lists(st.sampled_from([1, 1, 2, 3]), min_size=1, max_size=5).map(tuple))
        x = array(data.draw, type, shape)
        ones = [a for a, n in enumerate(shape) if n == 1]
        axes = data.draw(st.lists(st.sampled_from(ones), unique=True, max_size=3)) if ones else []
        axes = [a - len(shape) if data.draw(st.booleans()) else a for a in axes]
        check(unary("SQUEEZE", type, shape, squeeze_dims=axes), [x])
        axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
        check(unary("EXPAND_DIMS", type, shape, (np.array([axis], np.int32),)), [x])

    run()


@pytest.mark.parametrize("type", (*TYPES, "bool"))
def test_transpose(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 6, 4))
        perm = data.draw(st.permutations(range(len(shape))))
        perm = [p - len(shape) if data.draw(st.booleans()) else p for p in perm]
        check(unary("TRANSPOSE", type, shape, (np.array(perm, np.int32),), version=4), [array(data.draw, type, shape)])

    run()


@pytest.mark.parametrize("type", ("float32", "int8", "uint8", "int32", "int64"))
def test_depth_and_space(official, type):
    @differential()
    @given(st.data())
    def run(data):
        block = data.draw(st.integers(1, 3))
        batch, height, width, channels = (data.draw(st.integers(1, 3)) for _ in range(4))
        shape = (batch, height * block, width * block, channels)
        check(unary("SPACE_TO_DEPTH", type, shape, block_size=block), [array(data.draw, type, shape)])
        shape = (batch, height, width, channels * block * block)
        check(unary("DEPTH_TO_SPACE", type, shape, block_size=block), [array(data.draw, type, shape)])

    run()


@pytest.mark.parametrize("type", TYPES)
def test_batch_and_space(official, type):
    @differential()
    @given(st.data())
    def run(data):
        count = data.draw(st.integers(1, 2))
        blocks = [data.draw(st.integers(1, 3)) for _ in range(count)]
        sizes = [data.draw(st.integers(1, 4)) * b for b in blocks]
        pads = []
        for n in sizes:
            before = data.draw(st.integers(0, n - 1))
            pads.append([before, data.draw(st.integers(0, n - 1 - before))])
        unpadded = [n - sum(p) for n, p in zip(sizes, pads, strict=True)]
        rest = [data.draw(st.integers(1, 3))]
        shape = (data.draw(st.integers(1, 2)), *unpadded, *rest)
        extra = (np.array(blocks, np.int32), np.array(pads, np.int32))
        version = 4 if type == "int16" else 3
        check(unary("SPACE_TO_BATCH_ND", type, shape, extra, version=version), [array(data.draw, type, shape)])
        shape = (2 * int(np.prod(blocks)), *(n // b for n, b in zip(sizes, blocks, strict=True)), *rest)
        check(unary("BATCH_TO_SPACE_ND", type, shape, extra, version=version), [array(data.draw, type, shape)])

    run()


def test_the_shape_may_come_while_running(official):
    """RESHAPE with a computed shape is late; what follows it is late too."""

    @differential(50)
    @given(st.data())
    def run(data):
        wanted = np.array(data.draw(st.sampled_from([(2, 6), (12,), (3, 4), (-1, 2), (1, 3, 2, 2)])), np.int32)
        m = Model()
        x = m.input((2, 6), "int8", **data.draw(quantization("int8")))
        shape = m.input(wanted.shape, "int32")
        y, z = m.tensor((), "int8"), m.tensor((), "int8")
        m.op("RESHAPE", [x, shape], [y])
        m.op("EXPAND_DIMS", [y, m.constant(np.array([0], np.int32))], [z])
        m.output(z)
        check(m.content(), [array(data.draw, "int8", (2, 6)), wanted])

    run()


# ---- refusals


@pytest.mark.parametrize(
    "content, shape",
    [
        (lambda s: unary("RESHAPE", "float32", s, new_shape=[5]), (2, 3)),
        (lambda s: unary("RESHAPE", "float32", s, new_shape=[-1, -1]), (2, 3)),
        (lambda s: unary("SQUEEZE", "float32", s, squeeze_dims=[1]), (1, 2)),
        (lambda s: unary("SQUEEZE", "float32", s, squeeze_dims=[4]), (1, 2)),
        (lambda s: unary("EXPAND_DIMS", "float32", s, (np.array([4], np.int32),)), (1, 2)),
        (lambda s: unary("TRANSPOSE", "float32", s, (np.array([0, 2], np.int32),)), (1, 2)),
        (lambda s: unary("SPACE_TO_DEPTH", "float32", s, block_size=0), (1, 2, 2, 1)),
        (lambda s: unary("SPACE_TO_DEPTH", "float32", s, block_size=3), (1, 2, 2, 1)),
        (lambda s: unary("DEPTH_TO_SPACE", "float32", s, block_size=2), (1, 2, 2, 3)),
    ],
)
def test_refused(official, content, shape):
    outcome = check(content(shape), [np.zeros(shape, np.float32)], must_run=False)
    assert outcome == "error at allocate"
