"""How far a float result may lie from the official one: the bound of each op, and why.

Sums of products: (depth + 4) * 2**-24 * sum|x * w|, the worst of `depth` roundings in any order, twice, since either
side may round. Element-wise arithmetic: 2 units in the last place; functions of the C library: 4. What is made of such
steps adds them up. sum|x * w| is computed by the kernel itself, on the absolute values and with its clamps open.
"""

import inspect

import numpy as np

EPSILON = 2.0**-24
MOVES = frozenset(
    "RESHAPE SQUEEZE EXPAND_DIMS TRANSPOSE PAD PADV2 MIRROR_PAD SPACE_TO_DEPTH DEPTH_TO_SPACE SPACE_TO_BATCH_ND "
    "BATCH_TO_SPACE_ND CONCATENATION SPLIT SPLIT_V PACK UNPACK TILE BROADCAST_TO SLICE STRIDED_SLICE GATHER GATHER_ND "
    "SELECT SELECT_V2 MAXIMUM MINIMUM RELU RELU6 RELU_N1_TO_1 RELU_0_TO_1 ABS NEG MAX_POOL_2D REDUCE_MAX REDUCE_MIN "
    "RESIZE_NEAREST_NEIGHBOR FILL ZEROS_LIKE CAST READ_VARIABLE FLOOR CEIL ROUND SIGN TOPK_V2 UNIQUE ONE_HOT "
    "HASHTABLE_LOOKUP DENSIFY REVERSE_V2 REVERSE_SEQUENCE MATRIX_DIAG MATRIX_SET_DIAG DILATE STABLEHLO_PAD "
    "STABLEHLO_GATHER STABLEHLO_SCATTER SCATTER_ND DYNAMIC_UPDATE_SLICE SPARSE_TO_DENSE RANGE".split()
)
ARITHMETIC = frozenset(
    "ADD SUB MUL DIV SQUARE SQUARED_DIFFERENCE DEQUANTIZE LEAKY_RELU PRELU FLOOR_MOD ADD_N STABLEHLO_ADD "
    "STABLEHLO_MULTIPLY FAKE_QUANT NumericVerify".split()
)
PRODUCTS = frozenset(
    "CONV_2D DEPTHWISE_CONV_2D TRANSPOSE_CONV CONV_3D CONV_3D_TRANSPOSE FULLY_CONNECTED BATCH_MATMUL".split()
)
UNITS = {"CONV_2D": 0, "TRANSPOSE_CONV": 0, "FULLY_CONNECTED": 0, "CONV_3D_TRANSPOSE": 3}  # axis of the weights
IN_ORDER = frozenset(  # sums whose order is the official one
    "CUMSUM SEGMENT_SUM UNSORTED_SEGMENT_SUM UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX UNSORTED_SEGMENT_MIN "
    "REDUCE_WINDOW STABLEHLO_REDUCE_WINDOW".split()
)
CALLS = frozenset("IF WHILE STABLEHLO_CASE STABLEHLO_COMPOSITE".split())
SUMS = frozenset("SUM MEAN AVERAGE_POOL_2D L2_POOL_2D".split())


def ulps(y, count):
    return count * np.spacing(np.abs(np.nan_to_num(y, posinf=0, neginf=0)).astype(np.float32)).astype(np.float64)


def float_bound(step, y):
    """The bound for a float output of a step that has run; y: the official output."""
    op = step.node.op
    if op in MOVES or op in IN_ORDER:
        return 0.0
    if op in ARITHMETIC:
        return ulps(y, 6 if step.kernel.__name__ == "swish" else 2)  # swish: LOGISTIC and MUL
    if op in CALLS:
        return _called_bound(step, y)
    inputs = [a for i in step.inputs if i >= 0 and (a := step.frame.arrays[i]) is not None]
    floats = [a for a in inputs if a.dtype.kind == "f" and a.size]
    most = max((float(np.abs(a).max()) for a in floats), default=0.0)
    if op in PRODUCTS:
        depth, total = sum_of_products(step)
        return (depth + 4) * EPSILON * total.reshape(y.shape) + ulps(y, 1)
    if op in SUMS:
        terms = max(floats[0].size // max(y.size, 1), 1)
        return (terms + 4) * EPSILON * terms * most if op == "SUM" else (terms + 4) * EPSILON * most
    if op == "REDUCE_PROD":
        return ulps(y, 2 * max(floats[0].size // max(y.size, 1), 1))
    if op in ("SOFTMAX", "LOG_SOFTMAX"):
        # exp of a difference that is off by half an ulp of the largest logit, then a sum over the row
        terms = floats[0].shape[-1]
        relative = (terms + 16) * EPSILON + 2 * EPSILON * most
        return relative * np.abs(y) + (relative if op == "LOG_SOFTMAX" else 1e-38)
    if op in ("L2_NORMALIZATION", "LOCAL_RESPONSE_NORMALIZATION"):
        return (floats[0].shape[-1] + 12) * EPSILON * np.abs(y) + 1e-38
    if op == "RESIZE_BILINEAR":
        return 8 * EPSILON * most
    if op == "SVDF" or op.endswith(("LSTM", "RNN")):
        # gates are sums over all inputs and the state, through functions whose slope is at most 1
        depth = max(a.shape[-1] for a in inputs if a.ndim == 2)
        return 64 * (depth + 4) * EPSILON * max(most, 1.0)
    if op in ("RFFT2D", "AudioSpectrogram", "Mfcc"):
        return _spectrum_bound(op, floats[0], y)
    return ulps(y, 4)


def _called_bound(step, y):
    """As for a cell of LSTM: the sums of all nodes add up, and the error of a turn fades in the next."""
    graph, nodes, todo = step.frame.runtime.graph, [], [step.node]
    while todo:
        options = todo.pop().options
        for name in dir(options):
            if "subgraph_ind" in name:
                for i in np.ravel(getattr(options, name)):
                    nodes += [(graph.subgraphs[i], node) for node in graph.subgraphs[i].nodes]
                    todo += [node for node in graph.subgraphs[i].nodes if node.op in CALLS]
    if all(node.op in MOVES for _, node in nodes):
        return 0.0
    shapes = [s.tensors[i].shape for s, node in nodes if node.op in PRODUCTS for i in node.inputs[1:2]]
    depth = sum(shape[-1] for shape in shapes)
    return 64 * (depth + 4) * EPSILON * max(1.0, float(np.abs(y).max(initial=0)))


def _spectrum_bound(op, x, y):
    """Computed in float64 and rounded at the end; before that each term of a transform is off by some 100 * 2**-53.

    A power (a + error)**2 is off by 2 * a * error + error**2, its root by as much where a is near 0; a logarithm by the
    relative error of what its band holds.
    """
    if op == "Mfcc":
        return ulps(y, 1) + 1e-9 * y.shape[-1]
    error = 100 * EPSILON**2 * np.abs(x.astype(np.float64)).sum()
    return ulps(y, 1) + error * (1 if op == "RFFT2D" else 1 + error + 2 * np.sqrt(np.abs(y)))


def sum_of_products(step):
    """(depth, sum|x * w| + |bias|) of a linear step, by its own kernel on absolute values."""
    kernel, args = step.kernel, step.args
    names = list(inspect.signature(kernel).parameters)
    values = dict(zip(names, args, strict=True))
    total = np.zeros(values["y"].shape, values["y"].dtype)
    for name, value in values.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            values[name] = np.abs(value)
    values.update(y=total)
    for name, limit in (("low", -np.inf), ("high", np.inf)):
        if name in values:
            values[name] = limit
    with np.errstate(all="ignore"):
        kernel(**values)
    weights = next(values[name] for name in ("w", "b", "filter") if name in values)
    axis = 0 if step.kernel.__name__.startswith("dense") else UNITS.get(step.node.op, -1)
    depth = weights.size // max(weights.shape[axis], 1)
    return depth, total.astype(np.float64)
