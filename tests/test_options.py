"""The options of operators as the model is read: what is refused at once, and what a missing table comes to."""

import numpy as np
import pytest

from minitfl.build import Model
from minitfl.op import find
from minitfl.options import NEEDS_OPTIONS, RULES
from minitfl.schema.options import OP_OPTIONS
from minitfl.schema.tables import spec_of
from tests.cases import OursFailed, check, ours
from tests.kernels.one_op import Arg, one_op

RESOLVER = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"  # knows all versions
LENGTHS = (0, 1, 2, 8, 9, 16, 17, 20, 21)
NO_LIMIT = {"STABLEHLO_GATHER", "STABLEHLO_SCATTER"}  # lists longer than 8 are officially written past their end


def lone(op, **options):
    """A model of one node without tensors: only the parser of its options has a say."""
    m = Model()
    m.op(op, [], [], version=find(op).max_version, **options)
    return m.content()


def refusal(operation, *arguments, **keywords):
    """The builtin exception that the constructor raised, or None."""
    try:
        operation(*arguments, **keywords)
    except ValueError:
        return ValueError
    except Exception as error:
        return getattr(error, "type", type(error))
    return None


def each_alone(op):
    """Options in which one has an odd value: every number near its enumeration, every length of a list."""
    yield {}
    yield {"no_options": True}
    for name, field in spec_of(OP_OPTIONS[op][1]).by_name.items():
        if field.enum:
            known = [int(member) for member in field.enum]
            yield from ({name: number} for number in {-1, *known, max(known) + 1, 127})
        elif field.kind == "vector":
            yield from ({name: [1] * n} for n in LENGTHS if n <= 8 or op not in NO_LIMIT)
        elif field.kind == "string":
            yield {name: ""}


def together():
    """Lists of a length that depends on another's."""
    pads = ("edge_padding_low", "edge_padding_high", "interior_padding")
    for lengths in ((0, 0, 0), (2, 2, 2), (8, 8, 8), (9, 9, 9), (1, 2, 2), (2, 1, 2), (2, 2, 1), (2, 2, 0)):
        yield "STABLEHLO_PAD", {name: [1] * n for name, n in zip(pads, lengths, strict=True)}
    for rank in (0, 1, 2, 8, 9):
        window = {"window_dimensions": [1] * rank}
        yield "STABLEHLO_REDUCE_WINDOW", window
        for name in ("window_strides", "base_dilations", "window_dilations", "padding"):
            for n in {0, 1, rank, 2 * rank, 2 * rank + 1}:
                yield "STABLEHLO_REDUCE_WINDOW", {**window, name: [1] * n}
    for attributes in ([], [1, 2]):
        yield "STABLEHLO_COMPOSITE", {"name": "a", "composite_attributes": attributes}


@pytest.mark.parametrize("op", [op for op in OP_OPTIONS if find(op)])
def test_as_official(official, op):
    from minitfl import Interpreter

    verdicts = set()
    for options in [*each_alone(op), *(options for other, options in together() if other == op)]:
        content = lone(op, **options)
        wanted = refusal(official.details, content, resolver=RESOLVER, allocate=False)
        wanted = ValueError if wanted == "ValueError" else wanted
        assert refusal(Interpreter, model_content=content) == wanted, options
        verdicts.add(wanted)
    # the rules name exactly the operators that something is refused of, and never all is
    assert verdicts == ({None, ValueError} if op in RULES or op in NEEDS_OPTIONS else {None})


@pytest.mark.parametrize(
    "op, options, words",
    [
        (
            "FULLY_CONNECTED",
            {"weights_format": 2},
            "number 2 for the option 'weights_format' of .* a FullyConnectedOptionsWeightsFormat",
        ),
        ("STABLEHLO_CASE", {"branch_subgraph_indices": [0] * 21}, "too many .* 'branch_subgraph_indices' has 21"),
        ("STABLEHLO_COMPOSITE", {"name": "a"}, "needs the option 'composite_attributes'"),
        ("STABLEHLO_REDUCE_WINDOW", {"window_dimensions": []}, "cannot be empty"),
        ("STABLEHLO_REDUCE_WINDOW", {"window_dimensions": [1], "padding": [1]}, r"'padding' .* \(1 != 2\)"),
        ("LSTM", {"no_options": True}, "there is no table of LSTMOptions"),
    ],
)
def test_words(op, options, words):
    with pytest.raises(OursFailed, match=words) as caught:
        ours(lone(op, **options), [])
    assert caught.value.stage == "construct"


# ---- a missing table

X = Arg(np.float32([[1, 2, 1], [3, 4, 5]]))
FINE, COARSE = {"scale": 2.0**-10, "zero_point": 0}, {"scale": 2.0**-9, "zero_point": 0}
SHORT = np.int16([[700, 3001, 5], [-9, 12345, 8]])


def test_numbers_are_0(official):
    # SUB rescales as of general scales, which a stored table without fields would not ask for
    operands = [Arg(SHORT, **FINE), Arg(SHORT[::-1].copy(), **COARSE)]
    results = []
    for options in ({"no_options": True}, {"pot_scale_int16": False}, {}):
        content, arrays = one_op("SUB", operands, [("int16", COARSE)], version=3, **options)
        assert check(content, arrays) == "equal"
        results.append(ours(content, arrays)[0].tolist())
    assert results[0] == results[1] != results[2]


@pytest.mark.parametrize(
    "op, arguments, outputs, keywords, stage",
    [
        ("MIRROR_PAD", [X, np.int32([[1, 1], [1, 1]])], ["float32"], {}, "allocate"),
        ("UNIQUE", [Arg(np.float32([1, 2, 1]))], ["float32", "int32"], {}, "allocate"),
        ("SHAPE", [X], ["int32"], {}, "allocate"),
        ("ARG_MAX", [X, np.int32(0)], ["int32"], {}, "allocate"),
        ("STABLEHLO_RNG_BIT_GENERATOR", [Arg(np.uint64([1, 2]))], ["uint64", "int32"], {"shape": (2,)}, "invoke"),
        (
            "FULLY_CONNECTED",
            [Arg(SHORT, **FINE), Arg(np.int8([[1, 2, 3]]), constant=True, scale=0.5, zero_point=0), np.int32([1])],
            [("int16", COARSE)],
            {"version": 7},
            "allocate",
        ),
    ],
)
def test_enumerations_are_unknown(official, op, arguments, outputs, keywords, stage):
    content, arrays = one_op(op, arguments, outputs, no_options=True, **keywords)
    assert check(content, arrays, must_run=False) == f"error at {stage}"


def test_cast_does_without(official):
    assert check(*one_op("CAST", [X], ["int32"], no_options=True)) == "equal"
