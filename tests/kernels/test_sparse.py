"""DENSIFY, and sparse constants as the weights of other ops."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl.build import Model
from minitfl.kernels.sparse import densify
from tests.cases import check, compare, differential, ours
from tests.kernels.convolutions import drawn
from tests.kernels.sparse import constant, draw_format, draw_sparse
from tests.sweep import TYPES, sweep


def one(dense, *format, type=None, y="float32", **fields):
    """The bytes of one DENSIFY."""
    m = Model()
    m.input((1,), "float32")
    out = m.tensor(dense.shape, y)
    m.op("DENSIFY", [constant(m, dense, *format, type=type, **fields)], [out])
    m.output(out)
    return m.content()


UNUSED = [np.zeros(1, np.float32)]  # a model without inputs can't be run officially

# ---- worked by hand


def test_by_hand():
    # rows 0 and 2 of 3 hold something; of 2x1 blocks along the columns
    sparsity = {
        "traversal_order": [0, 1, 2],
        "block_map": [1],
        "dim_metadata": [
            {"format": 1, "array_segments": np.int32([0, 2]), "array_indices": np.int32([0, 2])},
            {"format": 1, "array_segments": np.int32([0, 1, 3]), "array_indices": np.int32([1, 0, 1])},
            {"format": 0, "dense_size": 2},
        ],
    }
    dense = densify(np.int8([1, 2, 3, 4, 5, 6]), (3, 4), sparsity)
    assert dense.tolist() == [[0, 0, 1, 2], [0, 0, 0, 0], [3, 4, 5, 6]]


# ---- against the official runtime


@pytest.mark.parametrize("type", ("float32", "float16", "int8"))
def test_densify(official, type):
    @differential()
    @given(st.data())
    def run(data):
        rng = drawn(data)
        rank = int(rng.integers(1, 5))
        shape = tuple(
            int(n) for n in rng.choice([[1, 3, 16, 40], [1, 3, 4, 8], [1, 2, 3, 4], [1, 2, 2, 3]][rank - 1], rank)
        )
        dense = draw_sparse(rng, type, shape)
        content = one(dense, *draw_format(rng, shape), y=type)
        assert check(content, UNUSED) == "equal"
        np.testing.assert_array_equal(ours(content, UNUSED)[0], dense)

    run()


def test_the_output_has_the_type_of_the_input(official):
    content = one(np.int8([[0, 3], [0, 0]]), [0, 1], "ds", y="float32")
    compare(ours(content, UNUSED), official.run(content, UNUSED))


# ---- as weights of other ops


@pytest.mark.parametrize("type", ("float32", "int8"))
@pytest.mark.parametrize("op", ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "BATCH_MATMUL"))
def test_a_sparse_filter_is_one_like_any_other(op, type):
    """The official kernels read the values that are stored as if they were dense."""

    @differential(20)
    @given(st.data())
    def run(data):
        rng = drawn(data)
        shape = (4, 4) if op == "BATCH_MATMUL" else (1 if op[0] == "D" else 4, 2, 2, 4)
        dense, format = draw_sparse(rng, type, shape), draw_format(rng, shape)
        x = rng.integers(-99, 99, (3, 4) if op == "BATCH_MATMUL" else (1, 3, 3, 4)).astype(type)
        numbers = {"scale": 0.5, "zero_point": 0} if type == "int8" else {}
        results = []
        for sparse in (True, False):
            m = Model()
            w = constant(m, dense, *format, **numbers) if sparse else m.constant(dense, **numbers)
            handles = [m.input(x.shape, type, **numbers), w]
            if op == "TRANSPOSE_CONV":
                handles = [m.constant(np.int32([1, 4, 4, 4])), w, handles[0]]
            elif op != "BATCH_MATMUL":
                handles.append(m.constant(np.arange(4).astype("int32" if type == "int8" else type), **numbers))
            y = m.tensor((), type, **numbers)
            options = {} if op == "BATCH_MATMUL" else {"padding": "VALID", "stride_h": 1, "stride_w": 1}
            m.op(op, handles, [y], **options)
            m.output(y)
            results.append(ours(m.content(), [x])[0])
        np.testing.assert_array_equal(*results)

    run()


# ---- refusals


def test_types(official):
    def make(type):
        dense = np.array([[b"", b"a"], [b"", b""]], object) if type == "string" else np.array([[0, 1], [0, 0]])
        if type != "string":
            dense = dense.astype({"int4": "int8", "bfloat16": "uint16"}.get(type, type))
        return one(dense, [0, 1], "ds", type=type, y=type), UNUSED

    assert sweep(make, [TYPES]) == {("float32",), ("float16",), ("int8",)}


@pytest.mark.parametrize("constant", (False, True))
def test_what_is_not_sparse_is_refused(official, constant):
    m = Model()
    x = m.constant(np.ones((2, 2), np.float32)) if constant else m.input((2, 2))
    y = m.tensor((2, 2))
    m.input((1,))
    m.op("DENSIFY", [x], [y])
    m.output(y)
    inputs = UNUSED if constant else [np.ones((2, 2), np.float32), *UNUSED]
    assert check(m.content(), inputs, must_run=False) == "error at allocate"
