"""RESHAPE, SQUEEZE, EXPAND_DIMS, TRANSPOSE, SPACE_TO_DEPTH, DEPTH_TO_SPACE, SPACE_TO_BATCH_ND, BATCH_TO_SPACE_ND."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.layout import BLOCKS, MOVED
from tests.cases import array, check, differential, ours, quantization
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, sample, several, sides
from tests.sweep import TYPES, sweep

TRANSPOSED = sorted(MOVED | {"int4", "uint4"})
ANY_TYPES = (*TRANSPOSED, "complex128", "string")


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


def numbers(rng, type):
    """Quantization for the types that may have it, for half of the cases."""
    if type not in ("int8", "uint8", "int16") or rng.random() < 0.5:
        return {}
    return {"scale": 0.5, "zero_point": 0 if type == "int16" else int(rng.integers(1, 100))}


@pytest.mark.parametrize("type", ANY_TYPES)
def test_another_shape(official, type):
    """RESHAPE by an input and by an option, SQUEEZE, EXPAND_DIMS by an axis of either type."""

    def case(rng):
        # the official set_tensor garbles a scalar string
        shape = sides(rng, 1 if type == "string" else 0, 5, 3, least=0)
        shape = tuple(n if rng.random() < 0.7 else 1 for n in shape)
        q = numbers(rng, type)
        y = [(type, q)]
        wanted = rng.permutation([n for n in shape if n != 1] + [1] * int(rng.integers(3))).astype(np.int32)
        if wanted.size and 0 not in wanted and rng.integers(2):
            wanted[rng.integers(wanted.size)] = -1
        ones = [axis for axis, n in enumerate(shape) if n == 1]
        squeezed = [int(axis) - len(shape) * int(rng.integers(2)) for axis in rng.permutation(ones)[: rng.integers(4)]]
        at = rng.integers(-len(shape) - 1, len(shape) + 1, 2)

        def x():
            return maybe(rng, contents(rng, type, shape), type, 0.2, **q)

        check(
            *several(
                ("RESHAPE", [x(), maybe(rng, wanted)], y, {}),
                ("RESHAPE", [x()], y, {"new_shape": [0, 1] if wanted.tolist() == [0] else wanted.tolist()}),
                ("SQUEEZE", [x()], y, {"squeeze_dims": squeezed}),
                ("EXPAND_DIMS", [x(), maybe(rng, at[0].astype(np.int32))], y, {}),
                ("EXPAND_DIMS", [x(), maybe(rng, at[1:].astype(np.int64))], y, {}),
            )
        )

    each_case(case)


@pytest.mark.parametrize("type", TRANSPOSED)
def test_transpose(official, type):
    def case(rng):
        rank = int(rng.integers(1, 9))
        shape = sides(rng, rank, rank, 5 if rank < 5 else 3, least=0)
        perm = rng.permutation(rank).astype(np.int32)
        perm -= rank * rng.integers(0, 2, rank, dtype=np.int32)
        x = maybe(rng, contents(rng, type, shape), type, 0.2)
        check(*one_op("TRANSPOSE", [x, maybe(rng, perm)], [type], version=6))

    each_case(case)


@pytest.mark.parametrize("type", BLOCKS)
def test_depth_and_space(official, type):
    def case(rng):
        block = int(rng.integers(1, 4))
        batch, height, width, channels = sides(rng, 4, 4, 3, least=0)
        wide, deep = (batch, height * block, width * block, channels), (batch, height, width, channels * block * block)
        check(
            *several(
                ("SPACE_TO_DEPTH", [Arg(contents(rng, type, wide))], [type], {"block_size": block}),
                ("DEPTH_TO_SPACE", [Arg(contents(rng, type, deep))], [type], {"block_size": block}),
            )
        )

    each_case(case)


@pytest.mark.parametrize("type", sorted(MOVED))
def test_batch_and_space(official, type):
    def case(rng):
        count = int(rng.integers(1, 3))
        blocks = rng.integers(1, 4, count, dtype=np.int32)
        sizes = rng.integers(1, 4, count) * blocks
        pads = np.stack([rng.integers(0, sizes), np.zeros(count, np.int64)], axis=1).astype(np.int32)
        pads[:, 1] = rng.integers(0, sizes - pads[:, 0])
        batch, depth = sides(rng, 2, 2, 3, least=0)
        few = (batch, *(sizes - pads.sum(axis=1)).tolist(), depth)
        many = (batch * int(np.prod(blocks)), *(sizes // blocks).tolist(), depth)
        q = numbers(rng, type)
        y, extra = [(type, q)], [maybe(rng, blocks), maybe(rng, pads)]
        check(
            *several(
                ("SPACE_TO_BATCH_ND", [Arg(contents(rng, type, few), type, **q), *extra], y, {"version": 3}),
                ("BATCH_TO_SPACE_ND", [Arg(contents(rng, type, many), type, **q), *extra], y, {"version": 3}),
            )
        )

    each_case(case)


@pytest.mark.parametrize("pads", [[[-1, 0], [0, 0]], [[0, -1], [-1, -1]], [[-3, 2], [1, -2]], [[-4, 0], [0, 0]]])
def test_negative_padding_cuts_off(official, pads):
    x = Arg(sample("float32", (1, 4, 3, 2)))
    check(*one_op("SPACE_TO_BATCH_ND", [x, np.int32([1, 1]), np.int32(pads)], ["float32"]))


@pytest.mark.parametrize("shape", [[-1, 3], [0, -1], [-1], [-1, 0], [3, -1, 0], [0, 2, -1]])
def test_a_free_size_of_an_empty_tensor(official, shape):
    check(*one_op("RESHAPE", [Arg(np.zeros((0, 6), np.float32)), np.int32(shape)], ["float32"]))


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


Q8, OTHER = {"scale": 0.5, "zero_point": 3}, {"scale": 0.5, "zero_point": 4}
X8 = Arg(np.zeros((1, 2, 2, 1), np.int8), **Q8)
X16 = Arg(np.zeros((1, 2, 2, 1), np.int16), scale=0.5, zero_point=1)
ONES, NONE = np.int32([1, 1]), np.int32([[0, 0], [0, 0]])


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "op, arguments, output",
    [
        ("RESHAPE", [X8, np.int32([0, -1])], ("int8", Q8)),
        ("RESHAPE", [X8, np.int32([3, -1])], ("int8", Q8)),
        ("RESHAPE", [X8, np.int32([-2, -2])], ("int8", Q8)),
        ("EXPAND_DIMS", [X8, np.int32(0)], ("int8", OTHER)),
        ("EXPAND_DIMS", [X16, np.int32(0)], ("int16", X16.quantization)),
        ("EXPAND_DIMS", [X8, np.int16(0)], ("int8", Q8)),
        ("EXPAND_DIMS", [X8, np.int32([0, 1])], ("int8", Q8)),
        ("SQUEEZE", [Arg(np.zeros((1,) * 9, np.int8))], "int8"),
        ("RESHAPE", [Arg(sample("string", (2,))), np.int32([3])], "string"),
        ("TRANSPOSE", [X8, np.int32([[0, 1, 2, 3]])], ("int8", Q8)),
        ("TRANSPOSE", [X8, np.int32([0, 1, 2])], ("int8", Q8)),
        ("TRANSPOSE", [Arg(np.zeros((1,) * 9, np.int8)), np.arange(9, dtype=np.int32)], "int8"),
        ("SPACE_TO_BATCH_ND", [X8, ONES, NONE], ("int8", OTHER)),
        ("BATCH_TO_SPACE_ND", [X8, ONES, NONE], ("int8", OTHER)),
        ("SPACE_TO_BATCH_ND", [X16, ONES, NONE], ("int16", X16.quantization)),
        ("SPACE_TO_BATCH_ND", [X8, np.int32([1]), NONE], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [X8, ONES, NONE[:1]], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [X8, np.int32([0, 1]), NONE], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [X8, np.int32([-1, 1]), NONE], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [X8, np.int32([3, 1]), NONE], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [X8, ONES, np.int32([[-2, -1], [0, 0]])], ("int8", Q8)),
        ("BATCH_TO_SPACE_ND", [X8, np.int32([2, 1]), NONE], ("int8", Q8)),
        ("BATCH_TO_SPACE_ND", [X8, ONES, np.int32([[2, 1], [0, 0]])], ("int8", Q8)),
        ("BATCH_TO_SPACE_ND", [X8, ONES, np.int32([[-1, 1], [0, 0]])], ("int8", Q8)),
        ("SPACE_TO_BATCH_ND", [Arg(np.zeros((1,) * 5, np.int8)), ONES, NONE], "int8"),
    ],
)  # fmt: skip
def test_arguments_refused(official, op, arguments, output, late):
    """`late`: with inputs in the place of constants."""
    arguments = [a if isinstance(a, Arg) else Arg(a, constant=not late) for a in arguments]
    outcome = check(*one_op(op, arguments, [output]), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


@pytest.mark.parametrize("op, options", [("RESHAPE", {"new_shape": [1] * 9}), ("SQUEEZE", {"squeeze_dims": [0] * 9})])
def test_long_lists_refused(official, op, options):
    """While the model is read."""
    content, arrays = one_op(op, [Arg(np.zeros((1, 1), np.float32))], ["float32"], **options)
    assert check(content, arrays, must_run=False) == "error at construct"


def test_types(official):
    moved = {(t,) for t in TYPES if t in MOVED}
    ones, none = np.int32([1, 1]), np.int32([[0, 0], [1, 1]])

    def made(op, shape, *constants, **options):
        return lambda x: one_op(op, [Arg(sample(x, shape), x), *constants], [x], **options)

    everything = {(t,) for t in TYPES}
    assert sweep(made("RESHAPE", (2, 3), np.int32([3, 2])), (TYPES,)) == everything
    assert sweep(made("SQUEEZE", (2, 1)), (TYPES,)) == everything
    assert sweep(made("TRANSPOSE", (2, 3), np.int32([1, 0])), (TYPES,)) == moved | {("int4",)}
    assert sweep(made("SPACE_TO_DEPTH", (1, 2, 2, 1), block_size=2), (TYPES,)) == {(t,) for t in BLOCKS}
    assert sweep(made("DEPTH_TO_SPACE", (1, 1, 1, 4), block_size=2), (TYPES,)) == {(t,) for t in BLOCKS}
    assert sweep(made("SPACE_TO_BATCH_ND", (1, 2, 2, 1), ones, none), (TYPES,)) == moved
    assert sweep(made("BATCH_TO_SPACE_ND", (1, 3, 3, 1), ones, none), (TYPES,)) == moved

    def expanded(x, axis):
        return one_op("EXPAND_DIMS", [Arg(sample(x, (2,)), x), Arg(sample(axis, ()), axis, constant=True)], [x])

    assert sweep(expanded, (TYPES, TYPES)) == {(x, axis) for x in TYPES for axis in ("int32", "int64")}
