"""GATHER, GATHER_ND, SCATTER_ND, WHERE, SELECT, SELECT_V2, ONE_HOT."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import OursFailed, array, check, differential, ours, shapes
from tests.kernels.one_op import Arg, one_op, run

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")
INDICES = ("int32", "int64", "int16")


def indices(draw, shape, limit, types=INDICES, constant=None):
    """Indices below `limit`, a number or one for each entry of the last axis; none where there is nothing to take."""
    rng = np.random.default_rng(draw(st.integers(0, 2**24 - 1)))
    values = (rng.random(shape) * np.maximum(limit, 1)).astype(draw(st.sampled_from(types)))
    return Arg(values, constant=draw(st.booleans()) if constant is None else constant)


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


@pytest.mark.parametrize("type", (*TYPES, "float16"))
def test_gather(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 5, 4))
        axis = draw(st.integers(0, len(shape) - 1))
        batch_dims = draw(st.integers(0, axis))
        picked = shape[:batch_dims] + draw(shapes(0, 3, 4, min_side=0))
        options = {"axis": axis, "batch_dims": batch_dims}
        if draw(st.booleans()):
            options["axis"] -= len(shape)
        if batch_dims < len(picked) and draw(st.booleans()):
            options["batch_dims"] -= len(picked)
        arguments = [Arg(array(draw, type, shape), type), indices(draw, picked, shape[axis])]
        check(*one_op("GATHER", arguments, [type], version=5, **options))

    run()


def test_gather_of_strings(official):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 1, 6))
        arguments = [Arg(array(draw, "string", shape)), indices(draw, draw(shapes(1, 3, 3)), shape[0])]
        check(*one_op("GATHER", arguments, ["string"], version=5))

    run()


def test_gather_of_int4(official):
    """The official kernel takes whole bytes, so it is right where what follows the axis is even."""
    x = np.arange(-8, 8).reshape(2, 4, 2)
    whole = Arg(x, "int4", constant=True, scale=0.5, zero_point=0)
    for axis, picked in ((0, [1, 0, 1]), (1, [3, 3, 1, 0])):
        check(*one_op("GATHER", [whole, Arg(np.int32(picked))], [("int4", {"scale": 0.5})], version=5, axis=axis))
    (y,) = run("GATHER", [whole, Arg(np.int32([1, 1, 0]))], [("int4", {"scale": 0.5})], version=5, axis=2)
    assert np.array_equal(y, x[:, :, [1, 1, 0]])


@pytest.mark.parametrize("type", (*TYPES, "float16", "string"))
def test_gather_nd(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 4, 4))
        count = draw(st.integers(1, len(shape)))
        outer = draw(shapes(0, 3, 3, min_side=0 if type != "string" else 1))
        x = Arg(array(draw, type, shape), type)
        picked = indices(draw, (*outer, count), np.array(shape[:count]))
        check(*one_op("GATHER_ND", [x, picked], [type], version=5))

    run()


def test_gather_nd_without_numbers_gives_the_whole():
    """As in TensorFlow; the official kernel refuses indices without contents."""
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    (y,) = run("GATHER_ND", [Arg(x), Arg(np.zeros((2, 0), np.int32))], ["float32"])
    assert y.tolist() == [x.tolist()] * 2


@pytest.mark.parametrize("type", ("float32", "uint8", "bool", "int8", "int64", "int32"))
def test_scatter_nd(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 4, 4))
        count = draw(st.integers(0, len(shape)))
        outer = draw(shapes(0 if count < len(shape) else 1, 3, 3))
        picked = indices(draw, (*outer, count), np.array(shape[:count]), ["int32"], constant=None if count else False)
        updates = Arg(array(draw, type, outer + shape[count:]), type)
        sizes = Arg(np.array(shape, np.int32), constant=draw(st.booleans()))
        check(*one_op("SCATTER_ND", [picked, updates, sizes], [type]))

    run()


@pytest.mark.parametrize("type", ("bool", "float32", "int64", "int32", "int8", "uint8", "uint32"))
def test_where(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(1, 5, 4, min_side=0))
        x = array(draw, type, shape, special=True)
        x[np.random.default_rng(draw(st.integers(0, 2**24 - 1))).random(shape) < draw(st.sampled_from([0, 0.5, 1]))] = 0
        keep = not x.size or not np.count_nonzero(x)  # the official get_tensor can't read an empty late tensor
        content, arrays = one_op("WHERE", [Arg(x, type, constant=draw(st.booleans()) and x.size > 0)], ["int64"])
        if keep:
            assert ours(content, arrays)[0].shape == (0, len(shape))
        else:
            check(content, arrays)

    run()


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


@pytest.mark.parametrize("type", (*TYPES, "float16", "float64", "uint16", "uint32", "uint64", "complex64"))
@pytest.mark.parametrize("op", ("SELECT", "SELECT_V2"))
def test_select(official, op, type):
    @differential(200 if type in TYPES else 40)
    @given(st.data())
    def run(data):
        draw = data.draw
        whole = draw(shapes(0, 5, 4, min_side=0))
        kind = draw(st.integers(0, 2))
        parts = [whole] * 3
        if op == "SELECT" and kind:
            parts[0] = () if kind == 1 or not whole else whole[:1]
        if op == "SELECT_V2" and kind:
            code = draw(st.integers(0, 2**24 - 1))
            parts = []
            for _ in range(3):
                code, cut = divmod(code, len(whole) + 1)
                parts.append(tuple(n if code >> i & 1 else 1 for i, n in enumerate(whole))[cut:])
                code >>= 5
        condition = Arg(array(draw, "bool", parts[0]), constant=kind == 1 and 0 not in parts[0])
        choices = [Arg(array(draw, type, part), type) for part in parts[1:]]
        file = parts[1] if op == "SELECT" else np.broadcast_shapes(*parts)
        check(*one_op(op, [condition, *choices], [type], shape=file, version=1))

    run()


def test_one_element_keeps_the_shape_of_the_file(official):
    """Where all have one element the output keeps the rank that the file gives it."""
    for op in ("SELECT", "SELECT_V2"):
        for file in ((), (1,), (1, 1, 1)):
            arguments = [Arg(np.ones(s, t)) for s, t in (((1,), bool), ((), np.float32), ((1, 1), np.float32))]
            check(*one_op(op, arguments, ["float32"], shape=file))


@pytest.mark.parametrize("type", ("float32", "int32", "int64", "int8", "uint8", "bool"))
def test_one_hot(official, type):
    @differential()
    @given(st.data())
    def run(data):
        draw = data.draw
        shape = draw(shapes(0, 3, 4, min_side=0))
        axis = draw(st.integers(-1, len(shape)))
        depth = draw(st.integers(0, 5))
        late = draw(st.booleans()) and depth and 0 not in shape
        x = array(draw, draw(st.sampled_from(["int32", "int64"])), shape, low=-1, high=6)
        on, off = (Arg(array(draw, type, (1,) * draw(st.integers(0, 1))), type) for _ in range(2))
        on.constant = off.constant = draw(st.booleans())
        arguments = [Arg(x), Arg(np.int32(depth), constant=not late), on, off]
        check(*one_op("ONE_HOT", arguments, [type], axis=axis))

    run()


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
