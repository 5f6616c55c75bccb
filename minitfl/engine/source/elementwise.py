"""From the code of an operation on vectors to kernels that walk through arrays, broadcast operands among them.

An operand takes part in one of three ways: it has an element for each one of a row of the result; it is a row that
serves several; or it has one number for a row, which is spread over a vector. The last one makes another kernel, as
`add_f32_spread2`. A result may lie where an operand of its size does.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

from llvmlite import ir
from numba import types
from numba.core import cgutils

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.elementwise import walk
from minitfl.engine.source.ir import (
    F16,
    F32,
    F64,
    I8,
    I16,
    I32,
    I64,
    _address,
    add,
    call,
    first_lanes,
    inline,
    load,
    loop,
    number,
    splat,
    store,
    store_masked,
    vector,
)

LANES = compiled().lanes
MASKED = LANES == 16  # AVX-512 stores some lanes of any type
TYPES = {"i8": I8, "u8": I8, "i16": I16, "i32": I32, "i64": I64, "f16": F16, "f32": F32, "f64": F64}


@dataclass(frozen=True)
class Operation:
    """start(b, numbers) gives what makes the vector of results out of vectors of operands, code for `numbers.lanes`.

    operands, result: types of elements. numbers: the operation's own words. lanes: of the last vectors of a row, which
    may be read 64 bytes past its end; unroll: times that make the vectors before.
    """

    operands: str
    result: str
    numbers: str
    start: Callable
    lanes: int = LANES
    unroll: int = 2


class Numbers:
    """The words of an operation, read before it walks and spread over vectors of `lanes`."""

    def __init__(self, b, block, slots, layout, lanes):
        self._b, self._block, self._slots, self._layout = b, block, slots, layout
        self.lanes = lanes

    def _read(self, name, type):
        value = load(self._b, add(self._b, self._block, 8 * getattr(self._layout, name)), type)
        return splat(self._b, value, self.lanes)

    def real(self, name):
        return self._read(name, F32)

    def whole(self, name, type=I32):
        return self._read(name, type)

    def address(self, name):
        return _address(self._b, self._block, self._slots, number(getattr(self._layout, name)))


def make_walk(operation, spread):
    """A kernel. spread: for each operand, has it one number for a row?"""
    operands = [TYPES[name] for name in operation.operands.split()]
    result = TYPES[operation.result]
    sizes = [nbytes(type) for type in (result, *operands)]
    layout = walk(len(operands), operation.numbers)
    few, many = operation.lanes, operation.lanes * operation.unroll

    def emit(b, block, slots, first, last):
        def word(name):
            return load(b, add(b, block, 8 * getattr(layout, name)), I64)

        names = ["y", *(f"x{i + 1}" for i in range(len(operands)))]
        starts = [_address(b, block, slots, number(getattr(layout, name))) for name in names]
        rows, length, group, part = (word(name) for name in ("rows", "length", "group", "block"))
        along = [length, *(word(f"{name}_row") for name in names[1:])]
        along[0] = b.mul(length, number(sizes[0]))
        outward = [b.mul(rows, along[0]), *(word(f"{name}_outer") for name in names[1:])]
        parts, groups = quotient_up(b, length, part), quotient_up(b, rows, group)
        compute = {n: operation.start(b, Numbers(b, block, slots, layout, n)) for n in {few, many}}
        steps = [sizes[0], *(0 if one else size for one, size in zip(spread, sizes[1:]))]

        def unit(i, _):
            i = b.add(i, first)
            upper = b.sdiv(i, parts)
            start = b.mul(b.sub(i, b.mul(upper, parts)), part)
            outer = b.sdiv(upper, groups)
            row = b.mul(b.sub(upper, b.mul(outer, groups)), group)
            count = least(b, part, b.sub(length, start))
            places = []
            for at, far, near, step in zip(starts, outward, along, steps):
                at = b.add(at, b.add(b.mul(outer, far), b.mul(row, near)))
                places.append(b.add(at, b.mul(start, number(step))) if step else at)
            loop(b, least(b, group, b.sub(rows, row)), places, lambda _, at: one_row(at, count))
            return []

        def one_row(places, count):
            whole = b.and_(count, number(-many))
            ones = [load(b, at, type) if one else None for one, at, type in zip(spread, places[1:], operands)]

            def some(i, lanes):
                """Addresses and results of elements i.. of the row."""
                at = [b.add(place, b.mul(i, number(step))) if step else place for place, step in zip(places, steps)]
                values = [
                    load(b, x, vector(type, lanes)) if one is None else splat(b, one, lanes)
                    for x, one, type in zip(at[1:], ones, operands)
                ]
                return at[0], compute[lanes](*values)

            def full(i, _):
                at, values = some(i, many)
                store(b, values, at)
                return []

            def ending(i, _):
                at, values = some(b.add(whole, i), few)
                store_first(b, values, at, b.sub(b.sub(count, whole), i))
                return []

            loop(b, whole, [], full, many)
            loop(b, b.sub(count, whole), [], ending, few)
            return [b.add(at, step) for at, step in zip(places, along)]

        loop(b, b.sub(last, first), [], unit)
        return number(0)

    run = inline(types.int64(*[types.int64] * 4), emit)

    def kernel(block, slots, first, last):
        return run(block, slots, first, last)

    return kernel


def nbytes(type):
    return type.width // 8 if isinstance(type, ir.IntType) else {F16: 2, F32: 4, F64: 8}[type]


def least(b, x, y):
    return b.select(b.icmp_signed("<", x, y), x, y)


def quotient_up(b, x, y):
    return b.sdiv(b.sub(b.add(x, y), number(1)), y)


def store_first(b, values, address, count):
    """Stores `count` lanes, or all where there are fewer."""
    lanes, size = values.type.count, nbytes(values.type.element)
    if MASKED:
        store_masked(b, values, address, first_lanes(b, count, lanes))
        return
    memory = b.ptrtoint(cgutils.alloca_once(b, values.type), I64)
    store(b, values, memory)
    pointers = (b.inttoptr(a, I8.as_pointer()) for a in (address, memory))
    some = b.mul(least(b, count, number(lanes)), number(size))
    call(b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), *pointers, some, ir.IntType(1)(0))


def walks(operations):
    """The kernels of operations by name, a kernel for each way to spread operands."""
    kernels = {}
    for name, operation in operations.items():
        count = len(operation.operands.split())
        for spread in product((False, True), repeat=count):
            if not all(spread):
                suffix = "".join(str(i + 1) for i in range(count) if spread[i])
                kernels[f"{name}_spread{suffix}" if suffix else name] = make_walk(operation, spread)
    return kernels
