"""SLICE and STRIDED_SLICE."""

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.kernels.slice import SLICED
from tests.cases import OursFailed, check, ours
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, run, sample, several, sides
from tests.sweep import TYPES, sweep


def strided(x, begin, end, stride, *, constant=True, **masks):
    x = x if isinstance(x, Arg) else Arg(x)
    arguments = [Arg(np.array(a, np.int32), constant=constant) for a in (begin, end, stride)]
    return one_op("STRIDED_SLICE", [x, *arguments], [x.type], **masks)


def taken(x, *arguments, **masks):
    """minitfl's part of an array."""
    arguments = [np.array(a, np.int32) for a in arguments]
    return run("STRIDED_SLICE", [Arg(x), *arguments], [Arg(x).type], **masks)[0]


# ---- worked by hand


def test_masks_are_those_of_python():
    x = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    # x[1, ..., ::-2]: argument 0 is a single index, 1 an ellipsis, 2 has no bounds
    y = taken(x, [1, 9, 9], [0, 9, 9], [1, 1, -2], shrink_axis_mask=1, ellipsis_mask=2, begin_mask=4, end_mask=4)
    assert y.tolist() == [[15, 13], [19, 17], [23, 21]]
    # x[:1, newaxis]
    assert taken(x, [0, 5], [1, 6], [1, 1], new_axis_mask=2).shape == (1, 1, 3, 4)


def test_an_end_may_count_from_its_begin():
    x = np.arange(10, dtype=np.int32)
    assert taken(x, [-7], [4], [2], offset=True).tolist() == [3, 5]


def test_an_ellipsis_may_stand_for_no_axis():
    """The official kernel takes it for one axis at least and drops the last argument."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert taken(x, [0, 1, 1], [0, 2, 3], [1, 1, 1], ellipsis_mask=1).tolist() == [[4, 5]]


@pytest.mark.parametrize("begin, stride", [(5, 1), (7, 1), (-7, -1), (2, -1)])
def test_a_single_index_must_be_there(begin, stride):
    """The official kernel leaves the output unwritten. Below -5 with stride 1 it takes the first value, as we do."""
    with pytest.raises(OursFailed) as caught:
        taken(np.zeros(5, np.float32), [begin], [0], [stride], shrink_axis_mask=1)
    assert caught.value.stage == "allocate"


# ---- against the official runtime


@pytest.mark.parametrize("type", (*sorted(SLICED), "int4"))
def test_slice(official, type):
    def case(rng):
        shape = sides(rng, 1, 8, 4, least=0)
        begin = rng.integers(0, np.array(shape) + 1)
        size = rng.integers(-1, np.array(shape) - begin + 1)
        x = maybe(rng, contents(rng, type, shape), type, 0.2)
        parts = [
            ("SLICE", [x, *(maybe(rng, a.astype(kind), chance=0.75) for a in (begin, size))], [type], {"version": 2})
            for kind in ("int32", "int64")
        ]
        check(*several(*parts))

    each_case(case)


def drawn_arguments(rng, shape):
    """(begin, end, stride, masks) of a part that has a meaning; an ellipsis stands for one axis at least."""
    count = int(rng.integers(0, len(shape) + 1))
    ellipsis = int(rng.integers(count)) if count and rng.random() < 0.4 else -1
    rows, masks = [], dict.fromkeys(["begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask"], 0)
    sides = list(shape)
    for i in range(count):
        while rng.random() < 0.15:  # beside the arguments that take an axis
            masks["new_axis_mask"] |= 1 << len(rows)
            masks["shrink_axis_mask"] |= int(rng.integers(2)) << len(rows)
            rows.append(rng.integers(-9, 9, 3))
        bit = 1 << len(rows)
        if i == ellipsis:
            masks["ellipsis_mask"] |= bit
            masks["new_axis_mask"] |= int(rng.integers(2)) * bit
            del sides[: len(sides) - (count - i - 1)]
            rows.append(rng.integers(-9, 9, 3))
            continue
        n = sides.pop(0)
        begin, end = rng.integers(-n - 2, n + 3, 2)
        stride = rng.choice([-3, -2, -1, 1, 1, 1, 2, 3])
        masks["begin_mask"] |= int(rng.random() < 0.3) * bit
        masks["end_mask"] |= int(rng.random() < 0.3) * bit
        if rng.random() < 0.2 and n:
            masks["shrink_axis_mask"] |= bit
            begin, stride = rng.integers(-n, n), abs(stride)
        rows.append((begin, end, stride))
    begin, end, stride = (np.array(rows, np.int32).reshape(-1, 3)[:, k] for k in range(3))
    return begin, end, np.where(stride == 0, 1, stride), masks


@pytest.mark.parametrize("type", sorted(SLICED))
def test_strided_slice(official, type):
    def case(rng):
        shape = sides(rng, 1, 6, 4, least=0)
        begin, end, stride, masks = drawn_arguments(rng, shape)
        constant = rng.random() < 0.75 or not len(begin)
        x = maybe(rng, contents(rng, type, shape), type, 0.2)
        check(*strided(x, begin, end, stride, constant=constant, **masks))

    each_case(case, 300)


@pytest.mark.parametrize("type", ("float32", "int8"))
def test_strided_slice_with_offset(official, type):
    def case(rng):
        shape = np.array(sides(rng, 1, 5, 5))
        begin = rng.integers(0, shape)
        end = rng.integers(0, shape - begin + 1)
        begin -= shape * rng.integers(0, 2, shape.size)
        stride = rng.integers(1, 4, shape.size)
        shrink = int(rng.integers(2**shape.size))
        x = Arg(contents(rng, type, shape), type)
        check(*strided(x, begin, end, stride, constant=rng.random() < 0.5, offset=True, shrink_axis_mask=shrink))

    each_case(case)


def test_shapes_that_change(official):
    m = Model()
    x, y = m.input((2, 3), signature=(-1, -1)), m.tensor((1, 2), signature=(-1, 2))
    m.op("SLICE", [x, m.constant(np.int32([1, 0])), m.constant(np.int32([-1, 2]))], [y])
    z = m.tensor(())
    m.op("STRIDED_SLICE", [x, *(m.constant(np.int32(a)) for a in ([1, 0], [0, -1], [1, 1]))], [z], end_mask=1)
    m.output(y, z)
    check(m.content(), [[sample("float32", s)] for s in ((2, 3), (5, 2), (1, 4))], sequence=True)


def test_a_shape_in_the_file_is_not_kept(official):
    """The official SLICE does not let the input be resized then."""
    x = Arg(np.zeros(3, np.float32))
    content, _ = one_op("SLICE", [x, np.int32([1]), np.int32([-1])], ["float32"], shape=(2,))
    turns = ours(content, [[sample("float32", (3,))], [sample("float32", (5,))]], sequence=True)
    assert [y.tolist() for (y,) in turns] == [[1, 2], [1, 2, 3, 4]]


def test_slice_of_int4(official):
    x = Arg(np.arange(-8, 7).reshape(3, 5), "int4", constant=True, scale=0.5, zero_point=0)
    check(*one_op("SLICE", [x, Arg(np.int32([1, 1])), np.int32([2, 3])], [("int4", {"scale": 0.5})]))


@pytest.mark.parametrize("rank", (7, 8, 9, 12))
def test_many_axes(official, rank):
    x = Arg(np.arange(2**rank, dtype=np.float32).reshape((2,) * rank))
    ones = np.ones(rank, np.int32)
    check(*one_op("SLICE", [x, ones * (np.arange(rank, dtype=np.int32) % 2), ones], ["float32"]))
    check(*strided(x, ones, -3 * ones, [-1, 1] * (rank // 2) + [1] * (rank % 2), new_axis_mask=4, shrink_axis_mask=8))


def test_a_scalar(official):
    check(*strided(np.float32(3), [0, 0], [2, 3], [1, 1], new_axis_mask=3))
    check(*strided(np.float32(3), [], [], []))


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "op, arguments, output",
    [
        ("SLICE", [[0, 0], [3, 1]], "float32"),
        ("SLICE", [[-1, 0], [1, 1]], "float32"),
        ("SLICE", [[3, 0], [-1, 1]], "float32"),
        ("SLICE", [[0, 0], [-2, 1]], "float32"),
        ("SLICE", [[0], [1]], "float32"),
        ("SLICE", [[0, 0, 0], [1, 1, 1]], "float32"),
        ("SLICE", [[[0, 0]], [[1, 1]]], "float32"),
        ("SLICE", [[0, 0], [1]], "float32"),
        ("SLICE", [[0, 0], [1, 1]], "int32"),
        ("STRIDED_SLICE", [[0, 0], [1, 1], [1, 0]], "float32"),
        ("STRIDED_SLICE", [[0, 0], [1, 1], [1, -(2**31)]], "float32"),
        ("STRIDED_SLICE", [[0, 0], [1], [1, 1]], "float32"),
        ("STRIDED_SLICE", [[[0, 0]], [[1, 1]], [[1, 1]]], "float32"),
        ("STRIDED_SLICE", [[0, 0], [1, 1], [1, 1]], "int32"),
    ],
)
def test_refused(official, op, arguments, output, constant):
    arguments = [Arg(np.array(a, np.int32), constant=constant) for a in arguments]
    outcome = check(*one_op(op, [X, *arguments], [output]), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_types(official):
    def sliced(x, index):
        bounds = [Arg(np.ones(2, sample(index, ()).dtype), index)] * 2
        return one_op("SLICE", [Arg(sample(x, (3, 3)), x), *bounds], [x])

    index = [t for t in TYPES if t != "string"]
    taken = {t for t in TYPES if t in SLICED}
    assert sweep(sliced, (TYPES, index)) == {(x, i) for x in (*taken, "int4") for i in ("int32", "int64")}
    ones = [np.int32([1, 1])] * 3
    assert sweep(lambda x: one_op("STRIDED_SLICE", [Arg(sample(x, (3, 3)), x), *ones], [x]), (TYPES,)) == {
        (x,) for x in taken
    }


def test_a_constant_is_refused_while_allocating(official):
    x = Arg(sample("int4", (2, 2)), "int4", constant=True)
    content, arrays = one_op("STRIDED_SLICE", [x, *[np.int32([1])] * 3], ["int4"])
    assert check(content, arrays, must_run=False) == "error at allocate"


@pytest.mark.parametrize("op, kind", [("SLICE", "int16"), ("STRIDED_SLICE", "int64")])
def test_argument_types_refused(official, op, kind):
    arguments = [np.array([0, 0], kind), np.array([1, 1], kind)] + [np.array([1, 1], kind)] * (op == "STRIDED_SLICE")
    assert check(*one_op(op, [X, *arguments], ["float32"]), must_run=False) == "error at allocate"
