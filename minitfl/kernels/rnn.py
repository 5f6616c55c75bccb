"""RNN, UNIDIRECTIONAL_SEQUENCE_RNN, BIDIRECTIONAL_SEQUENCE_RNN: the plain recurrent cell (Elman, 1990).

    h = act(W x + A aux + R h + bias),  y = h

RNN sees one step, x (batch, depth), y (batch, units). The others see a sequence: x (batch, time, depth), or (time,
batch, depth) if time_major, and y likewise. The state h (batch, units) is a variable and outlives the run.

BIDIRECTIONAL_SEQUENCE_RNN has two cells, the second of which goes backward in time. Their results are two outputs, or
the columns of one if merge_outputs. With auxiliary weights both cells also see the sequence aux; without them aux is
what the second cell sees in the place of x.

    x        W, A, R      bias, h, y   kernel
    float32  float32      float32      rnn_float
    float32  int8, uint8  float32      rnn_hybrid
"""

from __future__ import annotations

from minitfl.graph import Tensor
from minitfl.kernels.broadcast import refused
from minitfl.kernels.fused import activate
from minitfl.kernels.hybrid import hybrid_product, hybrid_weights
from minitfl.kernels.sequence import FORWARD, columns_in_time, in_time, joined, seen_by_both, time_axis
from minitfl.op import Call, Kernel, Site, op


@Kernel
def rnn_float(activation, way, w, aux_w, recurrent, bias, x, aux, h, y):
    """y = h = act(w @ x + aux_w @ aux + recurrent @ h + bias), step by step, without aux where it is None.

    w (units, depth), aux_w (units, aux depth), recurrent (units, units); the way is one of sequence's.
    """
    _run(lambda x, w: x @ w.T, activation, way, w, aux_w, recurrent, bias, x, aux, h, y)


@Kernel
def rnn_hybrid(asymmetric, activation, way, w, aux_w, recurrent, bias, x, aux, h, y):
    """rnn_float for weights in hybrid_stacks; what meets them is brought to 8 bits row by row."""
    _run(lambda x, w: hybrid_product(x, w, asymmetric), activation, way, w, aux_w, recurrent, bias, x, aux, h, y)


def _run(product, activation, way, w, aux_w, recurrent, bias, x, aux, h, y):
    """All steps of time; h is overwritten in place."""
    x, y = in_time(x, way), columns_in_time(y, way, h.shape[1])
    aux = None if aux is None else in_time(aux, way)
    for t in range(len(x)):
        total = bias + product(x[t], w)
        if aux is not None:
            total += product(aux[t], aux_w)
        total += product(h, recurrent)
        activate(total, activation)
        h[...] = total
        y[t] = total


# ---- preparations


@op("RNN", max_version=3, pure=False)
def rnn(site: Site) -> Call:
    site.arity(5, 1)
    x = site.input(0)
    _check_types(site)
    site.expect(x.rank == 2, f"the input has the shape {x.shape}, not two axes")
    y = site.output(0).reshaped(x.known_shape[0], _units(site, 1))
    return _cell(site, 1, x.reshaped(1, *x.known_shape), None, None, FORWARD, y, y.reshaped(1, *y.known_shape))


@op("UNIDIRECTIONAL_SEQUENCE_RNN", max_version=3, pure=False)
def unidirectional_sequence_rnn(site: Site) -> Call:
    site.arity(5, 1)
    _check_types(site)
    x = _sequence(site, site.input(0))
    y = site.output(0).reshaped(*x.known_shape[:2], _units(site, 1))
    return _cell(site, 1, x, None, None, (time_axis(site), 1, 0), y, y)


@op("BIDIRECTIONAL_SEQUENCE_RNN", max_version=3, pure=False)
def bidirectional_sequence_rnn(site: Site) -> Call:
    merged = site.options.merge_outputs
    site.arity(12, 1 if merged else 2)
    x, aux = _sequence(site, site.input(0)), site.optional(9)
    aux_weights = site.optional(10), site.optional(11)
    site.expect(len({t is None for t in aux_weights}) == 1, "one cell has auxiliary weights, the other has none")
    crossed = aux_weights[0] is not None
    if aux is not None:
        _sequence(site, aux)
        site.expect(aux.known_shape[:2] == x.known_shape[:2], f"the inputs are {x.shape} and {aux.shape}")
    site.expect(aux is not None or not crossed, "auxiliary weights without an auxiliary input")
    second, aux = seen_by_both(x, aux, crossed)
    lead, units = x.known_shape[:2], (_units(site, 1), _units(site, 5))
    if merged:
        y = back_y = site.output(0).reshaped(*lead, sum(units))
    else:
        y, back_y = (site.output(i).reshaped(*lead, n) for i, n in enumerate(units))
    axis = time_axis(site)
    return joined(
        _cell(site, 1, x, aux, aux_weights[0], (axis, 1, 0), y, y),
        _cell(site, 5, second, aux, aux_weights[1], (axis, -1, units[0] if merged else 0), back_y, back_y),
    )


def _check_types(site: Site) -> None:
    """Of the weights of one cell; those of two are officially looked at when they run."""
    w, recurrent = site.input(1), site.input(2)
    site.expect(w.type == recurrent.type, f"weights of {w.type} and recurrent weights of {recurrent.type}")


def _sequence(site: Site, x: Tensor) -> Tensor:
    site.expect(x.rank == 3, f"the input has the shape {x.shape}, not three axes")
    return x


def _units(site: Site, first: int) -> int:
    """The rows of the weights at input `first`."""
    w = site.input(first)
    site.expect(w.rank == 2, f"the weights have the shape {w.shape}, not two axes")
    return w.known_shape[0]


def _cell(
    site: Site, first: int, x: Tensor, aux: Tensor | None, aux_w: Tensor | None, way: tuple, output: Tensor, y: Tensor
) -> Call:
    """The call of one cell, whose weights, recurrent weights, bias and state are the inputs from `first` on."""
    w, recurrent, bias, h = (site.input(first + i) for i in range(4))
    batch, units = x.known_shape[1 - way[0]], w.known_shape[0]
    wanted = [("w", w, (units, x.known_shape[2])), ("recurrent", recurrent, (units, units)), ("bias", bias, (units,))]
    wanted.append(("state", h, (batch, units)))
    if aux is not None and aux_w is not None:
        wanted.append(("aux_w", aux_w, (units, aux.known_shape[2])))
    for what, t, shape in wanted:
        site.expect(t.known_shape == shape, f"{what} has the shape {t.shape}, not {shape}")
    for t in (x, aux, bias, h, y):
        if t is not None and t.type != "float32":
            site.unsupported(f"an RNN with a tensor of {t.type} where float32 is expected")
    if not h.is_variable:
        return refused(output, f"the state '{h.name}' is no variable")
    if w.type not in ("float32", "int8", "uint8"):
        return refused(output, f"an RNN with weights of {w.type} is not supported")
    for t in (recurrent, aux_w):
        site.expect(t is None or t.type == w.type, f"weights of {w.type} and of {t and t.type}")
    activation = site.enum("fused_activation_function", "ActivationFunctionType")
    arrays = (bias, x, aux, h, y)
    depth = x.known_shape[2] + (0 if aux is None else aux.known_shape[2])
    bound = 16 * batch * (units * 4 + depth)
    if w.type == "float32":
        args = (activation, way, w, aux_w, recurrent, *arrays)
        return Call(rnn_float, args, (output,), mutates=(h,), workspace=bound)
    stacks = tuple(None if t is None else hybrid_weights(site, t) for t in (w, aux_w, recurrent))
    args = (bool(site.options.asymmetric_quantize_inputs), activation, way, *stacks, *arrays)
    return Call(rnn_hybrid, args, (output,), mutates=(h,), workspace=bound)
