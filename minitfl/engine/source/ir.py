"""Vector code by hand: short names for LLVM instructions, loops that carry registers, and what Numba source needs of
memory. Addresses are int64, strides bytes.
"""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

I1, I8, I16, I32, I64 = (ir.IntType(bits) for bits in (1, 8, 16, 32, 64))
F16, F32, F64 = ir.HalfType(), ir.FloatType(), ir.DoubleType()
LOWEST = -3.4028234663852886e38  # of the finite float32


# ---- values


def vector(element, lanes):
    return ir.VectorType(element, lanes)


def constant(type, value):
    """A constant; in every lane where the type is a vector."""
    if isinstance(type, ir.VectorType):
        return ir.Constant(type, [value] * type.count)
    return ir.Constant(type, value)


def number(value):
    return ir.Constant(I64, value)


def splat(b, value, lanes):
    """A vector with the value in every lane."""
    type = vector(value.type, lanes)
    empty = ir.Constant(type, ir.Undefined)
    first = b.insert_element(empty, value, I32(0))
    return b.shuffle_vector(first, empty, ir.Constant(vector(I32, lanes), [0] * lanes))


def shuffle(b, x, y, order):
    """Lanes of x and y, those of y counted after those of x."""
    return b.shuffle_vector(x, y, ir.Constant(vector(I32, len(order)), list(order)))


def fold(b, x, combine):
    """combine(..., combine(...)) of all lanes, a power of two; as a scalar."""
    count = x.type.count
    while count > 1:
        count //= 2
        x = combine(*(shuffle(b, x, x, range(first, first + count)) for first in (0, count)))
    return b.extract_element(x, I32(0))


def type_name(type):
    """As intrinsics carry it in their names."""
    if isinstance(type, ir.VectorType):
        return f"v{type.count}{type_name(type.element)}"
    return {F16: "f16", F32: "f32", F64: "f64"}.get(type) or f"i{type.width}"


def call(b, name, result, *args):
    """Calls a function by name, declaring it where it is not yet known; most are LLVM intrinsics."""
    function = b.module.globals.get(name)
    if function is None:
        function = ir.Function(b.module, ir.FunctionType(result, [a.type for a in args]), name)
    return b.call(function, args)


def same(b, name, *args):
    """The intrinsic llvm.<name>.<type> on values of one type, with a result of that type."""
    return call(b, f"llvm.{name}.{type_name(args[0].type)}", args[0].type, *args)


def fma(b, x, y, z):
    return same(b, "fma", x, y, z)


def clamp(b, x, low, high):
    """min(max(x, low), high) of floats; NaN stays NaN."""
    x = b.select(b.fcmp_ordered("<", x, low), low, x)
    return b.select(b.fcmp_ordered(">", x, high), high, x)


def greater(b, largest, x):
    """The greater one of floats; NaN in x is passed over."""
    return b.select(b.fcmp_ordered(">", x, largest), x, largest)


def opaque(b, value):
    """The value, of which LLVM knows nothing any more; an integer."""
    return b.asm(ir.FunctionType(value.type, [value.type]), "", "=r,0", [value], False)


# ---- memory


def add(b, address, nbytes):
    return b.add(address, number(nbytes)) if nbytes else address


def load(b, address, type, align=1):
    loaded = b.load(b.inttoptr(address, type.as_pointer()))
    loaded.align = align
    return loaded


def store(b, value, address, align=1):
    b.store(value, b.inttoptr(address, value.type.as_pointer())).align = align


def first_lanes(b, count, lanes):
    """A mask of the first `count` lanes; count int64."""
    order = ir.Constant(vector(I32, lanes), list(range(lanes)))
    return b.icmp_signed("<", order, splat(b, b.trunc(count, I32), lanes))


def load_masked(b, address, type, mask):
    """The lanes of the mask; 0 elsewhere, where nothing is read."""
    name = f"llvm.masked.load.{type_name(type)}.p0"
    pointer = b.inttoptr(address, type.as_pointer())
    return call(b, name, type, pointer, I32(1), mask, constant(type, 0))


def store_masked(b, value, address, mask):
    name = f"llvm.masked.store.{type_name(value.type)}.p0"
    pointer = b.inttoptr(address, value.type.as_pointer())
    call(b, name, ir.VoidType(), value, pointer, I32(1), mask)


def prefetch(b, address):
    """Asks for the cache line, into the second level."""
    call(b, "llvm.prefetch.p0", ir.VoidType(), b.inttoptr(address, I8.as_pointer()), I32(0), I32(2), I32(1))


def stack(b, nbytes):
    """The address of memory on the stack, aligned to 64 bytes."""
    with b.goto_entry_block():
        memory = b.alloca(ir.ArrayType(I8, nbytes))
        memory.align = 64
        return b.ptrtoint(memory, I64)


# ---- branches and loops


def choose(b, condition, then, otherwise):
    """then() or otherwise(), which emit code and give lists of values of the same types; the list of what was made."""
    blocks = [b.append_basic_block(name) for name in ("then", "otherwise", "after")]
    b.cbranch(condition, *blocks[:2])
    made, ends = [], []
    for block, emit in zip(blocks, (then, otherwise)):
        b.position_at_end(block)
        made.append(emit() or [])
        ends.append(b.block)
        b.branch(blocks[2])
    b.position_at_end(blocks[2])
    results = []
    for values in zip(*made):
        phi = b.phi(values[0].type)
        for value, end in zip(values, ends):
            phi.add_incoming(value, end)
        results.append(phi)
    return results


def when(b, condition, values, body):
    """body(values) if the condition holds, else the values as they are; body gives as many."""
    return choose(b, condition, lambda: body(values), lambda: values)


def loop(b, count, carried, body, step=1, certain=False):
    """for i in range(0, count, step): carried = body(i, carried). Gives what is carried at the end.

    certain: count is known to be above 0.
    """
    before = b.block
    head, after = b.append_basic_block("loop"), b.append_basic_block("after")
    if certain:
        b.branch(head)
    else:
        b.cbranch(b.icmp_signed(">", count, number(0)), head, after)
    b.position_at_end(head)
    i = b.phi(I64)
    i.add_incoming(number(0), before)
    inside = []
    for value in carried:
        phi = b.phi(value.type)
        phi.add_incoming(value, before)
        inside.append(phi)
    made = body(i, inside)
    following = b.add(i, number(step))
    last = b.block
    i.add_incoming(following, last)
    for phi, value in zip(inside, made):
        phi.add_incoming(value, last)
    b.cbranch(b.icmp_signed("<", following, count), head, after)
    b.position_at_end(after)
    if certain:
        return list(made)
    results = []
    for value, new in zip(carried, made):
        phi = b.phi(value.type)
        phi.add_incoming(value, before)
        phi.add_incoming(new, last)
        results.append(phi)
    return results


# ---- for Numba source


def inline(signature, emit):
    """A function for Numba source: `emit(b, *args)` writes its code. signature: a numba signature."""
    count = len(signature.args)

    def codegen(context, b, signature, args):
        made = emit(b, *args)
        return context.get_dummy_value() if made is None else made

    names = ", ".join(f"a{i}" for i in range(count))
    space = {"signature": signature, "codegen": codegen}
    exec(f"def typed(typingctx, {names}):\n    return signature, codegen", space)
    return intrinsic(space["typed"])


word = inline(
    types.int64(types.int64, types.int64), lambda b, block, i: load(b, b.add(block, b.shl(i, number(3))), I64)
)
word.__doc__ = "word(block, i): a whole number of a block."
real = inline(
    types.float32(types.int64, types.int64), lambda b, block, i: load(b, b.add(block, b.shl(i, number(3))), F32)
)
real.__doc__ = "real(block, i): a float32 of a block."

# min and max of Python are no use: their forms in Numba may raise
smaller = inline(types.int64(types.int64, types.int64), lambda b, x, y: same(b, "smin", x, y))
larger = inline(types.int64(types.int64, types.int64), lambda b, x, y: same(b, "smax", x, y))


def _address(b, block, slots, i):
    slot = load(b, b.add(block, b.shl(i, number(3))), I64)
    return load(b, b.add(slots, b.shl(slot, number(3))), I64)


address = inline(types.int64(types.int64, types.int64, types.int64), _address)
address.__doc__ = "address(block, slots, i): the address in the slot that a word of the block names."


def _accessors(numba_type, type):
    loading = inline(numba_type(types.int64), lambda b, at: load(b, at, type))
    storing = inline(types.void(types.int64, numba_type), lambda b, at, value: store(b, value, at))
    return loading, storing


load_f32, store_f32 = _accessors(types.float32, F32)
load_f64, store_f64 = _accessors(types.float64, F64)
load_i8, store_i8 = _accessors(types.int8, I8)
load_i16, store_i16 = _accessors(types.int16, I16)
load_i32, store_i32 = _accessors(types.int32, I32)
load_i64, store_i64 = _accessors(types.int64, I64)


def copy_bytes(b, target, source, nbytes):
    pointers = (b.inttoptr(a, I8.as_pointer()) for a in (target, source))
    call(b, "llvm.memcpy.p0.p0.i64", ir.VoidType(), *pointers, nbytes, I1(0))


def _fill(b, target, byte, nbytes):
    value = b.trunc(byte, I8)
    call(b, "llvm.memset.p0.i64", ir.VoidType(), b.inttoptr(target, I8.as_pointer()), value, nbytes, I1(0))


copy = inline(types.void(types.int64, types.int64, types.int64), copy_bytes)
copy.__doc__ = "copy(target, source, nbytes)"
fill = inline(types.void(types.int64, types.int64, types.int64), _fill)
fill.__doc__ = "fill(target, byte, nbytes)"


def _call(b, function, block, slots, first, last):
    type = ir.FunctionType(I64, [I64] * 4)
    return b.call(b.inttoptr(function, type.as_pointer()), (block, slots, first, last))


call_kernel = inline(types.int64(*[types.int64] * 5), _call)
call_kernel.__doc__ = "call_kernel(function, block, slots, first, last)"
