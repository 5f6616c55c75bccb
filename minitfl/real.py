"""Real numbers for quantized tensors: real = scale * (stored - zero)."""

from __future__ import annotations

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.fixedpoint import round_away, stored_range


def is_quantized(tensor: Tensor) -> bool:
    """Are its values integers that stand for reals?"""
    return tensor.quantization is not None and tensor.dtype.kind in "iu" and not tensor.quantization.block_size


def quantize(values: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The stored integers that QUANTIZE gives: nearest to value / scale, half away from zero, within the type's range.

    The division is one of float32. NaN is refused.
    """
    reals = np.asarray(values).astype(np.float32)
    if np.isnan(reals).any():
        raise ValueError(f"NaN has no place in the quantized tensor {tensor.index} '{tensor.name}'")
    scale, zero = _spread(tensor, reals.ndim)
    low, high = stored_range(tensor.type)
    steps = round_away(reals / scale.astype(np.float32)).astype(np.float64)
    return np.clip(steps + zero, low, high).astype(tensor.dtype)


def dequantize(stored: np.ndarray, tensor: Tensor) -> np.ndarray:
    """The reals, float32, that stored integers stand for."""
    scale, zero = _spread(tensor, np.ndim(stored))
    return np.asarray(scale * (np.asarray(stored).astype(np.float64) - zero), np.float32)


def _spread(tensor: Tensor, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Scales and zero points, float64, shaped to meet an array of that rank."""
    scale, zero = tensor.scales.astype(np.float64), tensor.zeros.astype(np.float64)
    if scale.size == 1:
        return scale.reshape(()), zero.reshape(())
    assert tensor.quantization is not None
    shape = [1] * rank
    shape[tensor.quantization.axis] = -1
    return scale.reshape(shape), zero.reshape(shape)
