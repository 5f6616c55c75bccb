"""What the tests of ops share: run a model in minitfl and officially and compare, find shared models, draw cases.

@differential()
@given(st.data())
def test_add(data):
    shape = data.draw(shapes(1, 4, 6))
    m = Model()
    x = m.input(shape, "int8", **data.draw(quantization("int8")))
    ...
    check(m.content(), [array(data.draw, "int8", shape)])
"""

import builtins
import functools
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from tests import results
from tests.oracle import Died, Error, official

# ---- ours against the official runtime


class OursFailed(Exception):
    """minitfl raised `error` at `stage` (construct, resize, allocate, set, invoke, get)."""

    def __init__(self, stage, error):
        super().__init__(f"minitfl raised at {stage}: {type(error).__name__}: {error}")
        self.stage, self.error = stage, error


def ours(content, inputs, *, sequence=False, **keywords):
    """minitfl's outputs for inputs in graph order, as `official.run` gives them; keywords go to minitfl.Interpreter."""
    from minitfl import Interpreter

    stage = "construct"
    try:
        interpreter = Interpreter(model_content=content, **keywords)
        results = []
        for turn, given in enumerate(inputs if sequence else [inputs]):
            arrays = [None if value is None else np.asarray(value) for value in given]
            details = interpreter.get_input_details()
            if len(details) != len(arrays):
                raise ValueError(f"{len(arrays)} arrays for {len(details)} inputs")
            stage, changed = "resize", turn == 0
            for detail, value in zip(details, arrays):
                if value is not None and tuple(detail["shape"]) != value.shape:
                    interpreter.resize_tensor_input(detail["index"], value.shape)
                    changed = True
            stage = "allocate"
            if changed:
                interpreter.allocate_tensors()
            stage = "set"
            for detail, value in zip(details, arrays):
                if value is not None:
                    interpreter.set_tensor(detail["index"], value)
            stage = "invoke"
            interpreter.invoke()
            stage = "get"
            results.append([_array(interpreter.get_tensor(d["index"])) for d in interpreter.get_output_details()])
    except Exception as error:
        raise OursFailed(stage, error) from error
    return results if sequence else results[0]


def check(
    content,
    inputs,
    *,
    ulps=None,
    bound=None,
    float_bound=None,
    resolver="BUILTIN_REF",
    sequence=False,
    must_run=True,
    swept=False,
    tries=1,
    **keywords,
):
    """Hold minitfl against the official runtime; `ulps`, `bound` (also called float_bound): see `compare`.

    Gives the outcome: "equal", or with must_run=False also "error at allocate" (then ours must have raised the same
    builtin type at the same stage, whatever the text) and "died with SIGABRT" (then nothing is known, and ours isn't
    run). swept: the case is one of a sweep over types, which is counted apart, see tests/results.py. tries: how many
    processes of the official runtime may disagree before it counts, where its results depend on memory not its own.
    """
    bound = float_bound if bound is None else bound
    given = {"ulps": ulps, "bound": bound, "resolver": resolver, "sequence": sequence, "must_run": must_run}
    if not results.wanted():
        return _tried(tries, content, inputs, given, keywords)
    try:
        outcome = _tried(tries, content, inputs, given, keywords)
    except AssertionError:
        results.note(content, results.SWEPT if swept else results.FAILED)
        raise
    if outcome == "equal":
        results.note(content, results.TAKEN if swept else results.RAN)
    elif not outcome.startswith("died"):
        results.note(content, results.SWEPT if swept else results.REFUSED)
    return outcome


def _tried(tries, *arguments):
    for _ in range(tries - 1):
        try:
            return _check(*arguments)
        except AssertionError:
            official.close()  # the next process has other memory
    return _check(*arguments)


def _check(content, inputs, given, keywords):
    sequence = given["sequence"]
    try:
        theirs = official.run(content, inputs, resolver=given["resolver"], sequence=sequence)
    except Died as death:
        if given["must_run"]:
            raise AssertionError(f"the official runtime died: {death}") from death
        return f"died with {death.name}"
    except Error as error:
        if given["must_run"]:
            raise AssertionError(f"the official runtime refuses the case {error}") from error
        try:
            ours(content, inputs, sequence=sequence, **keywords)
        except OursFailed as failed:
            assert failed.stage == error.stage, f"{failed}\nbut the official runtime {error}"
            assert isinstance(failed.error, getattr(builtins, error.type)), f"{failed}\nbut officially {error.type}"
            return f"error at {error.stage}"
        raise AssertionError(f"minitfl runs what the official runtime refuses {error}") from error
    mine = ours(content, inputs, sequence=sequence, **keywords)
    turns = zip(mine, theirs) if sequence else [(mine, theirs)]
    for turn, (a, b) in enumerate(turns):
        compare(a, b, ulps=given["ulps"], bound=given["bound"], place=f"invoke {turn}, " if sequence else "")
    return "equal"


def compare(mine, theirs, *, ulps=None, bound=None, place=""):
    """Lists of arrays: same count, types and shapes; integers, bools and strings equal; floats close enough.

    A float passes when it is equal (NaN to NaN, inf to the same inf), or within `ulps` units in the last place of the
    official value, or within `bound`: a number, an array, a list with one of these an output, or a function from the
    official output to one. With neither, only equal will do.
    """
    assert len(mine) == len(theirs), f"{place}{len(mine)} outputs, officially {len(theirs)}"
    for i, (a, b) in enumerate(zip(mine, theirs)):
        where = f"{place}output {i}"
        a, b = _array(a), _array(b)
        assert a.dtype == b.dtype, f"{where}: dtype {a.dtype}, officially {b.dtype}"
        assert a.shape == b.shape, f"{where}: shape {a.shape}, officially {b.shape}"
        if a.dtype == object:
            good = np.array([x == y for x, y in zip(a.ravel(), b.ravel())], bool).reshape(a.shape)
            distance = ~good
        elif not _is_float(a.dtype):
            good = a == b
            distance = _integer_distance(a, b)
        else:
            with np.errstate(all="ignore"):
                good, distance = _close(a, b, ulps, bound[i] if isinstance(bound, (list, tuple)) else bound)
        assert good.all(), _report(where, a, b, good, distance)


def _array(value):
    return np.array(value, object) if isinstance(value, (bytes, str)) else np.asarray(value)


def _is_float(dtype):
    return dtype.kind in "fc" or dtype.name.startswith(("bfloat", "float"))


def _integer_distance(a, b):
    if a.dtype == bool:
        return a != b
    # Python integers: a difference of 64-bit values may not fit
    wide = object if a.dtype.itemsize == 8 else np.int64
    return np.abs(a.astype(wide) - b.astype(wide))


def _close(a, b, ulps, bound):
    """Masks of elements close enough, and their distances."""
    if a.dtype.kind == "c":
        parts = [_close(x, y, ulps, bound) for x, y in ((a.real, b.real), (a.imag, b.imag))]
        return parts[0][0] & parts[1][0], np.maximum(parts[0][1], parts[1][1])
    x, y = a.astype(np.float64), b.astype(np.float64)
    same = (x == y) | (np.isnan(x) & np.isnan(y))
    distance = np.where(same, 0.0, np.abs(x - y))
    good = same.copy()
    finite = np.isfinite(x) & np.isfinite(y)
    if ulps is not None:
        good |= finite & (distance <= ulps * _ulp(y, b.dtype))
    if bound is not None:
        limit = np.asarray(bound(b) if callable(bound) else bound, np.float64)
        good |= finite & (distance <= limit)
    return good, distance


def _ulp(values, dtype):
    """The spacing of `dtype` at the float64 `values`."""
    digits, smallest = {
        "float64": (52, -1074),
        "float32": (23, -149),
        "float16": (10, -24),
        "bfloat16": (7, -133),
    }[dtype.name]
    _, exponent = np.frexp(values)
    return np.ldexp(1.0, np.where(values == 0, smallest, np.maximum(exponent - 1 - digits, smallest)))


def _report(where, a, b, good, distance):
    bad = np.argwhere(~good)
    first = tuple(int(i) for i in bad[0])
    wrong = [tuple(row) for row in bad]
    largest = max(wrong, key=lambda index: (distance[index] != distance[index], distance[index]))
    return (
        f"{where} ({a.dtype}, shape {a.shape}): {len(bad)} of {a.size} elements differ\n"
        f"first at {first}: minitfl {a[first]!r}, official {b[first]!r}\n"
        f"largest difference {distance[largest]} at {tuple(int(i) for i in largest)}: "
        f"minitfl {a[largest]!r}, official {b[largest]!r}"
    )


# ---- shared models and pictures


def _shared(variable, name):
    folder = os.environ.get(variable)
    if not folder:
        pytest.skip(f"{variable} is not set")
    return Path(folder) / name


def shared_model(name):
    """The path of a model under MINITFL_MODELS ("coral/split_concat.tflite"); skips the test where that is unset."""
    return _shared("MINITFL_MODELS", name)


def shared_image(name):
    """The path of a picture or label file under MINITFL_IMAGES; skips the test where that is unset."""
    return _shared("MINITFL_IMAGES", name)


def shared_models(pattern="**/*.tflite"):
    """Parameters for pytest.mark.parametrize: the paths of the models under MINITFL_MODELS, or one skipped case."""
    folder = os.environ.get("MINITFL_MODELS")
    if not folder:
        return [pytest.param(None, marks=pytest.mark.skip(reason="MINITFL_MODELS is not set"), id="MINITFL_MODELS")]
    paths = sorted(Path(folder).glob(pattern))
    if not paths:
        raise FileNotFoundError(f"no {pattern} under MINITFL_MODELS={folder}")
    return [pytest.param(path, id=path.relative_to(folder).as_posix()) for path in paths]


# ---- drawing cases


def differential(cases=200):
    """Settings of a property test: that many cases, times MINITFL_CASES; conftest's profile decides the seed."""
    factor = float(os.environ.get("MINITFL_CASES", "1"))
    return settings(
        max_examples=max(1, round(cases * factor)),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
    )


# One integer carries a whole choice, as each draw costs 0.1 ms; 0 is the plainest. Up to 24 bits they come out uniform.
SEEDS = st.integers(0, 2**24 - 1)


@functools.cache  # a strategy is validated once
@st.composite
def shapes(draw, min_rank=1, max_rank=4, max_side=6, min_side=1):
    """Shapes as tuples; min_rank=0 allows scalars, min_side=0 empty tensors."""
    ranks, sides = max_rank - min_rank + 1, max_side - min_side + 1
    code, rank = divmod(draw(st.integers(0, ranks * sides**max_rank - 1)), ranks)
    return tuple(min_side + code // sides**axis % sides for axis in range(min_rank + rank))


@functools.cache
@st.composite
def broadcasting(draw, max_rank=4, max_side=5):
    """Two shapes that broadcast together: one loses leading axes, and sides become 1."""
    full = draw(shapes(1, max_rank, max_side))
    code, swapped = divmod(draw(SEEDS), 2)
    code, cut = divmod(code, len(full))
    part = tuple(side if code >> axis & 1 else 1 for axis, side in enumerate(full))[cut:]
    return (part, full) if swapped else (full, part)


RANGES = {
    "int2": (-2, 1),
    "int4": (-8, 7),
    "uint4": (0, 15),
    "int8": (-128, 127),
    "uint8": (0, 255),
    "int16": (-32768, 32767),
    "uint16": (0, 65535),
    "int32": (-(2**31), 2**31 - 1),
    "uint32": (0, 2**32 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint64": (0, 2**64 - 1),
}

# powers of two and their neighbours tell rounding rules apart; the last ones are rare in sane models
SANE_SCALES = (0.5, 0.25, 1 / 128, 1 / 256, 0.1, 0.037, 0.0235, 0.0078431377, 1.0)
AWKWARD_SCALES = (0.49999997, 0.50000006, 0.99999994, 1 / 32768, 1e-4, 3.0, 17.5)


@functools.cache
@st.composite
def scales(draw, awkward=True):
    """float32 scales as Python floats: half of them from the lists above, half anything in 2**-10..2**-1."""
    return _scale(awkward, draw(SEEDS))


def _scale(awkward, seed):
    rng = np.random.default_rng(seed)
    listed = SANE_SCALES + (AWKWARD_SCALES if awkward else ())
    scale = listed[rng.integers(len(listed))] if rng.random() < 0.5 else 2 ** rng.uniform(-10, -1)
    return float(np.float32(scale if seed else listed[0]))


@functools.cache
@st.composite
def quantization(draw, type="int8", awkward=True):
    """{"scale": ..., "zero_point": ...} for a tensor of that type, ready to be splatted into Model.input."""
    low, high = RANGES[type]
    zero, seed = 0 if low < 0 else (high + 1) // 2, draw(SEEDS)
    if seed and type not in ("int16", "int32", "int64"):
        rng = np.random.default_rng((seed, 1))
        zero = (zero, low, high, int(rng.integers(low, min(high, 2**63 - 1), endpoint=True)))[rng.integers(4)]
    return {"scale": _scale(awkward, seed), "zero_point": zero}


def array(draw, type, shape, low=None, high=None, special=False):
    """Contents drawn by a seed alone, so that shrinking is cheap: spread, extremes only, small, or one value.

    `low`, `high`: inclusive limits; `special`: floats may hold NaN, infinities and subnormals.
    """
    seed = draw(SEEDS)
    rng, kind = np.random.default_rng(seed), ("same", "small", "extremes", "spread")[seed % 4]
    if type == "bool":
        return np.full(shape, bool(rng.integers(2))) if kind == "same" else rng.integers(0, 2, shape).astype(bool)
    if type == "string":
        words = np.array([b"", b"a", b"abc", "\u00e4\u20ac".encode(), b"\x00\x01"], object)
        return np.array(words[rng.integers(0, len(words), shape)], object).reshape(shape)
    if type.startswith("complex"):
        part = "float32" if type == "complex64" else "float64"
        real, imag = (array(draw, part, shape, low, high, special) for _ in range(2))
        with np.errstate(invalid="ignore"):  # 1j * inf
            return (real + 1j * imag).astype(type)
    if type.startswith(("float", "bfloat")):
        return _floats(rng, kind, type, shape, low, high, special)
    least, most = RANGES[type]
    least, most = least if low is None else low, most if high is None else high
    dtype = np.dtype({"int2": "int8", "int4": "int8", "uint4": "uint8"}.get(type, type))
    if kind == "small":
        least, most = max(least, min(-3, most)), min(most, max(3, least))
    if kind == "extremes":
        values = np.array([least, most], dtype)[rng.integers(0, 2, shape)]
    elif kind == "same":
        values = np.full(shape, rng.integers(least, most, endpoint=True, dtype=dtype.type))
    else:
        values = rng.integers(least, most, size=shape, endpoint=True, dtype=dtype)
    return np.asarray(values, dtype).reshape(shape)


def _floats(rng, kind, type, shape, low, high, special):
    if low is not None or high is not None:
        low = high - 10.0 if low is None else low
        high = low + 10.0 if high is None else high
        values = rng.uniform(low, high, shape)
        if kind == "extremes":
            values = np.where(rng.integers(0, 2, shape), low, high)
    else:
        values = rng.normal(size=shape) * {"spread": 10.0 ** rng.integers(-2, 3), "small": 0.1}.get(kind, 1.0)
        if kind == "extremes":
            values = np.round(values * 4) / 2  # integers and halves: ties
    if kind == "same":
        values = np.full(shape, np.asarray(values).ravel()[0] if np.size(values) else 0.0)
    if special:
        odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, 3e38, -1e30])
        values = np.where(rng.random(shape) < 0.2, odd[rng.integers(0, len(odd), shape)], values)
    if type == "bfloat16":
        import ml_dtypes

        return np.asarray(values).astype(ml_dtypes.bfloat16).reshape(shape)
    with np.errstate(over="ignore"):
        return np.asarray(values).astype(type).reshape(shape)
