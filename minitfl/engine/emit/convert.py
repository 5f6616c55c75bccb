"""QUANTIZE, DEQUANTIZE, CAST."""

from __future__ import annotations

import numpy as np

from minitfl.engine.emit import emits
from minitfl.engine.emit.elementwise import elementwise, rescaling

STORED = {"int8": "i8", "uint8": "u8", "int16": "i16"}
NAMES = STORED | {"int32": "i32", "int64": "i64", "float16": "f16", "float32": "f32", "bool": "u8"}
REQUANTIZED = {("int8", "int16"), ("uint8", "int16"), ("int16", "int8"), ("int16", "int16")}
CASTS = {
    *(("float16", "float32"), ("float32", "float16")),
    *((x, "float32") for x in ("int8", "uint8", "bool", "int16", "int32", "int64")),
    *((x, "int32") for x in ("int8", "uint8", "bool", "int16", "int64")),
    *(("int32", y) for y in ("int8", "uint8", "int16", "int64")),
    *((x, "int64") for x in ("int8", "uint8", "bool")),
    *(("int64", y) for y in ("int8", "uint8")),
}


@emits("convert.quantize")
def quantize(e, x, scale, zero, low, high, y):
    if scale.size != 1 or zero.size != 1 or x.type != "float32" or y.type not in STORED:
        return False
    scale = scale.reshape(-1)[0]
    if not 2.0**-100 < scale < 2.0**100:  # so that nothing on the way to the quotient leaves float32
        return False
    numbers = {"scale": scale, "inverse": np.float32(1) / scale, "zero": int(zero.item()), "low": low, "high": high}
    return elementwise(e, f"convert.quantize_{STORED[y.type]}", [x], y, **numbers)


@emits("convert.dequantize")
def dequantize(e, x, scale, zero, y):
    if scale.size != 1 or zero.size != 1 or x.type not in STORED:
        return False
    return elementwise(
        e, f"convert.dequantize_{STORED[x.type]}", [x], y, zero=float(zero.item()), scale=scale.reshape(-1)[0]
    )


@emits("convert.requantize")
def requantize(e, x, x_zero, multiplier, shift, y_zero, low, high, y):
    if shift > 14 or (x.type, y.type) not in REQUANTIZED:  # 16 bits, shifted to the left by more, may wrap
        return False
    numbers = {"x_zero": x_zero, **rescaling("factor", (multiplier, shift)), "zero": y_zero, "low": low, "high": high}
    return elementwise(e, f"convert.requantize_{STORED[x.type]}_{STORED[y.type]}", [x], y, **numbers)


@emits("convert.convert", "convert.to_float16")
def convert(e, x, y):
    if (x.type, y.type) not in CASTS:
        return False
    return elementwise(e, f"convert.cast_{NAMES[x.type]}_{NAMES[y.type]}", [x], y)


@emits("convert.cut_off")
def cut_off(e, x, low, high, y):
    if x.type != "float32" or y.type not in ("int8", "uint8", "int16", "int32"):
        return False
    return elementwise(e, f"convert.cut_off_{NAMES[y.type]}", [x], y)


@emits("convert.convert_to_bool")
def convert_to_bool(e, x, y):
    if x.type not in ("float32", "int32", "uint8", "int8"):
        return False
    return elementwise(e, f"convert.to_bool_{NAMES[x.type].replace('i8', 'u8')}", [x], y)
