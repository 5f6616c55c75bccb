"""The fused activation of the operators that take any of them on floats: hybrid FULLY_CONNECTED, SVDF, the LSTMs."""

from __future__ import annotations

import numpy as np

from minitfl.kernels.fixedpoint import float_activation_range

ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")


def activate(x, activation):
    """The activation of x, in place. NaN becomes the low end where it clamps; SIGN_BIT is 1 below zero, else 0."""
    if activation == "TANH":
        np.tanh(x, out=x)
    elif activation == "SIGN_BIT":
        x[...] = np.signbit(x)
    elif activation != "NONE":
        low, high = float_activation_range(activation)
        np.minimum(x, np.float32(high), out=x)
        np.fmax(x, np.float32(low), out=x)
