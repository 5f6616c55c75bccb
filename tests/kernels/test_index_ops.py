"""GATHER, GATHER_ND, SCATTER_ND, WHERE, SELECT, SELECT_V2, ONE_HOT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.index_ops import CONDITIONS, GATHERED, SCATTERED
from minitfl.kernels.layout import MOVED
from tests.cases import OursFailed, array, check, differential
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, run, sample, several, sides
from tests.sweep import TYPES, sweep

INDICES = ("int32", "int64", "int16")


# ---- worked by hand


def test_gather_with_batches():
    x = Arg(np.float32([[1, 2, 3], [4, 5, 6]]))
    (y,) = run("GATHER", [x, np.int32([[2, 0], [1, 1]])], ["float32"], axis=1, batch_dims=1)
    assert y.tolist() == [[3, 1], [5, 5]]


def test_gather_nd_takes_multi_indices():
    x = Arg(np.int32([[1, 2], [3, 4]]))
    (y,) = run("GATHER_ND", [x, np.int32([[1, 0], [0, 1]])], ["int32"])
    assert y.tolist() == [3, 2]
    (y,) = run("GATHER_ND", [x, np.int32([[1]])], ["int32"])
    assert y.tolist() == [[3, 4]]


def test_scatter_nd_adds_what_meets():
    (y,) = run("SCATTER_ND", [np.int32([[1], [3], [1]]), Arg(np.int8([100, 5, 100])), np.int32([4])], ["int8"])
    assert y.tolist() == [0, -56, 0, 5]  # 200 does not fit


def test_where_gives_multi_indices_in_order():
    (y,) = run("WHERE", [Arg(np.float32([[0, np.nan], [-0.0, 1]]))], ["int64"])
    assert y.tolist() == [[0, 1], [1, 1]]


def test_select_takes_whole_rows():
    a, b = Arg(np.int32([[1, 2], [3, 4]])), Arg(np.int32([[5, 6], [7, 8]]))
    (y,) = run("SELECT", [Arg(np.array([True, False])), a, b], ["int32"])
    assert y.tolist() == [[1, 2], [7, 8]]


def test_one_hot_along_the_first_axis():
    (y,) = run("ONE_HOT", [Arg(np.int32([2, 0, 7])), np.int32(3), np.int32(5), np.int32(-1)], ["int32"], axis=0)
    assert y.tolist() == [[-1, 5, -1], [-1, -1, -1], [5, -1, -1]]


# ---- against the official runtime


@pytest.mark.parametrize("type", sorted(GATHERED))
def test_gather(official, type):
    def case(rng):
        string = type == "string"
        shape = sides(rng, 1, 1 if string else 6, 4)
        axis = int(rng.integers(len(shape)))
        batch_dims = int(rng.integers(axis + 1))
        if type == "int4":  # the official kernel takes whole bytes
            axis, batch_dims = int(rng.integers(len(shape) + 1)), 0
            shape = (*shape, 2)
        picked = shape[:batch_dims] + sides(rng, 0, 3, 4, least=0)
        options = {"axis": axis - len(shape) * int(rng.integers(2)), "batch_dims": batch_dims, "version": 5}
        if type == "int4" and axis == len(shape) - 1:
            options["axis"] = axis = 0
        if batch_dims < len(picked) and rng.integers(2):
            options["batch_dims"] -= len(picked)
        x, indices = maybe(rng, contents(rng, type, shape), type), rng.integers(0, shape[axis], picked)
        check(*several(*(("GATHER", [x, maybe(rng, indices.astype(kind))], [type], options) for kind in INDICES)))

    each_case(case)


def test_gather_of_int4(official):
    """The official kernel takes whole bytes, so it is right where what follows the axis is even."""
    x = np.arange(-8, 8).reshape(2, 4, 2)
    whole = Arg(x, "int4", constant=True, scale=0.5, zero_point=0)
    for axis, picked in ((0, [1, 0, 1]), (1, [3, 3, 1, 0])):
        check(*one_op("GATHER", [whole, Arg(np.int32(picked))], [("int4", {"scale": 0.5})], version=5, axis=axis))
    (y,) = run("GATHER", [whole, Arg(np.int32([1, 1, 0]))], [("int4", {"scale": 0.5})], version=5, axis=2)
    assert np.array_equal(y, x[:, :, [1, 1, 0]])


@pytest.mark.parametrize("type", sorted(GATHERED - {"int4"}))
def test_gather_nd(official, type):
    def case(rng):
        shape = sides(rng, 1, 6, 4)
        count = int(rng.integers(1, len(shape) + 1))
        outer = sides(rng, 0, 3, 3, least=0)
        x = maybe(rng, contents(rng, type, shape), type)
        indices = (rng.random((*outer, count)) * shape[:count]).astype(np.int64)
        parts = [("GATHER_ND", [x, maybe(rng, indices.astype(kind))], [type], {"version": 5}) for kind in INDICES]
        check(*several(*parts))

    each_case(case)


def test_gather_nd_without_numbers_gives_the_whole():
    """As in TensorFlow; the official kernel refuses indices without contents."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = run("GATHER_ND", [Arg(x), Arg(np.zeros((2, 0), np.int32))], ["float32"])
    assert y.tolist() == [x.tolist()] * 2


@pytest.mark.parametrize("type", sorted(SCATTERED))
def test_scatter_nd(official, type):
    def case(rng):
        shape = sides(rng, 1, 5, 4)
        count = int(rng.integers(0, len(shape) + 1))
        outer = sides(rng, 0 if count < len(shape) else 1, 3, 3)
        picked = maybe(rng, (rng.random((*outer, count)) * shape[:count]).astype(np.int32))
        updates = maybe(rng, contents(rng, type, outer + shape[count:]), type, 0.3)
        check(*one_op("SCATTER_ND", [picked, updates, maybe(rng, np.array(shape, np.int32))], [type]))

    each_case(case)


@pytest.mark.parametrize("type", sorted(CONDITIONS))
def test_where(official, type):
    def case(rng):
        shape = sides(rng, 1, 8, 3, least=0)
        x = contents(rng, type, shape, special=True)
        x[rng.random(shape) < rng.choice([0, 0.5, 1])] = 0
        check(*one_op("WHERE", [maybe(rng, x, type)], ["int64"]))

    each_case(case)


def test_where_then_gather(official):
    """Shapes that are known only while running pass on from op to op."""

    @differential(50)
    @given(st.data())
    def run(data):
        m = Model()
        x, condition = m.input((5, 3), "float32"), m.input((5,), "bool")
        found, rows, part = m.tensor((), "int64"), m.tensor((), "float32"), m.tensor((), "float32")
        m.op("WHERE", [condition], [found])
        m.op("GATHER_ND", [x, found], [rows])
        m.op("GATHER", [rows, m.constant(np.int32([2, 0]))], [part], axis=1)
        m.output(found, rows, part)
        flags = array(data.draw, "bool", (5,)) | np.eye(5, dtype=bool)[0]
        check(m.content(), [array(data.draw, "float32", (5, 3)), flags])

    run()


@pytest.mark.parametrize("type", sorted(MOVED))
def test_select(official, type):
    def case(rng):
        whole = sides(rng, 0, 5, 4, least=0)
        low = [whole, (), whole[:1]][rng.integers(3)]
        shapes = [low, whole, whole], [_part(rng, whole) for _ in range(3)]
        parts = []
        for op, (c, a, b), file in (
            ("SELECT", shapes[0], whole),
            ("SELECT_V2", shapes[1], np.broadcast_shapes(*shapes[1])),
        ):
            choices = [maybe(rng, contents(rng, type, s), type, 0.2) for s in (a, b)]
            parts.append((op, [maybe(rng, contents(rng, "bool", c)), *choices], [type], {"shape": file}))
        check(*several(*parts))

    each_case(case)


def _part(rng, whole):
    """A shape that broadcasts to the whole one."""
    return tuple(n if rng.integers(2) else 1 for n in whole)[rng.integers(len(whole) + 1) :]


def test_one_element_keeps_the_shape_of_the_file(official):
    """Where all have one element the output keeps the rank that the file gives it."""
    for op in ("SELECT", "SELECT_V2"):
        for file in ((), (1,), (1, 1, 1)):
            arguments = [Arg(np.ones(s, t)) for s, t in (((1,), bool), ((), np.float32), ((1, 1), np.float32))]
            check(*one_op(op, arguments, ["float32"], shape=file))


@pytest.mark.parametrize("type", ("float32", "int32", "int64", "int8", "uint8", "bool"))
def test_one_hot(official, type):
    def case(rng):
        shape = sides(rng, 0, 4, 4, least=0)
        axis = int(rng.integers(-1, len(shape) + 1))
        x = rng.integers(-1, 7, shape)
        on, off = (maybe(rng, contents(rng, type, (1,) * int(rng.integers(2)))) for _ in range(2))
        parts = [
            (
                "ONE_HOT",
                [Arg(x.astype(kind)), maybe(rng, np.array(rng.integers(6), depth)), on, off],
                [type],
                {"axis": axis},
            )
            for kind in ("int32", "int64")
            for depth in ("int32", "int64")
        ]
        check(*several(*parts))

    each_case(case)


def test_shapes_that_change(official):
    x, picked = Arg(np.zeros((3, 2), np.float32)), Arg(np.int32([[0], [1]]))
    content, _ = several(
        ("GATHER", [x, picked], ["float32"], {}),
        ("GATHER_ND", [x, picked], ["float32"], {}),
        ("WHERE", [x], ["int64"], {}),
        ("SELECT_V2", [Arg(np.zeros((3, 2), bool)), x, np.float32(7)], ["float32"], {}),
    )
    turns = []
    for n, k in ((3, 2), (5, 3), (2, 1)):
        values, at = sample("float32", (n, 2)), np.arange(k, dtype=np.int32)[:, np.newaxis] % n
        turns.append([values, at, values, at, values, sample("bool", (n, 2)), values])
    check(content, turns, sequence=True)


# ---- refusals

X = Arg(np.zeros((2, 3), np.float32))
FLAGS = Arg(np.zeros((2, 3), bool))


@pytest.mark.parametrize(
    "op, arguments, output, options",
    [
        ("GATHER", [X, np.int32([0])], "float32", {"axis": 2}),
        ("GATHER", [X, np.int32([0])], "float32", {"axis": -3}),
        ("GATHER", [X, np.int32([[0]])], "float32", {"axis": 0, "batch_dims": 1}),
        ("GATHER", [X, np.int32([[0]])], "float32", {"axis": 1, "batch_dims": 1}),
        ("GATHER", [X, np.int32([[0], [1]])], "float32", {"axis": 1, "batch_dims": -3}),
        ("GATHER", [X, np.int32([0])], "float32", {"axis": 1, "batch_dims": 2}),
        ("GATHER", [X, np.uint8([0])], "float32", {}),
        ("GATHER", [Arg(np.zeros(3, np.float64)), np.int32([0])], "float64", {}),
        ("GATHER", [Arg(np.full((1, 2), b"a", object)), np.int32([0])], "string", {}),
        ("GATHER", [X, np.int32([2])], "float32", {}),
        ("GATHER", [X, np.int32([-1])], "float32", {}),
        ("GATHER_ND", [X, np.int32([[0, 0, 0]])], "float32", {}),
        ("GATHER_ND", [X, np.uint8([[0]])], "float32", {}),
        ("GATHER_ND", [Arg(np.zeros(3, np.float64)), np.int32([[0]])], "float64", {}),
        ("GATHER_ND", [Arg(np.float32(1)), np.int32([[0]])], "float32", {}),
        ("GATHER_ND", [X, np.int32([[0, 3]])], "float32", {}),
        ("GATHER_ND", [X, np.int32([[0, -1]])], "float32", {}),
        ("GATHER_ND", [Arg(np.zeros((2, 0), np.float32)), np.int32([[1]])], "float32", {}),
        ("SCATTER_ND", [np.int32([[0]]), Arg(np.zeros((1, 4), np.float32)), np.int32([2, 3])], "float32", {}),
        ("SCATTER_ND", [np.int32([[0]]), Arg(np.zeros((2, 3), np.float32)), np.int32([2, 3])], "float32", {}),
        ("SCATTER_ND", [np.int32([[0]]), Arg(np.zeros(1, np.int16)), np.int32([2])], "int16", {}),
        ("SCATTER_ND", [np.int64([[0]]), Arg(np.zeros(1, np.float32)), np.int32([2])], "float32", {}),
        ("SCATTER_ND", [np.int64([[0]]), Arg(np.zeros(1, np.float32)), np.int64([2])], "float32", {}),
        ("SCATTER_ND", [np.int32([[2]]), Arg(np.zeros(1, np.float32)), np.int32([2])], "float32", {}),
        ("SCATTER_ND", [np.int32([[-1]]), Arg(np.zeros(1, np.float32)), np.int32([2])], "float32", {}),
        ("WHERE", [Arg(np.zeros(3, np.int16))], "int64", {}),
        ("WHERE", [Arg(np.array(True))], "int64", {}),
        ("WHERE", [np.array(True)], "int64", {}),
        ("SELECT", [FLAGS, X, Arg(np.zeros((2, 1), np.float32))], "float32", {}),
        ("SELECT", [Arg(np.zeros(3, bool)), X, X], "float32", {}),
        ("SELECT", [Arg(np.zeros(2, np.int32)), X, X], "float32", {}),
        ("SELECT", [FLAGS, X, Arg(np.zeros((2, 3), np.int32))], "float32", {}),
        ("SELECT_V2", [FLAGS, X, Arg(np.zeros((2, 2), np.float32))], "float32", {}),
        ("SELECT_V2", [FLAGS, *[Arg(np.zeros((2, 3), np.complex128))] * 2], "complex128", {}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(-1), np.float32(1), np.float32(0)], "float32", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.float32(1), np.float32(0)], "float32", {"axis": 2}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.float32(1), np.float32(0)], "float32", {"axis": -2}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32([3, 3]), np.float32(1), np.float32(0)], "float32", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.float32([1, 1]), np.float32(0)], "float32", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.float32(1), np.int32(0)], "float32", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int16([1])), np.int32(3), np.float32(1), np.float32(0)], "float32", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.int16(1), np.int16(0)], "int16", {"axis": -1}),
        ("ONE_HOT", [Arg(np.int32([1])), np.int32(3), np.float64(1), np.float64(0)], "float64", {"axis": -1}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("late", [False, True])
def test_refused(official, op, arguments, output, options, late):
    """`late`: with inputs in the place of constants."""
    if late:
        arguments = [a if isinstance(a, Arg) else Arg(a) for a in arguments]
    content, arrays = one_op(op, arguments, [output], version=1, **options)
    assert check(content, arrays, must_run=False) in ("error at allocate", "error at invoke")


def test_constants_are_gathered_while_allocating(official):
    x = Arg(np.zeros((2, 3), np.float32), constant=True)
    content, arrays = one_op("GATHER", [x, np.int32([2])], ["float32"])
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_one_hot_takes_large_indices_whole():
    """The official kernel looks at their low 32 bits."""
    (y,) = run("ONE_HOT", [Arg(np.int64([2**32])), np.int32(2), np.int32(1), np.int32(0)], ["int32"], axis=-1)
    assert y.tolist() == [[0, 0]]


def test_an_unknown_index_is_an_error():
    with pytest.raises(OursFailed, match="gather index out of bounds: 7 of 2"):
        run("GATHER", [X, Arg(np.int32([0, 7]))], ["float32"])


def test_types(official):
    index = [t for t in TYPES if t != "string"]

    def gathered(x, indices):
        shape = (2,) if x == "string" else (2, 2)
        return one_op("GATHER", [Arg(sample(x, shape), x), Arg(sample(indices, (2,)), indices)], [x])

    def gathered_nd(x, indices):
        return one_op("GATHER_ND", [Arg(sample(x, (2, 2)), x), Arg(sample(indices, (2, 1)), indices)], [x])

    def scattered(x, indices):
        one = np.array([2]).astype(sample(indices, ()).dtype)
        arguments = [Arg(sample(indices, (2, 1)), indices), Arg(sample(x, (2,)), x), Arg(one, indices, constant=True)]
        return one_op("SCATTER_ND", arguments, [x])

    def selected(op):
        return lambda x: one_op(op, [Arg(sample("bool", (2, 2))), *[Arg(sample(x, (2, 2)), x)] * 2], [x])

    def hot(on, indices):
        values = [Arg(sample(on, ()), on)] * 2
        return one_op("ONE_HOT", [Arg(sample(indices, (3,)), indices), np.int32(2), *values], [on], axis=-1)

    assert sweep(gathered, (TYPES, index)) == {(x, i) for x in GATHERED for i in INDICES}
    assert sweep(gathered_nd, (TYPES, index)) == {(x, i) for x in GATHERED - {"int4"} for i in INDICES}
    assert sweep(scattered, (TYPES, index)) == {(x, "int32") for x in SCATTERED}
    assert sweep(lambda x: one_op("WHERE", [Arg(sample(x, (2, 2)), x)], ["int64"]), (TYPES,)) == {
        (x,) for x in CONDITIONS
    }
    for op in ("SELECT", "SELECT_V2"):
        assert sweep(selected(op), (TYPES,)) == {(x,) for x in TYPES if x in MOVED}
    hots = {(x, i) for x in ("float32", "int32", "int64", "int8", "uint8", "bool") for i in ("int32", "int64")}
    assert sweep(hot, (index, index)) == hots
