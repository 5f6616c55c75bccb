"""The numbers of the integer LSTM cells: from scales to multipliers, from zero points to what is added to sums.

Both cells: a matrix takes stored numbers of one scale to sums of scale * w_scale, which a multiplier brings to the
scale of an intermediate tensor. All factors are computed in float32, as the official preparations do.
"""

from __future__ import annotations

import numpy as np

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.kernels.fixedpoint import power_of_two, quantize_multiplier
from minitfl.kernels.lstm_weights import GATES, Weights, row_sums, stack_of, stored_kinds
from minitfl.op import Site

f32 = np.float32


def int_numbers(site: Site, w: Weights, x: Tensor, h: Tensor, c: Tensor, y: Tensor, clips: tuple) -> tuple:
    """(numbers, sequences, vectors) of lstm_int.

    Intermediates: the sums of the four gates, which count only before layer normalisation, and o * tanh(c).
    """
    middle = site.intermediates
    hidden, norm = middle[4], "forget_norm" in w
    exponent = power_of_two(c.scale)
    if exponent is None or exponent > -9:
        raise ModelError(f"the cell state's scale {c.scale} is no power of 2 up to 2**-9")
    gates = [g for g in GATES if f"input_to_{g}" in w]
    scales = {g: f32(middle[GATES.index(g)].scale) if norm else f32(2.0**-12) for g in gates}
    real = {"projection": f32(w["projection"].scale) * f32(hidden.scale) / f32(h.scale)} if "projection" in w else {}
    factors, guards = {"hidden": _factor(f32(2.0**-30) / f32(hidden.scale))}, {}
    for g in gates:
        for kind, source in (("input_to", x), ("recurrent_to", h)):
            real[f"{kind}_{g}"] = f32(w[f"{kind}_{g}"].scale) * f32(source.scale) / scales[g]
        if f"cell_to_{g}" in w:
            factors[f"cell_to_{g}"] = _factor(f32(2.0**exponent) * f32(w[f"cell_to_{g}"].scale) / scales[g])
        if norm:
            coefficients = f32(w[f"{g}_norm"].scale)
            factors[f"{g}_norm"] = _factor(coefficients)
            guards[g] = max(1, int(f32(10000) * coefficients))
    zeros = {"input_to_": -x.zero, "recurrent_to_": -h.zero, "projection": hidden.zero}
    stacks = {}
    for kind, names in stored_kinds(w).items():
        matrices = [w[name] for name in names]
        floats, bounds = stack_of(site, matrices, 128)
        sums = row_sums(site, matrices)
        added = zeros[kind] * sums
        if kind == "input_to_" and not norm:
            added = added + np.concatenate([site.value(w[f"{g}_bias"]) for g in gates])
        if kind == "projection" and "projection_bias" in w:
            added = added + site.value(w["projection_bias"])
        rows = len(sums) // len(names)
        factor = np.repeat(np.array([_factor(real[name]) for name in names], np.int64), rows, axis=0)
        stacks[kind] = (floats, bounds, tuple(name[len(kind) :] for name in names), added, *factor.T)
    cell_clip = int(min(clips[0] / f32(c.scale), f32(32767))) if clips[0] > 0 else 0
    numbers = (stacks, factors, guards, exponent, cell_clip, _proj_clip(clips[1], y), hidden.zero, h.zero)
    vectors = {name: t for name, t in w.items() if name not in real and name != "projection_bias"}
    return numbers, (x,), vectors


def int8_numbers(site: Site, w: Weights, x: Tensor, h: Tensor, c: Tensor, y: Tensor, clips: tuple) -> tuple:
    """(numbers, sequences, vectors) of lstm_int8.

    Intermediates, three a gate: the sum, what comes of x, what comes of h. The input gate's are not used.
    """
    middle = site.intermediates
    for name in ("forget_norm", "projection", "projection_bias"):
        site.expect(name in w, f"the weights {name} are missing, which this cell can't do without")
    site.expect(c.scale == 2.0**-15, f"the cell state's scale is {c.scale}, not 2**-15")
    stacks, norms = {}, {}
    for at, g in enumerate(GATES[1:], 1):
        total, *parts = middle[3 * at : 3 * at + 3]
        for kind, source, part in zip(("input_to", "recurrent_to"), (x, h), parts, strict=True):
            t = w[f"{kind}_{g}"]
            floats, bounds = stack_of(site, [t], 128)
            sums = row_sums(site, [t])
            real = f32(t.scale) * f32(source.scale) / f32(part.scale)
            again = f32(part.scale) / f32(total.scale)
            stacks[f"{kind}_{g}"] = floats, bounds, -source.zero * sums, _factor(real), part.zero, _factor(again)
        multiplier, shift = _factor(f32(w[f"{g}_norm"].scale))
        norms[g] = f32(multiplier * 2.0 ** (shift - 31))
    floats, bounds = stack_of(site, [w["projection"]], 32768)
    real = f32(w["projection"].scale) * f32(2.0**-15) / f32(h.scale)
    stacks["projection"] = floats, bounds, site.value(w["projection_bias"]).astype(np.int64), _factor(real), h.zero
    cell_clip = int(min(clips[0] / f32(c.scale), f32(32767))) if 0 < clips[0] < 1 else 0
    vectors = {name: w[name] for g in GATES[1:] for name in (f"{g}_norm", f"{g}_bias")}
    return (stacks, norms, cell_clip, _proj_clip(clips[1], y)), (x,), vectors


def _factor(real: np.float32) -> tuple[int, int]:
    return quantize_multiplier(float(real))


def _proj_clip(clip: np.float32, y: Tensor) -> int:
    return int(min(clip / f32(y.scale), f32(127))) if clip > 0 else 0
