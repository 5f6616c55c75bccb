"""One-op models of element-wise operators, for the tests of their families."""

import numpy as np
from hypothesis import strategies as st

from minitfl.build import Model
from tests.cases import broadcasting, quantization, shapes


def model(op, operands, result, version=1, **options):
    """Its content. Operands and result are (type, shape, {quantization}); a constant has its array fourth."""
    m = Model()
    handles = []
    for type, shape, numbers, *data in operands:
        if data:
            handles.append(m.constant(data[0], type=type, **numbers))
        else:
            handles.append(m.input(shape, type, **numbers))
    type, shape, numbers = result
    y = m.tensor(shape, type, **numbers)
    m.op(op, handles, [y], version=version, **options)
    m.output(y)
    return m.content()


def shape_of(*shapes):
    return np.broadcast_shapes(*shapes)


@st.composite
def two_shapes(draw):
    """Shapes of two operands: the same, broadcasting, scalars, empty, up to 6 axes."""
    kind = draw(st.integers(0, 9))
    if kind < 4:
        shape = draw(shapes(0, 4, 6))
        return shape, shape
    if kind < 8:
        return draw(broadcasting(4, 5))
    if kind == 8:
        return draw(broadcasting(6, 3))
    shape = draw(shapes(1, 3, 4, min_side=0))
    return shape, shape


def numbers(draw, type, low=2.0**-9, high=2.0):
    """Quantization of that type with a scale in low..high."""
    scale = draw(
        st.floats(np.log2(low), np.log2(high)) | st.integers(int(np.ceil(np.log2(low))), int(np.floor(np.log2(high))))
    )
    return {**draw(quantization(type)), "scale": float(np.float32(2.0**scale))}


def zeros(type, shape):
    """An array of the type as a caller gives it."""
    if type == "string":
        return np.full(shape, b"", object)
    if type == "bfloat16":
        import ml_dtypes

        return np.zeros(shape, ml_dtypes.bfloat16)
    return np.zeros(shape, "int8" if type == "int4" else type)
