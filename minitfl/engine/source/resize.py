"""Images of another size, each value mixed of four: RESIZE_BILINEAR.

The rows above and below a place come with the weight of the lower one, and so do the columns left and right of it; all
of them are tabulated.
"""

from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.resize import BILINEAR, PLACE
from minitfl.engine.source.ir import (
    F32,
    I8,
    I32,
    address,
    constant,
    first_lanes,
    inline,
    load,
    loop,
    number,
    splat,
    store_masked,
    vector,
    word,
)

LANES = compiled().lanes
FLOATS, WHOLE, BYTES = (vector(element, LANES) for element in (F32, I32, I8))
PLACE_NBYTES = 8 * len(PLACE)
ONE = 1024  # of the weights of int8


def mix_float(b, corners, down, across):
    """Columns first: each is rounded as it falls."""
    down, across = (splat(b, b.bitcast(weight, F32), LANES) for weight in (down, across))
    top_left, top_right, bottom_left, bottom_right = corners
    one = constant(FLOATS, 1)
    left = b.fadd(b.fmul(top_left, b.fsub(one, down)), b.fmul(bottom_left, down))
    right = b.fadd(b.fmul(top_right, b.fsub(one, down)), b.fmul(bottom_right, down))
    return b.fadd(b.fmul(left, b.fsub(one, across)), b.fmul(right, across))


def mix_uint8(b, corners, down, across):
    """In the order of the official kernel, 0.5 added at the end and the fraction cut off."""
    down, across = (splat(b, b.bitcast(weight, F32), LANES) for weight in (down, across))
    corners = [b.uitofp(corner, FLOATS) for corner in corners]
    one = constant(FLOATS, 1)
    up, near = b.fsub(one, down), b.fsub(one, across)
    total = None
    for corner, row, column in zip((0, 2, 1, 3), (up, down, up, down), (near, near, across, across)):
        term = b.fmul(b.fmul(corners[corner], row), column)
        total = term if total is None else b.fadd(total, term)
    return b.trunc(b.fptosi(b.fadd(total, constant(FLOATS, 0.5)), WHOLE), BYTES)


def mix_int8(b, corners, down, across):
    """Weights in 1024ths; rounded half away from zero."""
    down, across = splat(b, down, LANES), splat(b, across, LANES)
    one = constant(WHOLE, ONE)
    up, near = b.sub(one, down), b.sub(one, across)
    top_left, top_right, bottom_left, bottom_right = (b.sext(corner, WHOLE) for corner in corners)
    left = b.add(b.mul(top_left, up), b.mul(bottom_left, down))
    right = b.add(b.mul(top_right, up), b.mul(bottom_right, down))
    total = b.add(b.mul(left, near), b.mul(right, across))
    half = b.add(constant(WHOLE, ONE * ONE // 2), b.ashr(total, constant(WHOLE, 31)))
    return b.trunc(b.ashr(b.add(total, half), constant(WHOLE, 20)), BYTES)


def make_bilinear(mix, stored):
    nbytes = LANES * (4 if stored is FLOATS else 1)

    def emit(b, top, bottom, left, right, down, across, y, channels_nbytes):
        down, across = b.trunc(down, I32), b.trunc(across, I32)

        def vectors(i, carried):
            places = [b.add(b.add(row, column), i) for row in (top, bottom) for column in (left, right)]
            mixed = mix(b, [load(b, place, stored) for place in places], down, across)
            rest = b.sub(channels_nbytes, i)
            if stored is FLOATS:
                rest = b.ashr(rest, number(2))
            store_masked(b, mixed, b.add(y, i), first_lanes(b, rest, LANES))
            return []

        loop(b, channels_nbytes, [], vectors, nbytes)

    pixel = inline(types.void(*[types.int64] * 8), emit)

    def bilinear(block, slots, first, last):
        """Rows first..last - 1 of y, of all images."""
        x, y = address(block, slots, BILINEAR.x), address(block, slots, BILINEAR.y)
        rows, columns = address(block, slots, BILINEAR.rows), address(block, slots, BILINEAR.columns)
        height, width = word(block, BILINEAR.out_height), word(block, BILINEAR.out_width)
        pixel_nbytes = word(block, BILINEAR.pixel_nbytes)
        for unit in range(first, last):
            image = unit // height
            row = rows + (unit - image * height) * PLACE_NBYTES
            start = x + image * word(block, BILINEAR.image_nbytes)
            target = y + unit * width * pixel_nbytes
            for i in range(width):
                column = columns + i * PLACE_NBYTES
                pixel(
                    start + word(row, PLACE.before),
                    start + word(row, PLACE.after),
                    word(column, PLACE.before),
                    word(column, PLACE.after),
                    word(row, PLACE.weight),
                    word(column, PLACE.weight),
                    target,
                    pixel_nbytes,
                )
                target += pixel_nbytes
        return 0

    return bilinear


KERNELS = {
    "bilinear_f32": make_bilinear(mix_float, FLOATS),
    "bilinear_i8": make_bilinear(mix_int8, BYTES),
    "bilinear_u8": make_bilinear(mix_uint8, BYTES),
}
