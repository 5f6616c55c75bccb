"""What the sums of products share (convolutions and the like): their bias, their numbers, and how they end.

real y = act(scale_x * scale_w * (sum of (x - x_zero) * (w - w_zero) + bias)), stored with y_scale and y_zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.exact import exact_weights
from minitfl.kernels.fixedpoint import activation_range, quantize_multipliers
from minitfl.kernels.requantize import in_lines
from minitfl.op import NotYet, Site, scalar

MAGNITUDE = {"uint8": 255, "int8": 255, "int16": 32768}  # the most that |x - x_zero| can be


class Numbers(NamedTuple):
    """How an integer sum of products becomes a stored value: what requantize takes, in its order."""

    multiplier: np.ndarray  # int64 (channels,)
    shift: np.ndarray  # int64 (channels,)
    zero: int
    low: int
    high: int
    rule: str


def packed(site: Site, tensor: Tensor, layout: tuple, make: Callable[[np.ndarray], Any]) -> Any:
    """site.packed for a constant; None for what is computed while running."""
    try:
        return site.packed(tensor, layout, make)
    except NotYet:
        return None


def exact_packed(site: Site, w: Tensor, w_zero: int, x_type: str) -> tuple[Any, Any]:
    """(floats, bounds) as exact_weights makes them of constant weights; (w, None) for what is computed while running.

    With float x, which is brought to int8, the bytes of uint8 weights count as int8.
    """
    hybrid = x_type == "float32"
    most = MAGNITUDE["int8" if hybrid else x_type]

    def make(stored):
        return exact_weights(stored.view(np.int8) if hybrid else stored, w_zero, most)

    ready = packed(site, w, ("exact", w_zero, x_type), make)
    return (w, None) if ready is None else (ready[0], ready[1])


def bias_of(
    site: Site, i: int, channels: int, types: tuple[str, ...], rank: int | None = None, any_zero: bool = False
) -> Tensor | np.ndarray:
    """Input i, or zeros of the first type where it is absent. any_zero: a zero point is passed over, not refused."""
    bias = site.optional(i)
    if bias is None:
        return np.zeros(channels, {"float32": np.float32, "int64": np.int64}.get(types[0], np.int32))
    site.expect(bias.type in types, f"a bias of {bias.type} where {' or '.join(types)} is expected")
    site.expect(bias.size == channels, f"a bias of {bias.size} values for {channels} channels")
    site.expect(rank is None or bias.rank == rank, f"a bias of rank {bias.rank}")
    if bias.type != "float32" and bias.quantization is not None and bias.quantization.per_tensor and not any_zero:
        site.expect(bias.zero == 0, f"a bias with zero point {bias.zero}")
    return bias.reshaped(channels)


def image_shapes(site: Site, x: Tensor, w: Tensor) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shapes of x and w: four axes each, none of length 0 but the batch."""
    site.expect(x.rank == 4, f"an input of rank {x.rank}")
    site.expect(w.rank == 4, f"a filter of rank {w.rank}")
    site.expect(min(x.known_shape[1:]) > 0, f"an input of shape {x.shape}")
    site.expect(min(w.known_shape) > 0, f"a filter of shape {w.shape}")
    return x.known_shape, w.known_shape


def check_types(site: Site, x: Tensor, y: Tensor, filters: dict[str, tuple[str, ...]]) -> None:
    """Checks the types of input and output, and that zero points are 0 where the arithmetic leaves them out.

    filters: for each type of input, the types of filter that go with it.
    """
    if x.type not in filters:
        site.unsupported(f"an input of type {x.type}")
    site.expect(y.type == x.type, f"an output of type {y.type} with an input of type {x.type}")
    if x.type == "int16":
        for t in (x, y):
            site.expect(t.quantization is None or not t.zeros.any(), f"int16 tensor {t.index} has zero point {t.zeros}")


def check_filter(site: Site, x: Tensor, w: Tensor, filters: dict[str, tuple[str, ...]]) -> None:
    if w.type not in filters[x.type]:
        site.unsupported(wrong_filter(x, w))


def wrong_filter(x: Tensor, w: Tensor) -> str:
    return f"a filter of type {w.type} with an input of type {x.type}"


def integer_bias(
    site: Site, i: int, channels: int, x_type: str, any_zero: bool = False
) -> tuple[Tensor | np.ndarray, str]:
    """(bias, rule): input i of a convolution as bias_of gives it, and the rule that rescales its sums.

    int16 sums are meant to be 64 bits wide, and rescaled so, unless the options say that the bias is int32.
    """
    if x_type != "int16":
        return bias_of(site, i, channels, ("int32",), any_zero=any_zero), "twice"
    said = site.enum("quantized_bias_type", "TensorType").lower()
    if said == "float32":  # nothing
        return bias_of(site, i, channels, ("int64", "int32")), "wide"
    site.expect(said in ("int32", "int64"), f"quantized_bias_type is {said}")
    return bias_of(site, i, channels, (said,)), "twice" if said == "int32" else "wide"


def check_bias_scale(site: Site, bias_scale: float, product_scale: float, y_scale: float) -> None:
    """A bias is added to sums of products: its scale must be theirs, give or take 2 % of a step of the output."""
    off = abs(product_scale - bias_scale) / y_scale
    site.expect(off <= 0.02, f"the bias has scale {bias_scale} where x_scale * w_scale is {product_scale}")


def numbers(
    site: Site,
    x: Tensor,
    w: Tensor,
    bias: Tensor | np.ndarray,
    y: Tensor,
    channels: int,
    activation: str,
    rule: str,
) -> Numbers:
    """The rescaling from sums to stored values, per channel; scales are checked."""
    for what, t in (("input", x), ("filter", w), ("output", y)):
        site.expect(t.quantization is not None, f"the {what} of type {t.type} has no quantization parameters")
    scales = w.scales.astype(np.float64)
    site.expect(scales.size in (1, channels), f"{scales.size} filter scales for {channels} channels")
    if scales.size > 1:
        site.expect(x.type in ("int8", "int16"), f"a filter of {scales.size} scales with an input of {x.type}")
        axis = w.quantization.axis  # type: ignore[union-attr]
        along = w.known_shape[axis] if -1 < axis < w.rank else -1
        site.expect(along == channels, f"filter scales along axis {axis}, which has {along} values, not {channels}")
    site.expect(y.scale > 0, f"an output scale of {y.scale}")
    if x.type == "uint8":
        # this path of the official kernels is older and multiplies in float32
        product = float(np.float32(x.scale) * np.float32(w.scale))
        if isinstance(bias, Tensor):
            bias_scale = bias.scale if bias.quantization is not None else 0.0
            check_bias_scale(site, bias_scale, x.scale * w.scale, y.scale)
        factors = np.full(channels, product / y.scale)
    else:
        factors = np.broadcast_to(x.scale * scales / y.scale, channels)
    multiplier, shift = quantize_multipliers(factors)
    low, high = activation_range(activation, y.type, y.scale, y.zero)
    site.expect(low <= high, f"{activation} leaves nothing of the output's range: {low} to {high}")
    return Numbers(multiplier, shift, y.zero, low, high, rule)


def workspace(site: Site, x: Tensor, w: Tensor, y: Tensor) -> int:
    """Bytes that bound the temporaries: blocks, and the floats of a filter that is computed while running."""
    blocks = min(4 << 20, 16 * (x.size + w.size + y.size))
    try:
        site.value(w)
    except NotYet:
        return blocks + 24 * w.size
    return blocks


# ---- while running


@scalar
def within(x, low, high):
    """The nearest number of low..high; NaN stays NaN."""
    if x < low:
        return low
    return high if x > high else x


def less_zero(x_zero):
    """load(out, part, image) for stored integers, as `windows` takes it: out = part - x_zero."""

    def load(out, part, image):
        np.subtract(part, x_zero, out=out, dtype=out.dtype, casting="unsafe")

    return load


def finish(total, bias, low, high):
    """total = min(max(total + bias, low), high), in place; total (rows, channels) float."""
    for part, again in in_lines(total):
        part += np.tile(bias, again)
        if low > -math.inf:
            np.maximum(part, low, out=part)
        if high < math.inf:
            np.minimum(part, high, out=part)
