"""EMBEDDING_LOOKUP, EMBEDDING_LOOKUP_SPARSE, HASHTABLE_LOOKUP."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import RANGES, SEEDS, OursFailed, array, check, differential, ours
from tests.kernels.one_op import Arg, blank, one_op, run
from tests.sweep import TYPES, sweep

PLAIN = ("float32", "float16", "bfloat16", "float64", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64")
PLAIN += ("uint64", "bool", "complex64", "complex128")
ODD = ("int4", "int2", "uint4", "float8_e4m3fn", "float8_e5m2")  # no input can be given as these
STORED = ("int8", "uint8", "int4", "int2")
REAL = ("float32", "float16")


def lookup(indices, table, output, **keywords):
    return one_op("EMBEDDING_LOOKUP", [_arg(indices, np.int32), table], [output], **keywords)


def blockwise(table, type, size, scales, indices, output="float32"):
    """A model whose table has one scale for each `size` numbers of a row."""
    m = Model()
    i, s = m.input((len(indices),), "int32"), m.constant(np.asarray(scales, np.float16))
    details = {"scales": s, "zero_points": -1, "block_size": size}
    x = m.constant(table, type=type, quantization={"details_type": 2, "details": details})
    y = m.tensor((len(indices), *table.shape[1:]), output)
    m.op("EMBEDDING_LOOKUP", [i, x], [y], version=5)
    m.output(y)
    return m.content(), [np.int32(indices)]


def sparse(ids, indices, shape, w, x, combiner="SUM", output="float32", constant=True):
    arguments = [_arg(ids, np.int32), _arg(indices, np.int32), _arg(shape, np.int32), _arg(w, np.float32)]
    arguments[2].constant = constant
    x = x if isinstance(x, Arg) else Arg(np.asarray(x, np.float32))
    return one_op("EMBEDDING_LOOKUP_SPARSE", [*arguments, x], [output], combiner=combiner)


def table(wanted, keys, x, output=None, hits="uint8"):
    arguments = [_arg(wanted, np.int32), _arg(keys, np.int32), x if isinstance(x, Arg) else Arg(x)]
    return one_op("HASHTABLE_LOOKUP", arguments, [output or arguments[2].type, hits])


def _arg(values, dtype):
    return values if isinstance(values, Arg) else Arg(np.asarray(values, dtype))


# ---- worked by hand


def test_rows():
    (y,) = run("EMBEDDING_LOOKUP", [np.int32([2, 0, 2]), Arg(np.int16([[1, 2], [3, 4], [5, 6]]))], ["int16"])
    assert y.tolist() == [[5, 6], [1, 2], [5, 6]]


def test_rows_with_a_scale_each():
    x = Arg(np.int8([[1, -2], [3, 4]]), scale=[0.5, 2])
    assert ours(*lookup([1, 0], x, "float32"))[0].tolist() == [[6, 8], [0.5, -1]]
    assert ours(*lookup([1, 0], x, "float16"))[0].tolist() == [[6, 8], [0.5, -1]]


def test_scales_of_blocks():
    x = np.array([[1, 2, 3, 4], [5, 6, 7, -8]])
    content, arrays = blockwise(x, "int4", 2, [[1, 10], [0.5, 2]], [1, 0])
    assert ours(content, arrays)[0].tolist() == [[2.5, 3, 14, -16], [1, 2, 30, 40]]


def test_strings():
    """Officially the process dies."""
    x = Arg(np.array([[b"a", b"bc"], [b"", b"d"]], object))
    assert ours(*lookup([1, 1, 0], x, "string"))[0].tolist() == [[b"", b"d"], [b"", b"d"], [b"a", b"bc"]]


@pytest.mark.parametrize("type, columns", [("int4", 3), ("int2", 5)])
def test_rows_that_end_inside_a_byte(type, columns):
    """The official kernel begins each row with a whole byte."""
    low, high = RANGES[type]
    x = np.random.default_rng(0).integers(low, high + 1, (4, columns))
    stored = Arg(x, type, constant=True, scale=0.5)
    assert np.array_equal(ours(*lookup([3, 1], stored, "float32"))[0], x[[3, 1]] / 2)
    assert np.array_equal(ours(*lookup([3, 1], stored, (type, {"scale": 0.5})))[0], x[[3, 1]])
    content, arrays = blockwise(np.concatenate([x, x], 1), type, columns, np.full((4, 2), 0.5), [3, 1])
    assert np.array_equal(ours(content, arrays)[0], np.concatenate([x, x], 1)[[3, 1]] / 2)


@pytest.mark.parametrize("combiner, expected", [("SUM", [11, 22]), ("MEAN", [2.75, 5.5]), ("SQRTN", [2.2, 4.4])])
def test_combined_rows(combiner, expected):
    x = [[1, 2], [3, 6], [2, 4]]
    if combiner == "SQRTN":  # 3 * (1, 2) + 4 * (2, 4), by the root of 9 + 16
        (y,) = ours(*sparse([0, 2], [[1, 0], [1, 5]], [3, 6], [3, 4], x, combiner))
    else:  # 3 * (3, 6) + 1 * (2, 4); the mean is that by 4
        (y,) = ours(*sparse([1, 2], [[1, 0], [1, 5]], [3, 6], [3, 1], x, combiner))
    assert y.tolist() == [[0, 0], np.float32(expected).tolist(), [0, 0]]


def test_keys():
    x = Arg(np.float32([[1, 2], [3, 4], [5, 6]]))
    y, hits = ours(*table([7, 8, -5], [-5, 0, 7], x))
    assert y.tolist() == [[5, 6], [0, 0], [1, 2]] and hits.tolist() == [1, 0, 1]


# ---- against the official runtime


def some_rows(rng, type):
    """(shape of a table, indices); rows of 4- and 2-bit numbers are whole bytes."""
    shape = [int(n) for n in rng.integers(1, 6, rng.integers(2, 5))]
    shape[-1] *= {"int4": 2, "uint4": 2, "int2": 4}.get(type, 1)
    return tuple(shape), rng.integers(0, shape[0], 0 if rng.random() < 0.05 else rng.integers(1, 7)).astype(np.int32)


def contents(draw, type, shape, rng):
    stored = "uint8" if type.startswith("float8") else type
    return Arg(array(draw, stored, shape), type, constant=type in ODD or bool(rng.random() < 0.5))


@pytest.mark.parametrize("type", [*PLAIN, *ODD])
def test_embedding_lookup(official, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape, indices = some_rows(rng, type)
        x = contents(data.draw, type, shape, rng)
        check(*lookup(Arg(indices, constant=bool(rng.random() < 0.3 and indices.size)), x, type, version=3))

    run()


@pytest.mark.parametrize("output", REAL)
@pytest.mark.parametrize("type", STORED)
def test_hybrid(official, type, output):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape, indices = some_rows(rng, type)
        numbers = {"scale": (2.0 ** rng.uniform(-12, 4, shape[0] if rng.random() < 0.6 else 1)).astype(np.float32)}
        if output == "float16" and rng.random() < 0.2:
            numbers["zero_point"] = np.full(numbers["scale"].size, 3)  # is not looked at
        if rng.random() < 0.05:
            numbers = {}
        constant = type in ("int4", "int2") or bool(rng.random() < 0.5)
        x = Arg(array(data.draw, type, shape), type, constant=constant, **numbers)
        check(*lookup(indices, x, output, version=5))

    run()


@pytest.mark.parametrize("output", REAL)
@pytest.mark.parametrize("type", ["int4", "int2"])
def test_blockwise(official, type, output):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        rows, blocks, size = (int(n) for n in rng.integers(1, 6, 3))
        size *= 2 if type == "int4" else 4
        scales = 2.0 ** rng.uniform(-8, 4, (rows, blocks))
        x = array(data.draw, type, (rows, blocks * size))
        check(*blockwise(x, type, size, scales, rng.integers(0, rows, rng.integers(1, 7)), output))

    run()


def test_many_rows(official):
    rng = np.random.default_rng(0)
    x = Arg(rng.integers(-128, 128, (50, 300)).astype(np.int8), constant=True, scale=rng.random(50))
    check(*lookup(rng.integers(0, 50, 700), x, "float32"))


@pytest.mark.parametrize("combiner", ["SUM", "MEAN", "SQRTN"])
def test_embedding_lookup_sparse(official, combiner):
    """The order of the additions is the official one, so that they are equal."""

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        count, rank = (int(n) for n in rng.integers([1, 1], [9, 4]))
        shape = rng.integers(1, 4, rank)
        x = array(data.draw, "float32", tuple(rng.integers(1, 5, rng.integers(2, 5))))
        indices = rng.integers(0, shape, (count, rank))
        if rng.random() < 0.8:
            indices = indices[np.lexsort(indices.T[::-1])]
        ids = rng.integers(0, len(x), count)
        w = rng.normal(size=count) if rng.random() < 0.5 else rng.integers(-2, 3, count)
        check(*sparse(ids, indices, shape, w, x, combiner, constant=rng.random() < 0.5))

    run()


def test_no_ids(official):
    check(*sparse([], np.zeros((0, 2)), [3, 2], [], np.ones((4, 2)), "MEAN"))


@pytest.mark.parametrize("type", [*PLAIN, *ODD, "string"])
def test_hashtable_lookup(official, type):
    """Keys in order, with gaps; in some cases twice the same, or in no order, or far apart."""

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        shape, _ = some_rows(rng, type)
        count = int(rng.integers(1, 12))
        shape = (count,) if type == "string" else (count, *shape[1:])
        kind = rng.random()
        keys = rng.integers(-9, 9, count) if kind < 0.9 else rng.choice([-(2**31), -1, 0, 2**31 - 1], count)
        keys = np.unique(keys) if kind < 0.6 else np.sort(keys) if kind < 0.8 else keys
        shape = (len(keys), *shape[1:])
        x = contents(data.draw, type, shape, rng)
        near, listed = rng.integers(-10, 10, 7), rng.choice(keys, 7)
        wanted = np.where(rng.random(7) < 0.5, near, listed)[: rng.integers(1, 8)]
        check(*table(wanted, keys, x))

    run()


# ---- refusals

ROWS = Arg(np.zeros((3, 2), np.float32))


@pytest.mark.parametrize(
    "indices, x, output",
    [
        ([3], ROWS, "float32"),
        ([-1], ROWS, "float32"),
        ([[0]], ROWS, "float32"),
        (Arg(np.int64([0])), ROWS, "float32"),
        ([0], Arg(np.zeros(3, np.float32)), "float32"),
        ([3], Arg(np.zeros((3, 2), np.int8), scale=0.5), "float32"),
        ([0], Arg(np.zeros((3, 2), np.int8), scale=0.5, zero_point=1), "float32"),
        ([0], Arg(np.zeros((3, 2), np.uint8), scale=0.5, zero_point=128), "float32"),
        ([0], Arg(np.zeros((3, 2), np.int8), scale=[1, 2], axis=1), "float32"),
        ([0], Arg(np.zeros((3, 2), np.int8), scale=[1, 2, 3]), "int8"),
        ([0], Arg(np.zeros((3, 2), np.int16), scale=[1, 2, 3]), "float32"),
        ([0], Arg(np.zeros((3, 2), np.float32), scale=[1, 2, 3]), "float32"),
    ],
)
def test_refused_rows(official, indices, x, output):
    content, arrays = lookup(indices, x, output)
    assert check(content, arrays, must_run=False).startswith("error at ")


@pytest.mark.parametrize(
    "type, shape, size, output",
    [
        ("int8", (3, 4), 2, "float32"),
        ("int4", (3, 4), 2, "int8"),
        ("int4", (3, 4), 3, "float32"),
        ("int4", (3, 2, 2), 2, "float32"),
    ],
)
def test_refused_blocks(official, type, shape, size, output):
    content, arrays = blockwise(np.zeros(shape, np.int8), type, size, np.ones((3, 2)), [0], output)
    assert check(content, arrays, must_run=False) == "error at invoke"


def test_too_few_scales_of_blocks():
    """Officially they are read from beyond their end."""
    with pytest.raises(OursFailed, match="2 scales of 6 blocks"):
        ours(*blockwise(np.zeros((3, 4), np.int8), "int4", 2, [1, 1], [0]))


def test_a_table_without_rows():
    """Officially what memory holds."""
    with pytest.raises(OursFailed, match="0 of 0"):
        ours(*lookup([0], Arg(np.zeros((0, 2), np.float32)), "float32"))


@pytest.mark.parametrize("constant", [True, False])
@pytest.mark.parametrize(
    "changed, stage",
    [
        ({"ids": [4]}, "invoke"),
        ({"ids": [-1]}, "invoke"),
        ({"shape": [3]}, "invoke"),
        ({"shape": [3, 2, 2]}, "invoke"),
        ({"ids": [0, 0]}, "allocate"),
        ({"w": [1, 1]}, "allocate"),
        ({"w": [[1]]}, "allocate"),
        ({"ids": [[0]]}, "allocate"),
        ({"indices": [0]}, "allocate"),
        ({"shape": [[3, 2]]}, "allocate"),
        ({"x": np.ones(4)}, "allocate"),
        ({"output": "int32"}, "allocate"),
        ({"ids": Arg(np.int64([0]))}, "allocate"),
        ({"indices": Arg(np.int64([[0, 0]]))}, "allocate"),
        ({"w": Arg(np.float64([1]))}, "allocate"),
    ],
)
def test_refused_sparse_rows(official, changed, stage, constant):
    usual = {"ids": [0], "indices": [[0, 0]], "shape": [3, 2], "w": [1], "x": np.ones((4, 2)), "constant": constant}
    content, arrays = sparse(**(usual | changed))
    assert check(content, arrays, must_run=False) == f"error at {stage}"


@pytest.mark.parametrize("place", [[3, 0], [-1, 0]])
def test_a_place_outside(place):
    """Officially it is left out, and memory beyond the output is divided."""
    with pytest.raises(OursFailed, match="place index out of bounds"):
        ours(*sparse([0], [place], [3, 2], [1], np.ones((4, 2))))


@pytest.mark.parametrize(
    "wanted, keys, x, output, hits, stage",
    [
        ([1], [], np.zeros((0, 2), np.float32), "float32", "uint8", "invoke"),
        ([1], [1, 2], np.zeros((3, 2), np.float32), "float32", "uint8", "allocate"),
        ([[1]], [1], np.zeros((1, 2), np.float32), "float32", "uint8", "allocate"),
        ([1], [[1]], np.zeros((1, 2), np.float32), "float32", "uint8", "allocate"),
        ([1], [1], np.full((1, 2), b"a", object), "string", "uint8", "allocate"),
        ([1], [1], np.zeros((1, 2), np.float32), "int32", "uint8", "allocate"),
        ([1], [1], np.zeros((1, 2), np.float32), "float32", "bool", "allocate"),
        (Arg(np.int64([1])), [1], np.zeros((1, 2), np.float32), "float32", "uint8", "allocate"),
        ([1], Arg(np.int64([1])), np.zeros((1, 2), np.float32), "float32", "uint8", "allocate"),
    ],
)
def test_refused_keys(official, wanted, keys, x, output, hits, stage):
    content, arrays = table(wanted, keys, x, output, hits)
    assert check(content, arrays, must_run=False) == f"error at {stage}"


def test_types(official):
    """Where types differ, and neither is a stored integer to be made real, the official kernel copies bytes."""

    def rows(x, y):
        return lookup([1], blank(x, (2, 4), constant=x == "int4"), y) if x == y or y in REAL else None

    def keyed(x, y):
        return table([1], [1, 2], blank(x, (2, 4) if x != "string" else 2, constant=x == "int4"), y)

    bytes_alone = {(x, y): "its bytes are read as int8" for x in TYPES for y in REAL if x not in ("string", y, *STORED)}
    bytes_alone |= {("string", y): "its bytes are read as int8" for y in REAL}
    taken = sweep(rows, (TYPES, TYPES), known=bytes_alone)
    same = {(t, t) for t in TYPES if t != "string"}
    assert taken == same | {(x, y) for x in ("int8", "uint8", "int4") for y in REAL}
    assert sweep(keyed, (TYPES, TYPES)) == same | {("string", "string")}
    others = {(x,): "its bytes are read as float32" for x in TYPES if x != "float32"}
    added = sweep(
        lambda x: sparse([0], [[0, 0]], [3, 2], [1], blank(x, (4, 2), constant=x == "int4")), (TYPES,), others
    )
    assert added == {("float32",)}
