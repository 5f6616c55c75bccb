"""CONCATENATION, PACK, UNPACK, SPLIT, SPLIT_V, TILE, BROADCAST_TO, BROADCAST_ARGS."""

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.kernels.join import CONCATENATED, PACKED, SPLIT, UNPACKED
from minitfl.kernels.layout import MOVED
from tests.cases import OursFailed, check, ours
from tests.kernels.one_op import Arg, contents, each_case, maybe, one_op, run, sample, several, sides
from tests.sweep import TYPES, sweep


def numbers(type):
    return (
        {"scale": 0.5, "zero_point": {"int8": 3, "uint8": 128}.get(type, 0)}
        if "int" in type and "64" not in type
        else {}
    )


def model(op, inputs, outputs, constants=(), order=None, version=1, **options):
    """inputs: (shape, type, quantization); the constants follow them, unless `order` says in which order all go."""
    m = Model()
    handles = [m.input(shape, type, **q) for shape, type, q in inputs]
    handles += [m.constant(np.asarray(c)) for c in constants]
    results = [m.tensor((), type, **q) for type, q in outputs]
    m.op(op, [handles[i] for i in order] if order else handles, results, version=version, **options)
    m.output(*results)
    return m.content()


# ---- worked by hand


def test_uint8_inputs_come_to_the_output_scale():
    # 10 at scale 0.5 is 5.0, at scale 0.25 and zero point 2: 5.0 / 0.25 + 2 = 22
    inputs = [((1,), "uint8", {"scale": 0.5, "zero_point": 0}), ((1,), "uint8", {"scale": 0.25, "zero_point": 2})]
    content = model("CONCATENATION", inputs, [("uint8", {"scale": 0.25, "zero_point": 2})], axis=0)
    (y,) = ours(content, [np.uint8([10]), np.uint8([200])])
    assert y.tolist() == [22, 200]


def test_split_v_fills_in_the_free_size():
    content = model(
        "SPLIT_V", [((6,), "int32", {})], [("int32", {})] * 3, [np.int32([1, -1, 2]), np.int32(0)], num_splits=3
    )
    assert [y.tolist() for y in ours(content, [np.arange(6, dtype=np.int32)])] == [[0], [1, 2, 3], [4, 5]]


# ---- against the official runtime


def quantized(rng, type):
    """Any quantization of uint8, which is rescaled; one of the others, which must be the same everywhere."""
    if type == "uint8":
        scale = float(np.float32(rng.choice([0.5, 0.25, 0.1, 0.99999994, 3.0, 2 ** rng.uniform(-10, 0)])))
        return {"scale": scale, "zero_point": int(rng.integers(256))}
    return numbers(type)


@pytest.mark.parametrize("type", sorted(CONCATENATED))
def test_concatenation(official, type):
    def case(rng):
        shape = list(sides(rng, 1, 5, 4))
        axis = int(rng.integers(-len(shape), len(shape)))
        same = rng.random() < 0.5
        q = numbers(type) if same else quantized(rng, type)
        parts = []
        for i in range(rng.integers(1, 5)):
            own = list(shape)
            own[axis] = int(rng.integers(i == 0, 5))
            given = q if same else quantized(rng, type)
            parts.append(maybe(rng, contents(rng, type, own), type, 0.3, **given))
        check(*one_op("CONCATENATION", parts, [(type, q)], axis=axis))

    each_case(case)


@pytest.mark.parametrize("type", sorted(PACKED | UNPACKED))
def test_pack_and_unpack(official, type):
    def case(rng):
        shape = sides(rng, 0, 4, 4)
        axis, count = int(rng.integers(-len(shape) - 1, len(shape) + 1)), int(rng.integers(1, 5))
        at = axis + len(shape) + 1 if axis < 0 else axis
        whole = (*shape[:at], count, *shape[at:])
        y, parts = (type, numbers(type)), []
        if type in PACKED:
            pieces = [maybe(rng, contents(rng, type, shape), type, 0.3, **y[1]) for _ in range(count)]
            parts.append(("PACK", pieces, [y], {"values_count": count, "axis": axis}))
        if type in UNPACKED:
            x = Arg(contents(rng, type, whole), type, **y[1])
            parts.append(("UNPACK", [x], [y] * count, {"num": count, "axis": axis}))
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", sorted(SPLIT))
def test_split_and_split_v(official, type):
    def case(rng):
        shape = list(sides(rng, 1, 5, 4, least=0))
        axis = int(rng.integers(-len(shape), len(shape)))
        lengths = rng.integers(0, 4, rng.integers(1, 5))
        y, parts = (type, numbers(type)), []
        where = maybe(rng, np.full((1,) * int(rng.integers(2)), axis, np.int32), chance=0.75)
        whole = list(shape)
        whole[axis] = int(lengths.sum())
        for kind in ("int32", "int64"):
            wanted = lengths.astype(kind)
            if rng.integers(2):
                wanted[rng.integers(wanted.size)] = -1
            x = Arg(contents(rng, type, whole), type, **y[1])
            arguments = [x, maybe(rng, wanted, chance=0.75), where]
            parts.append(("SPLIT_V", arguments, [y] * wanted.size, {"num_splits": wanted.size}))
        count = int(rng.integers(1, 4))
        whole[axis] = shape[axis] * count
        x = Arg(contents(rng, type, whole), type, **y[1])
        parts.append(("SPLIT", [where, x], [y] * count, {"num_splits": count}))
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", (*sorted(MOVED), "string"))
def test_tile(official, type):
    def case(rng):
        # the official set_tensor garbles a scalar string
        shape = sides(rng, 1 if type == "string" else 0, 5, 3, least=0)
        times = rng.integers(0 if rng.random() < 0.2 else 1, 4, len(shape))
        x = maybe(rng, contents(rng, type, shape), type, 0.3)
        parts = [
            ("TILE", [x, maybe(rng, times.astype(kind), chance=0.75)], [type], {"version": 2})
            for kind in ("int32", "int64")
        ]
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", (*sorted(MOVED), "complex128"))
def test_broadcast_to(official, type):
    def case(rng):
        full = sides(rng, 0, 8, 3, least=0)
        small = tuple(n if rng.random() < 0.5 else 1 for n in full)[rng.integers(len(full) + 1) :]
        x = Arg(contents(rng, type, small), type)
        parts = [
            ("BROADCAST_TO", [x, maybe(rng, np.array(full, kind), chance=0.75)], [type], {"version": 3})
            for kind in ("int32", "int64")
        ]
        check(*several(*parts))

    each_case(case)


@pytest.mark.parametrize("type", ("int32", "int64"))
def test_broadcast_args(official, type):
    def case(rng):
        full = np.array(sides(rng, 0, 6, 4, least=0), type)
        a, b = (np.where(rng.random(full.size) < 0.3, 1, full).astype(type) for _ in range(2))
        a, b = (a, b[rng.integers(b.size + 1) :])[:: rng.choice([1, -1])]
        check(*one_op("BROADCAST_ARGS", [maybe(rng, a), maybe(rng, b)], [type]))

    each_case(case)


def test_constant_scalars_make_a_vector(official):
    for type in sorted(CONCATENATED & {*TYPES} - {"int4"}):
        scalars = [Arg(sample(type, (2,))[i], type, constant=True) for i in range(2)]
        check(*one_op("CONCATENATION", scalars, [type], axis=0))


def test_scales_along_an_axis_count_as_none(official):
    """In the official API a tensor has one scale or 0."""
    q = {"scale": [0.5, 0.25, 0.125], "zero_point": [0, 0, 0], "axis": 1}
    x, y = Arg(np.ones((2, 3), np.int8), **q), ("int8", q)
    check(*one_op("CONCATENATION", [x, x], [y], axis=0))
    check(*one_op("PACK", [x, x], [y], values_count=2))
    check(*one_op("UNPACK", [x], [y] * 2, num=2))


@pytest.mark.parametrize("type", ("int4", "uint4"))
def test_packed_types_are_broadcast_value_by_value(type):
    """The official kernel moves whole bytes."""
    x = sample(type, (3, 1))
    (y,) = run("BROADCAST_TO", [Arg(x, type), np.int32([2, 3, 2])], [type], version=2)
    assert np.array_equal(y, np.broadcast_to(x, (2, 3, 2)))


@pytest.mark.parametrize("constant", [True, False])
def test_shapes_that_do_not_broadcast(constant):
    """The official kernel aborts."""
    with pytest.raises(OursFailed, match="do not broadcast"):
        run(
            "BROADCAST_ARGS",
            [Arg(np.int32([2, 3]), constant=constant), Arg(np.int32([2]), constant=constant)],
            ["int32"],
        )


def test_shapes_that_change(official):
    x = Arg(np.zeros((2, 4), np.float32))
    content, _ = several(
        ("CONCATENATION", [x, x], ["float32"], {"axis": 1}),
        ("SPLIT", [np.int32(1), x], ["float32"] * 2, {"num_splits": 2}),
        ("TILE", [x, np.int32([2, 1])], ["float32"], {}),
    )
    check(content, [[sample("float32", s)] * 4 for s in ((2, 4), (3, 2), (1, 6))], sequence=True)


# ---- refusals


@pytest.mark.parametrize(
    "op, inputs, outputs, constants, options",
    [
        ("CONCATENATION", [((2, 3), "float32", {})] * 2, 1, [], {"axis": 2}),
        ("CONCATENATION", [((2, 3), "float32", {}), ((3, 3), "float32", {})], 1, [], {"axis": 1}),
        ("CONCATENATION", [((2, 3), "float32", {})] * 2, 1, [], {"axis": 0, "fused_activation_function": "RELU"}),
        ("PACK", [((2,), "float32", {})] * 2, 1, [], {"axis": 2, "values_count": 2}),
        ("PACK", [((2,), "float32", {})] * 2, 1, [], {"axis": 0, "values_count": 3}),
        ("UNPACK", [((2, 2), "float32", {})], 2, [], {"axis": 2, "num": 2}),
        ("UNPACK", [((2, 2), "float32", {})], 3, [], {"axis": 0, "num": 3}),
        ("SPLIT_V", [((4,), "float32", {})], 2, [np.int32([1, 2]), np.int32(0)], {"num_splits": 2}),
        ("SPLIT_V", [((4,), "float32", {})], 2, [np.int32([-1, -1]), np.int32(0)], {"num_splits": 2}),
        ("TILE", [((4,), "float32", {})], 1, [np.int32([1, 2])], {}),
        ("BROADCAST_TO", [((4,), "float32", {})], 1, [np.int32([3])], {"version": 2}),
    ],
)
def test_refused(official, op, inputs, outputs, constants, options):
    content = model(op, inputs, [("float32", {})] * outputs, constants, **options)
    arrays = [np.zeros(s, t) for s, t, _ in inputs]
    assert check(content, arrays, must_run=False) == "error at allocate"


X8, X16 = (Arg(np.zeros((2, 2), t), scale=0.5, zero_point=1) for t in ("int8", "int16"))
Y8 = ("int8", {"scale": 0.5, "zero_point": 2})
X = Arg(np.zeros((2, 2), np.float32))


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(
    "op, arguments, outputs, options",
    [
        ("CONCATENATION", [X8, X8], [Y8], {}),
        ("CONCATENATION", [X16, X16], [("int16", X16.quantization)], {}),
        ("CONCATENATION", [X, X8], ["float32"], {}),
        ("CONCATENATION", [X, X], ["int32"], {}),
        ("CONCATENATION", [Arg(np.float32(1)), Arg(np.float32(1))], ["float32"], {}),
        ("CONCATENATION", [Arg(np.int8(1), "int4", constant=True)] * 2, ["int4"], {}),
        ("CONCATENATION", [np.int8(1), np.int8(2)], ["int8"], {"axis": -1}),
        ("PACK", [X8, X8], [Y8], {"values_count": 2}),
        ("UNPACK", [X8], [Y8] * 2, {"num": 2}),
        ("UNPACK", [Arg(np.zeros((2, 0), np.float32))], ["float32"] * 2, {"num": 2}),
        ("SPLIT", [np.int32(2), X], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT", [np.int32(0), X], ["float32"] * 3, {"num_splits": 3}),
        ("SPLIT", [np.float32(1), X], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int32([3, -1]), np.int32(0)], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int32([-1, -1]), np.int32(0)], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int32([4, -2]), np.int32(0)], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int32([1, 1]), np.int32(-3)], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int16([1, 1]), np.int32(0)], ["float32"] * 2, {"num_splits": 2}),
        ("SPLIT_V", [X, np.int32([2]), np.int32(0)], ["float32"] * 2, {"num_splits": 2}),
        ("TILE", [X, np.int32([2])], ["float32"], {}),
        ("TILE", [X, np.int32([2, -1])], ["float32"], {}),
        ("TILE", [X, np.int16([2, 1])], ["float32"], {}),
        ("BROADCAST_TO", [X, np.int32([2])], ["float32"], {"version": 2}),
        ("BROADCAST_TO", [X, np.int32([2, 3])], ["float32"], {"version": 2}),
        ("BROADCAST_TO", [X, np.int32([-1, 2, 2])], ["float32"], {"version": 2}),
        ("BROADCAST_TO", [X, np.int32([[2, 2]])], ["float32"], {"version": 2}),
        ("BROADCAST_TO", [X, np.int16([2, 2])], ["float32"], {"version": 2}),
        ("BROADCAST_ARGS", [np.int32([2]), np.int64([2])], ["int32"], {}),
        ("BROADCAST_ARGS", [np.int32([[2]]), np.int32([2])], ["int32"], {}),
    ],
)
def test_arguments_refused(official, op, arguments, outputs, options, late):
    """`late`: with inputs in the place of constants."""
    arguments = [a if isinstance(a, Arg) else Arg(a, constant=not late) for a in arguments]
    outcome = check(*one_op(op, arguments, outputs, **options), must_run=False)
    assert outcome in ("error at allocate", "error at invoke")


def test_types(official):
    index = [t for t in TYPES if t != "string"]

    def x(type):
        return Arg(sample(type, (2, 2)), type)

    def of(*types):
        return {(t, i) for t in types if t in TYPES for i in ("int32", "int64")}

    def split_v(type, sizes):
        one = Arg(np.ones(2, sample(sizes, ()).dtype), sizes)
        return one_op("SPLIT_V", [x(type), one, np.int32(0)], [type] * 2, num_splits=2)

    def tiled(type, times):
        return one_op("TILE", [x(type), Arg(np.ones(2, sample(times, ()).dtype), times, constant=True)], [type])

    def broadcast(type, shape):
        full = np.array([2, 2]).astype(sample(shape, ()).dtype)
        return one_op("BROADCAST_TO", [Arg(sample(type, (2, 1)), type), Arg(full, shape)], [type], version=2)

    single = {
        "CONCATENATION": (CONCATENATED, lambda t: one_op("CONCATENATION", [x(t), x(t)], [t])),
        "PACK": (PACKED, lambda t: one_op("PACK", [x(t), x(t)], [t], values_count=2)),
        "UNPACK": (UNPACKED, lambda t: one_op("UNPACK", [x(t)], [t] * 2, num=2)),
        "SPLIT": (SPLIT, lambda t: one_op("SPLIT", [np.int32(0), x(t)], [t] * 2, num_splits=2)),
    }
    for op, (types, make) in single.items():
        assert sweep(make, (TYPES,)) == {(t,) for t in types}, op
    assert sweep(split_v, (TYPES, index)) == of(*SPLIT)
    assert sweep(tiled, (TYPES, index)) == of(*MOVED, "string")
    whole = [t for t in TYPES if t != "int4"]
    assert sweep(broadcast, (whole, [t for t in index if t != "bool"])) == of(*MOVED, "complex128")
    shapes = sweep(
        lambda a, b: one_op("BROADCAST_ARGS", [Arg(sample(a, (2,)), a), Arg(sample(b, (1,)), b)], [a]), (index, index)
    )
    assert shapes == {("int32", "int32"), ("int64", "int64")}
