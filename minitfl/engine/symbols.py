"""Which functions outside it machine code may ask for: those that every process has.

Code that needs more, as Numba's runtime, would crash in a process without it; it is refused when it is built.
"""

from __future__ import annotations

import struct

_REAL = (
    "acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs floor fma fmax"
    " fmin fmod hypot ldexp lgamma log log10 log1p log2 nearbyint pow remainder rint round roundeven sin sinh sqrt tan"
    " tanh tgamma trunc"
).split()
ALLOWED = frozenset(
    [name + suffix for name in _REAL for suffix in ("", "f")] + "memcpy memmove memset memcmp sched_yield".split()
)
_TABLE = "_GLOBAL_OFFSET_TABLE_"  # stands for what the linker makes
_SYMTAB = 2


def undefined(code: bytes) -> frozenset[str] | None:
    """The symbols that ELF object code asks for; None for other formats. ValueError where it is damaged."""
    if code[:4] != b"\x7fELF":
        return None
    if code[4:6] != b"\2\1":
        raise ValueError("the object code is not of 64 bits, little endian")
    try:
        return frozenset(_undefined(code)) - {_TABLE}
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"the object code is damaged: {error}") from error


def _undefined(code: bytes) -> list[str]:
    (sections_at,) = struct.unpack_from("<Q", code, 40)
    section_nbytes, count = struct.unpack_from("<HH", code, 58)
    # type, (name, flags, address), offset, size, link to the table of names, (info, align), bytes of an entry
    sections = [struct.unpack_from("<4xI16xQQI12xQ", code, sections_at + i * section_nbytes) for i in range(count)]
    found = []
    for kind, offset, size, link, entry in sections:
        if kind != _SYMTAB:
            continue
        names = sections[link][1]
        for at in range(offset + entry, offset + size, entry):  # the first symbol stands for none
            name_at, _, _, section = struct.unpack_from("<IBBH", code, at)
            if section == 0:
                start = names + name_at
                found.append(code[start : code.index(b"\0", start)].decode())
    return found
