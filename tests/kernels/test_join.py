"""CONCATENATION, PACK, UNPACK, SPLIT, SPLIT_V, TILE, BROADCAST_TO, BROADCAST_ARGS."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import array, broadcasting, check, differential, ours, quantization, shapes

TYPES = ("float32", "int8", "uint8", "int16", "int32", "int64", "bool")


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


@pytest.mark.parametrize("type", TYPES)
def test_concatenation(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 4))
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
        inputs = []
        for _ in range(data.draw(st.integers(1, 4))):
            own = list(shape)
            own[axis] = data.draw(st.integers(0, 4) if len(inputs) else st.integers(1, 4))
            q = data.draw(quantization("uint8")) if type == "uint8" and data.draw(st.booleans()) else numbers(type)
            inputs.append((tuple(own), type, q))
        q = data.draw(quantization("uint8")) if type == "uint8" else numbers(type)
        content = model("CONCATENATION", inputs, [(type, q)], axis=axis)
        check(content, [array(data.draw, type, s) for s, _, _ in inputs])

    run()


@pytest.mark.parametrize("type", [t for t in TYPES if t != "bool"])
def test_pack_and_unpack(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(0, 3, 4))
        axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
        count = data.draw(st.integers(1, 4))
        content = model(
            "PACK", [(shape, type, numbers(type))] * count, [(type, numbers(type))], values_count=count, axis=axis
        )
        check(content, [array(data.draw, type, shape) for _ in range(count)])
        if type == "int64":
            return
        at = axis + len(shape) + 1 if axis < 0 else axis
        whole = (*shape[:at], count, *shape[at:])
        content = model("UNPACK", [(whole, type, numbers(type))], [(type, numbers(type))] * count, num=count, axis=axis)
        check(content, [array(data.draw, type, whole)])

    run()


@pytest.mark.parametrize("type", [t for t in TYPES if t != "bool"])
def test_split_and_split_v(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 4))
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
        lengths = data.draw(st.lists(st.integers(0, 3), min_size=1, max_size=4))
        whole = list(shape)
        whole[axis] = sum(lengths)
        if whole[axis]:
            wanted = list(lengths)
            if data.draw(st.booleans()):
                wanted[data.draw(st.integers(0, len(wanted) - 1))] = -1
            kind = data.draw(st.sampled_from([np.int32, np.int64]))
            constants = [np.array(wanted, kind), np.array(axis, np.int32)]
            outputs = [(type, numbers(type))] * len(lengths)
            content = model("SPLIT_V", [(whole, type, numbers(type))], outputs, constants, num_splits=len(lengths))
            check(content, [array(data.draw, type, whole)])
        count = data.draw(st.integers(1, 3))
        whole[axis] = shape[axis] * count
        outputs = [(type, numbers(type))] * count
        inputs = [(whole, type, numbers(type))]
        content = model("SPLIT", inputs, outputs, [np.array([axis], np.int32)], order=[1, 0], num_splits=count)
        check(content, [array(data.draw, type, whole)])

    run()


@pytest.mark.parametrize("type", (*TYPES, "string"))
def test_tile(official, type):
    @differential()
    @given(st.data())
    def run(data):
        shape = data.draw(shapes(1, 4, 3))
        times = data.draw(st.lists(st.integers(0, 3), min_size=len(shape), max_size=len(shape)))
        if type == "string":
            times = [max(n, 1) for n in times]
        kind = data.draw(st.sampled_from([np.int32, np.int64]))
        content = model("TILE", [(shape, type, {})], [(type, {})], [np.array(times, kind)], version=2)
        check(content, [array(data.draw, type, shape)])

    run()


@pytest.mark.parametrize("type", TYPES)
def test_broadcast_to(official, type):
    @differential()
    @given(st.data())
    def run(data):
        a, b = data.draw(broadcasting(4, 3))
        full = max(a, b, key=len)
        small = min(a, b, key=len)
        kind = data.draw(st.sampled_from([np.int32, np.int64]))
        content = model("BROADCAST_TO", [(small, type, {})], [(type, {})], [np.array(full, kind)], version=3)
        check(content, [array(data.draw, type, small)])

    run()


@pytest.mark.parametrize("type", ("int32", "int64"))
def test_broadcast_args(official, type):
    @differential()
    @given(st.data())
    def run(data):
        a, b = (np.array(s, type) for s in data.draw(broadcasting(5, 4)))
        content = model("BROADCAST_ARGS", [(a.shape, type, {}), (b.shape, type, {})], [(type, {})])
        check(content, [a, b])

    run()


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
