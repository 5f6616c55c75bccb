"""Windows that slide over an image: how many there are, and how much border they need."""

from __future__ import annotations

from minitfl.errors import ModelError


def window(padding: str, size: int, filter: int, stride: int, dilation: int = 1) -> tuple[int, int, int]:
    """(out_size, pad_before, pad_after) along one axis; padding is "SAME" or "VALID".

    Window i covers positions i * stride + k * dilation - pad_before for k in range(filter). SAME has a window for each
    stride begun, VALID one for each that fits; an odd border is larger behind.
    """
    for what, value in (("filter size", filter), ("stride", stride), ("dilation", dilation)):
        if value <= 0:
            raise ModelError(f"a {what} is {value}")
    reach = (filter - 1) * dilation + 1
    if padding == "SAME":
        out_size = (size + stride - 1) // stride
    elif padding == "VALID":
        room = size + stride - reach
        if room <= -stride:
            raise ModelError(f"a window of {reach} does not fit in {size}")
        out_size = max(room, 0) // stride  # C++ division truncates
    else:
        raise ModelError(f"padding is {padding}")
    border = max((out_size - 1) * stride + reach - size, 0)
    return out_size, border // 2, border - border // 2
