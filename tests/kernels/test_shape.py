"""SHAPE, RANK, RANGE, FILL, ZEROS_LIKE."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.layout import MOVED
from tests.cases import check, differential, ours
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, run, sample, several, sides
from tests.sweep import TYPES, sweep


def model(op, inputs, out, constants=(), **options):
    m = Model()
    handles = [m.input(shape, type) for shape, type in inputs] + [m.constant(np.asarray(c)) for c in constants]
    y = m.tensor((), out)
    m.op(op, handles, [y], **options)
    m.output(y)
    return m.content()


def test_a_chain_of_shapes_is_folded():
    """SHAPE -> RESHAPE is known while planning, and follows a resize."""
    m = Model()
    x = m.input((2, 3), signature=(-1, 3))
    s, y = m.tensor((2,), "int32"), m.tensor((2, 3))
    m.op("SHAPE", [x], [s], out_type="INT32")
    m.op("RESHAPE", [x, s], [y])
    m.output(y)
    (y,) = ours(m.content(), [np.ones((5, 3), np.float32)])
    assert y.shape == (5, 3)


@pytest.mark.parametrize("type", (*sorted(MOVED), "complex128", "int4", "uint4", "string"))
def test_shape_and_rank(official, type):
    def case(rng):
        x = maybe(rng, contents(rng, type, sides(rng, 1 if type == "string" else 0, 8, 3, least=0)), type, 0.2)
        check(
            *several(
                ("SHAPE", [x], ["int32"], {"out_type": "INT32"}),
                ("SHAPE", [x], ["int64"], {"out_type": "INT64"}),
                ("RANK", [x], ["int32"], {}),
            )
        )

    each_case(case)


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_range(official, type):
    @differential()
    @given(st.data())
    def run(data):
        number = st.floats(-20, 20, width=32) if type == "float32" else st.integers(-40, 40)
        start, limit = data.draw(number), data.draw(number)
        delta = data.draw(st.floats(0.125, 8, width=32) if type == "float32" else st.integers(1, 9))
        delta = delta if start <= limit else -delta
        values = [np.array(v, type) for v in (start, limit, delta)]
        if data.draw(st.booleans()):
            check(model("RANGE", [((), type)] * 3, type), values)
        else:
            check(model("RANGE", [], type, values), [])

    run()


@pytest.mark.parametrize("type", (*sorted(MOVED), "string"))
def test_fill(official, type):
    def case(rng):
        shape = sides(rng, 0, 6, 3, least=0)
        q = {"scale": 0.5, "zero_point": 3} if type in ("int8", "uint8") and rng.integers(2) else {}
        value = maybe(rng, contents(rng, type, ()), type, **q)
        value.constant |= type == "string"  # the official set_tensor garbles a scalar string
        parts = [("FILL", [maybe(rng, np.array(shape, kind)), value], [(type, q)], {}) for kind in ("int32", "int64")]
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", ("float32", "int32", "int64"))
def test_zeros_like(official, type):
    def case(rng):
        check(*one_op("ZEROS_LIKE", [Arg(contents(rng, type, sides(rng, 0, 5, 4, least=0)))], [type]))

    each_case(case)


@pytest.mark.parametrize("values", [(0, 5, 0), (0, 5, -1), (5, 0, 1)])
def test_ranges_that_never_end_are_refused(official, values):
    arrays = [np.array(v, np.int32) for v in values]
    assert check(model("RANGE", [((), "int32")] * 3, "int32"), arrays, must_run=False) == "error at invoke"


def test_a_range_may_span_all_of_int32():
    """The official kernel's count of it overflows."""
    values = [Arg(np.int32(n)) for n in (-(2**31), 2**31 - 1, 2**30)]
    assert run("RANGE", values, ["int32"])[0].tolist() == [-(2**31), -(2**30), 0, 2**30]


def test_fill_refuses_a_negative_size(official):
    m = Model()
    d, v = m.constant(np.int32([2, -1])), m.input((), "float32")
    y = m.tensor(())
    m.op("FILL", [d, v], [y])
    m.output(y)
    assert check(m.content(), [np.float32(1)], must_run=False) == "error at allocate"


X8 = Arg(np.int8(1), scale=0.5, zero_point=1)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "op, arguments, output, options",
    [
        ("SHAPE", [np.float32([1])], "int32", {"out_type": "INT16"}),
        ("RANGE", [np.int32([0]), np.int32(1), np.int32(1)], "int32", {}),
        ("RANGE", [np.int32(0), np.int64(1), np.int32(1)], "int32", {}),
        ("RANGE", [np.int32(0), np.int32(1), np.float32(1)], "int32", {}),
        ("RANGE", [np.int32(0), np.int32(1), np.int32(0)], "int32", {}),
        ("RANGE", [np.float32(0), np.float32(1), np.float32(-1)], "float32", {}),
        ("FILL", [np.int32([[2]]), np.float32(1)], "float32", {}),
        ("FILL", [np.int16([2]), np.float32(1)], "float32", {}),
        ("FILL", [np.int32([2]), np.float32([1])], "float32", {}),
        ("FILL", [np.int64([2, -1]), np.float32(1)], "float32", {}),
        ("FILL", [np.int32([2]), X8], ("int8", {"scale": 0.5, "zero_point": 2}), {}),
        (
            "FILL",
            [np.int32([2]), Arg(np.int16(1), scale=0.5, zero_point=1)],
            ("int16", {"scale": 0.5, "zero_point": 1}),
            {},
        ),
    ],
)
def test_refused(official, op, arguments, output, options, late):
    """`late`: with inputs in the place of constants."""
    arguments = [a if isinstance(a, Arg) else Arg(a, constant=not late) for a in arguments]
    outcome = check(*one_op(op, arguments, [output], **options), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_types(official):
    index = [t for t in TYPES if t != "string"]

    def filled(dims, value):
        return one_op("FILL", [Arg(sample(dims, (2,)), dims), Arg(sample(value, ()), value, constant=True)], [value])

    def counted(type):
        return one_op("RANGE", [Arg(np.array(n).astype(sample(type, ()).dtype), type) for n in (0, 3, 1)], [type])

    whole = [t for t in MOVED if t in TYPES]
    assert sweep(filled, (index, TYPES)) == {(d, v) for d in ("int32", "int64") for v in (*whole, "string")}
    assert sweep(counted, (index,)) == {("float32",), ("int32",), ("int64",)}
    zeros = sweep(lambda t: one_op("ZEROS_LIKE", [Arg(sample(t, (2, 3)), t)], [t]), (TYPES,))
    assert zeros == {("float32",), ("int32",), ("int64",)}
    assert sweep(lambda t: one_op("RANK", [Arg(sample(t, (2, 3)), t)], ["int32"]), (TYPES,)) == {(t,) for t in TYPES}
