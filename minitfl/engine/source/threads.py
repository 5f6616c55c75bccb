"""Runs the instructions of a program one after the other, each by several threads.

The thread that asks for a run leads. Of an instruction it makes chunks of units and opens them: the lower half of
`left` is how many nobody has taken. Whoever makes it one smaller, down to 0, has taken a chunk, and when it is done
adds 1 to `done`; the one who leads works too, and closes the instruction when all are done. So nobody waits for a
thread that has taken nothing: one that sleeps, or has lost its processor, makes the run slower at most.

The one who leads takes chunks from the front, helpers from the back, which the upper half of `left` counts: so a
processor meets what it has in its cache, the weights of the run before and the rows of the instruction before.

Where a helper loses its processor with a chunk in hand, the one who leads must wait. Then the rest of the run is its
alone, and `stalls` tells that the processors are wanted by others.
"""

from llvmlite import ir
from numba import types

from minitfl.engine.isa import compiled
from minitfl.engine.layouts.driver import INSTRUCTION, INSTRUCTION_NBYTES
from minitfl.engine.layouts.threads import JOB, PLACE_NBYTES, RUN, SHARED
from minitfl.engine.source.ir import I32, I64, call, call_kernel, inline, store_i64, word

PAUSES = 300  # of waiting before the processor is offered to others: some microseconds
STALL = 5000  # offers while a helper does not finish: a millisecond, as nobody takes them
PATIENCE = 5000  # offers of a helper that has nothing to do, before it goes to sleep

_int64 = types.int64


def _pointer(b, address):
    return b.inttoptr(address, I64.as_pointer())


read = inline(_int64(_int64), lambda b, at: b.load_atomic(_pointer(b, at), "acquire", 8))
read.__doc__ = "read(address): what another thread may have written, and what it wrote before that."
publish = inline(types.void(_int64, _int64), lambda b, at, x: b.store_atomic(x, _pointer(b, at), "release", 8) and None)
publish.__doc__ = "publish(address, value): who reads it sees all that was written before."
add = inline(_int64(_int64, _int64), lambda b, at, x: b.atomic_rmw("add", _pointer(b, at), x, "acq_rel"))
add.__doc__ = "add(address, value): adds, and gives what was there before; between the two nobody else does."
swap = inline(_int64(_int64, _int64), lambda b, at, x: b.atomic_rmw("xchg", _pointer(b, at), x, "acq_rel"))
swap.__doc__ = "swap(address, value): gives what was there before."


def _pause(b):
    if compiled().machine == "x86_64":
        call(b, "llvm.x86.sse2.pause", ir.VoidType())
    else:
        call(b, "llvm.aarch64.hint", ir.VoidType(), I32(1))


pause = inline(types.void(), _pause)


def _offer(b, function):
    b.call(b.inttoptr(function, ir.FunctionType(I32, []).as_pointer()), ())


offer = inline(types.void(_int64), _offer)
offer.__doc__ = "offer(function): lets the system run another thread; `function` is its call for that."


FRONT = -1  # to be added to `left`
BACK = (1 << 32) - 1


def _untaken(b, left):
    return b.sext(b.trunc(left, I32), I64)


untaken = inline(_int64(_int64), _untaken)
untaken.__doc__ = "untaken(left): how many chunks nobody has taken; below 1 for none."


def place(i):
    """Where a place of SHARED lies behind its start."""
    return i * PLACE_NBYTES


LEFT, DONE, FAILED = place(SHARED.left), place(SHARED.done), place(SHARED.failed)
BUSY, STOP, STALLS, HERE, AWAKE = (
    place(i) for i in (SHARED.busy, SHARED.stop, SHARED.stalls, SHARED.job, SHARED.awake)
)
FUNCTION, BLOCK, SLOTS, UNITS, CHUNK, CHUNKS, THREADS = (8 * i for i in JOB)


def run(block, slots, first, last):
    """Instructions first..last - 1 of the program in `block`; 0, or 1 + the number of the one that failed."""
    code, shared, threads = word(block, RUN.code), word(block, RUN.shared), word(block, RUN.threads)
    alone = swap(shared + BUSY, 1)  # others are being helped
    taken = alone
    result = 0
    for i in range(first, last):
        at = code + i * INSTRUCTION_NBYTES
        function, words = word(at, INSTRUCTION.function), word(at, INSTRUCTION.block)
        units, chunk = word(at, INSTRUCTION.units), word(at, INSTRUCTION.chunk)
        if alone or chunk >= units:
            if call_kernel(function, words, slots, 0, units) != 0:
                result = i + 1
                break
            continue
        chunks = (units + chunk - 1) // chunk
        job = shared + HERE
        store_i64(job + FUNCTION, function)
        store_i64(job + BLOCK, words)
        store_i64(job + SLOTS, slots)
        store_i64(job + UNITS, units)
        store_i64(job + CHUNK, chunk)
        store_i64(job + CHUNKS, chunks)
        store_i64(job + THREADS, threads)
        store_i64(shared + DONE, 0)
        store_i64(shared + FAILED, 0)
        publish(shared + LEFT, chunks)
        mine = 0
        while True:
            left = add(shared + LEFT, FRONT)
            if untaken(left) <= 0:
                break
            start = (chunks - untaken(left) - (left >> 32)) * chunk
            if call_kernel(function, words, slots, start, min(start + chunk, units)) != 0:
                publish(shared + FAILED, 1)
            mine += 1
        add(shared + DONE, mine)
        waited = 0
        while read(shared + DONE) != chunks:
            waited += 1
            if waited < PAUSES:
                pause()
            else:
                offer(word(block, RUN.yield_at))
        if waited > PAUSES + STALL:
            store_i64(shared + STALLS, 1)
            alone = 1
        if word(shared + FAILED, 0) != 0:
            result = i + 1
            break
    if taken == 0:
        publish(shared + BUSY, 0)
    return result


def help(shared, number, yield_at, _):
    """Takes chunks of whatever is opened, as helper `number` (1...), until nothing has been for a while."""
    idle = 0
    while idle < PAUSES + PATIENCE and read(shared + STOP) == 0:
        if untaken(read(shared + LEFT)) > 0 and number < word(shared + HERE, JOB.threads):
            left = add(shared + LEFT, BACK)
            if untaken(left) > 0:
                job = shared + HERE
                chunk = word(job, JOB.chunk)
                start = (word(job, JOB.chunks) - 1 - (left >> 32)) * chunk
                stop = min(start + chunk, word(job, JOB.units))
                function, block, slots = word(job, JOB.function), word(job, JOB.block), word(job, JOB.slots)
                if call_kernel(function, block, slots, start, stop) != 0:
                    publish(shared + FAILED, 1)
                add(shared + DONE, 1)
                idle = 0
                continue
        idle += 1
        if idle < PAUSES:
            pause()
        else:
            offer(yield_at)
    publish(shared + AWAKE + number * PLACE_NBYTES, 0)
    return 0


KERNELS = {"run": run, "help": help}
