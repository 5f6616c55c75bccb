"""STABLEHLO_GATHER, STABLEHLO_SCATTER."""

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.kernels.layout import MOVED
from minitfl.kernels.positions import COMPUTATIONS, SCATTERED
from tests.cases import OursFailed, check, ours
from tests.kernels.one_op import Arg, contents, each_case, one_op, sample, sides
from tests.sweep import TYPES, sweep

INDICES = ("int32", "int64")
TAKEN = sorted(t for t in MOVED if not t.startswith("float8"))
UPDATES = (None, *COMPUTATIONS)


def gather(x, indices, offset, collapsed, axes, at, sizes):
    rank = indices.array.ndim - (at < indices.array.ndim) + len(offset)
    options = {
        "offset_dims": offset,
        "collapsed_slice_dims": collapsed,
        "start_index_map": axes,
        "index_vector_dim": at,
        "slice_sizes": sizes,
    }
    return one_op("STABLEHLO_GATHER", [x, indices], [x.type], shape=(1,) * rank, **options)


def scatter(x, indices, updates, windows, inserted, axes, at, *nodes):
    """nodes: the ops of the update computation, one after another."""
    m = Model()
    handles = [
        m.constant(a.array, type=a.type) if a.constant else m.input(a.array.shape, a.type)
        for a in (x, indices, updates)
    ]
    y, region = m.tensor(x.array.shape, x.type), m.subgraph("update")
    there, result = region.input((), x.type), region.input((), x.type)
    for node in nodes:
        last, result = result, region.tensor((), x.type)
        region.op(node, [there, last], [result])
    region.output(result)
    options = {
        "update_window_dims": windows,
        "inserted_window_dims": inserted,
        "scatter_dims_to_operand_dims": axes,
        "index_vector_dim": at,
        "update_computation_subgraph_index": region,
    }
    m.op("STABLEHLO_SCATTER", handles, [y], **options)
    m.output(y)
    return m.content(), [a.array for a in (x, indices, updates) if not a.constant]


# ---- worked by hand


def test_a_window_is_moved_inwards():
    x = Arg(np.arange(12, dtype=np.int32).reshape(3, 4))
    # windows of 1 x 2 from row, column: (1, 1) and (9, 3), which becomes (2, 2)
    (y,) = ours(*gather(x, Arg(np.int32([[1, 1], [9, 3]])), [1], [0], [0, 1], 1, [1, 2]))
    assert y.tolist() == [[5, 6], [10, 11]]


def test_what_would_be_written_outside_is_left_out():
    x, indices, updates = (
        Arg(np.zeros((3, 2), np.int32)),
        Arg(np.int32([[2], [0], [0]])),
        np.int32([[1, 2], [3, 4], [5, 6]]),
    )
    for node, expected in (((), [[5, 6], [0, 0], [1, 2]]), (("STABLEHLO_ADD",), [[8, 10], [0, 0], [1, 2]])):
        (y,) = ours(*scatter(x, indices, Arg(updates), [1], [0], [0], 1, *node))
        assert y.tolist() == expected
    (y,) = ours(*scatter(x, Arg(np.int32([[3], [-1], [1]])), Arg(updates), [1], [0], [0], 1))
    assert y.tolist() == [[0, 0], [5, 6], [0, 0]]


def test_an_index_may_be_one_number():
    """The specification's implicit last axis; the official kernels read past the shape."""
    x = Arg(np.int32([[1, 2], [3, 4], [5, 6]]))
    (y,) = ours(*gather(x, Arg(np.int32([2, 0])), [1], [0], [0], 1, [1, 2]))
    assert y.tolist() == [[5, 6], [1, 2]]
    (y,) = ours(*scatter(x, Arg(np.int32([2])), Arg(np.int32([[8, 9]])), [1], [0], [0], 1))
    assert y.tolist() == [[1, 2], [3, 4], [8, 9]]


# ---- against the official runtime


def drawn_axes(rng, rank):
    """(axes without an offset, axes that an index is about, in any order)."""
    without = sorted(rng.permutation(rank)[: rng.integers(0, rank + 1)].tolist())
    return without, rng.permutation(rank)[: rng.integers(1, rank + 1)].tolist()


def placed_among(rng, batch, inner):
    """Some axes of a result, in order, for the sizes `inner` among those of `batch`; the shape of both together."""
    chosen = sorted(rng.permutation(len(batch) + len(inner))[: len(inner)].tolist())
    outer, inside = iter(batch), iter(inner)
    return chosen, tuple(next(inside if axis in chosen else outer) for axis in range(len(batch) + len(inner)))


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("type", TAKEN)
def test_gather(official, type, index):
    def case(rng):
        shape = sides(rng, 1, 4)
        collapsed, axes = drawn_axes(rng, len(shape))
        sizes = [1 if axis in collapsed else int(rng.integers(1, n + 1)) for axis, n in enumerate(shape)]
        batch = sides(rng, 0, 2, 3, least=0)
        at = int(rng.integers(len(batch) + 1))
        starts = rng.integers(-1, 4, (*batch[:at], len(axes), *batch[at:])).astype(index)
        offset, _ = placed_among(rng, batch, [n for axis, n in enumerate(sizes) if axis not in collapsed])
        x = Arg(contents(rng, type, shape), type, constant=bool(rng.integers(2)))
        indices = Arg(starts, constant=starts.size > 0 and bool(rng.integers(2)))
        check(*gather(x, indices, offset, collapsed, axes, at, sizes))

    each_case(case)


@pytest.mark.parametrize("index", INDICES)
@pytest.mark.parametrize("type", sorted(SCATTERED))
def test_scatter(official, type, index):
    def case(rng):
        shape = sides(rng, 1, 4)
        inserted, axes = drawn_axes(rng, len(shape))
        window = [int(rng.integers(1, n + 1)) for axis, n in enumerate(shape) if axis not in inserted]
        batch = sides(rng, 0, 2, 3, least=0)
        at = int(rng.integers(len(batch) + 1))
        starts = rng.integers(-1, 4, (*batch[:at], len(axes), *batch[at:])).astype(index)
        windows, whole = placed_among(rng, batch, window)
        x = Arg(contents(rng, type, shape, special=True), type, constant=bool(rng.integers(2)))
        indices = Arg(starts, constant=starts.size > 0 and bool(rng.integers(2)))
        updates = Arg(contents(rng, type, whole, special=True), type)
        update = UPDATES[rng.integers(len(UPDATES))]
        check(*scatter(x, indices, updates, windows, inserted, axes, at, *[update] * (update is not None)))

    each_case(case)


def test_shapes_that_change(official):
    content, _ = gather(Arg(np.zeros((3, 2), np.float32)), Arg(np.int32([[1]])), [1], [0], [0], 1, [1, 2])
    turns = [[sample("float32", (n, 2)), sample("int32", (k, 1))] for n, k in ((3, 1), (5, 4), (2, 3))]
    check(content, turns, sequence=True)


# ---- refusals and types

X, INDEX = Arg(np.zeros((3, 2), np.float32)), Arg(np.int32([[1]]))


@pytest.mark.parametrize(
    "case",
    [
        lambda: gather(X, Arg(np.int16([[1]])), [1], [0], [0], 1, [1, 2]),
        lambda: gather(X, INDEX, [1], [0], [0], 1, [1]),
        lambda: gather(X, INDEX, [1], [0], [0], 3, [1, 2]),
        lambda: scatter(X, Arg(np.int16([[1]])), Arg(np.zeros((1, 2), np.float32)), [1], [0], [0], 1),
        lambda: scatter(X, INDEX, Arg(np.zeros((1, 2), np.float32)), [1], [0], [0], 3),
        lambda: scatter(X, INDEX, Arg(np.zeros((1, 2), np.float32)), [1], [0], [0], 1, "ADD"),
        lambda: scatter(X, INDEX, Arg(np.zeros((1, 2), np.float32)), [1], [0], [0], 1, *["STABLEHLO_ADD"] * 2),
    ],
)
def test_refused(official, case):
    assert check(*case(), must_run=False) == "error at allocate"


@pytest.mark.parametrize(
    "case",
    [
        lambda: gather(X, INDEX, [1], [0], [0], 1, [1, 3]),
        lambda: gather(X, INDEX, [1], [], [0], 1, [1, 2]),
        lambda: gather(X, INDEX, [2], [0], [0], 1, [1, 2]),
        lambda: gather(X, INDEX, [1], [0], [0, 1], 1, [1, 2]),
        lambda: gather(X, INDEX, [1], [0], [2], 1, [1, 2]),
        lambda: scatter(X, INDEX, Arg(np.zeros((2, 2), np.float32)), [1], [0], [0], 1),
        lambda: scatter(X, INDEX, Arg(np.zeros((1, 2), np.int32)), [1], [0], [0], 1),
        lambda: scatter(X, INDEX, Arg(np.zeros((1, 2), np.float32)), [1], [], [0], 1),
    ],
)
def test_options_that_contradict_each_other(case):
    """The official kernels read out of bounds."""
    with pytest.raises(OursFailed) as caught:
        ours(*case())
    assert caught.value.stage == "allocate"


def test_types(official):
    def gathered(x, indices):
        return gather(Arg(sample(x, (3, 2)), x), Arg(sample(indices, (2, 1)), indices), [1], [0], [0], 1, [1, 2])

    def scattered(x, indices):
        updates = Arg(sample(x, (2, 2)), x)
        return scatter(Arg(sample(x, (3, 2)), x), Arg(sample(indices, (2, 1)), indices), updates, [1], [0], [0], 1)

    assert sweep(gathered, (TYPES, TYPES)) == {(x, i) for x in TAKEN for i in INDICES}
    assert sweep(scattered, (TYPES, TYPES)) == {(x, i) for x in SCATTERED for i in INDICES}
