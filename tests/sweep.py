"""Which types an op takes: every combination of tensor types, ours held against the official runtime.

def make(x, y):
    m = Model()
    ...
    return m.content(), [zeros(x, (2, 3))]

def test_types(official):
    taken = sweep(make, (TYPES, TYPES), known={("string", "string"): "officially read as numbers"})
    assert taken == {("float32", "float32"), ("int8", "int8")}
"""

import itertools

from tests.cases import OursFailed, check, ours

TYPES = (
    "float32 float16 bfloat16 float64 int4 int8 uint8 int16 uint16 int32 uint32 int64 uint64 bool string complex64 "
    "complex128"
).split()


def sweep(make, choices, known=None, **keywords):
    """The set of combinations that both run, with equal results; AssertionError tells of all that they differ in.

    make(*types) -> (content, arrays), or None for a combination that can't be built. choices: a list of types for each
    of make's arguments. known: {combination: why ours differs}; one that does not differ any more is an error. On what
    kills the official runtime ours only must not raise anything but a builtin error of the documented kinds. The other
    keywords go to `check`.
    """
    known = dict(known or {})
    taken, wrong = set(), []
    for types in itertools.product(*choices):
        made = make(*types)
        if made is None:
            continue
        problem = outcome = ""
        try:
            outcome = check(*made, must_run=False, swept=True, **keywords)
        except (AssertionError, OursFailed) as error:
            problem = str(error)
        if outcome.startswith("died"):
            problem = _survives(*made)
        if outcome == "equal":
            taken.add(types)
        if types in known:
            if not problem and not outcome.startswith("died"):
                wrong.append(f"{types}: is known to differ, and does not any more")
            known.pop(types)
        elif problem:
            wrong.append(f"{types}: {problem}")
    assert not wrong, f"{len(wrong)} combinations of types differ:\n" + "\n".join(wrong)
    assert not known, f"never met: {sorted(known)}"
    return taken


def _survives(content, arrays):
    try:
        ours(content, arrays)
    except OursFailed as failed:
        if not isinstance(failed.error, (ValueError, RuntimeError)):
            return str(failed)
    return ""
