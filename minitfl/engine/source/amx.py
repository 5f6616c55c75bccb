"""Tiles of AMX: 16 rows of 64 bytes each. Sums of 2 x 2 tiles in registers 0 to 3, x in 4 and 5, w in 6 and 7.

A tile of x has a row of 64 depths for each place, one of w a row of 4 depths for each of 16 channels, for 16 fours.
"""

from llvmlite import ir

from minitfl.engine.source.ir import I8, add, call, loop, number

TILE_NBYTES = 1024
VOID = ir.VoidType()


def configure(b, config):
    call(b, "llvm.x86.ldtilecfg", VOID, _pointer(b, config))


def release(b):
    call(b, "llvm.x86.tilerelease", VOID)


def make_sums(signed, panel=2):
    """sums(b, sources, step, rows, row_nbytes, taps, tap_nbytes, chunks, weights, targets): those of places that begin
    at one source, and `step` bytes on, go to rows of 16 * panel int32 that begin at one target; and so for the second
    ones.

    The window is `rows` times `taps` runs of `chunks` times 64 bytes. weights: the bias, then for each 64 depths
    `panel` tiles; a panel of one tile is the same for all runs: it has a tile for a chunk, and one for the last chunk.
    """
    product = "llvm.x86.tdpbssd" if signed else "llvm.x86.tdpbusd"
    sums_nbytes, nbytes = panel * 64, panel * TILE_NBYTES

    def emit(b, sources, step, rows, row_nbytes, taps, tap_nbytes, chunks, weights, targets):
        for m in range(2):
            for n in range(panel):
                _load(b, 2 * m + n, add(b, weights, n * 64), number(0))  # one row of biases, again and again

        def row(i, carried):
            def tap(j, carried):
                (at,) = carried
                start = b.add(b.mul(i, row_nbytes), b.mul(j, tap_nbytes))

                def chunk(k, _):
                    here = b.add(start, b.shl(k, number(6)))
                    w = b.add(at, b.mul(k, number(nbytes)) if panel == 2 else last(b, k, chunks, nbytes))
                    for n in range(panel):
                        _load(b, 6 + n, add(b, w, n * TILE_NBYTES), number(64))
                    for m, x in enumerate(sources):
                        _load(b, 4 + m, b.add(x, here), step)
                        for n in range(panel):
                            call(b, product, VOID, I8(2 * m + n), I8(4 + m), I8(6 + n))
                    return []

                loop(b, chunks, [], chunk)
                return [b.add(at, b.mul(chunks, number(nbytes)))] if panel == 2 else carried

            return loop(b, taps, carried, tap)

        loop(b, rows, [add(b, weights, sums_nbytes)], row)
        for m, y in enumerate(targets):
            for n in range(panel):
                target = _pointer(b, add(b, y, n * 64))
                call(b, "llvm.x86.tilestored64", VOID, I8(2 * m + n), target, number(sums_nbytes))

    return emit


def last(b, k, count, nbytes):
    """nbytes where k is the last of count, else 0."""
    return b.select(b.icmp_signed("<", add(b, k, 1), count), number(0), number(nbytes))


def _load(b, register, address, step):
    call(b, "llvm.x86.tileloadd64", VOID, I8(register), _pointer(b, address), step)


def _pointer(b, address):
    return b.inttoptr(address, I8.as_pointer())
