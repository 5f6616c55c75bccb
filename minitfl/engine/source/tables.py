"""Functions of one stored byte by a table of 256 bytes, in the order of the bit patterns."""

from minitfl.engine.isa import compiles
from minitfl.engine.source.elementwise import LANES, Operation, walks
from minitfl.engine.source.ir import I8, I64, add, call, constant, load, shuffle, vector

BYTES = 4 * LANES


def permuted(b, numbers):
    """Two permutations of 128 entries each, by all bits but the highest, which then chooses."""
    start = numbers.address("table")
    table = [load(b, add(b, start, 64 * k), vector(I8, 64)) for k in range(4)]

    def lookup(x):
        name = "llvm.x86.avx512.vpermi2var.qi.512"
        low, high = (call(b, name, x.type, table[k], x, table[k + 1]) for k in (0, 2))
        return b.select(b.icmp_signed("<", x, constant(x.type, 0)), high, low)

    return lookup


def shuffled(b, numbers):
    """Sixteen shuffles of 16 entries each, which give 0 where the index is negative.

    For each half of the table the index goes down by 16 until it is negative; all parts that were met make the result
    by exclusive or, so each part is kept as its difference from the one before.
    """
    name = "llvm.x86.avx512.pshuf.b.512" if LANES == 16 else "llvm.x86.avx2.pshuf.b"
    start = numbers.address("table")
    parts = []
    for k in range(16):
        part = load(b, add(b, start, 16 * k), vector(I8, 16))
        parts.append(shuffle(b, part, part, list(range(16)) * (BYTES // 16)))
    differences = [b.xor(part, parts[k - 1]) if k % 8 else part for k, part in enumerate(parts)]

    def lookup(x):
        result = constant(x.type, 0)
        for half, index in ((0, x), (8, b.xor(x, constant(x.type, -128)))):
            for part in differences[half : half + 8]:
                result = b.xor(result, call(b, name, x.type, part, index))
                index = call(b, f"llvm.ssub.sat.v{BYTES}i8", x.type, index, constant(x.type, 16))
        return result

    return lookup


def loaded(b, numbers):
    """One at a time."""
    start = numbers.address("table")

    def lookup(x):
        place = b.zext(b.extract_element(x, I64(0)), I64)
        return b.insert_element(x, load(b, b.add(start, place), I8), I64(0))

    return lookup


if compiles("avx512vbmi"):
    LOOKUP = Operation("i8", "i8", "table", permuted, BYTES, 1)
elif LANES >= 8:
    LOOKUP = Operation("i8", "i8", "table", shuffled, BYTES, 1)
else:
    LOOKUP = Operation("i8", "i8", "table", loaded, 1, 1)

KERNELS = walks({"lookup": LOOKUP})
