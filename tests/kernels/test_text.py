"""SKIP_GRAM."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, OursFailed, check, differential, ours
from tests.kernels.one_op import Arg, blank, one_op
from tests.sweep import TYPES, sweep


def grams(text, size, skip=0, shorter=False, constant=False):
    options = {"ngram_size": size, "max_skip_size": skip, "include_all_ngrams": shorter}
    return one_op("SKIP_GRAM", [Arg(np.array([text], object), constant=constant)], ["string"], **options)


# ---- worked by hand


def test_rows_of_two_words():
    text = b"an old sea captain"
    assert ours(*grams(text, 2))[0].tolist() == [b"an old", b"old sea", b"sea captain"]
    skipping = [b"an old", b"an sea", b"old sea", b"old captain", b"sea captain"]
    assert ours(*grams(text, 2, 1))[0].tolist() == skipping


def test_shorter_rows_follow_the_longer_ones():
    assert ours(*grams(b"a b c", 2, 0, True))[0].tolist() == [b"a b", b"a", b"b c", b"b", b"c"]


@pytest.mark.parametrize(
    "text, words",
    [
        (b"a  b\tc\n", [b"a", b"b", b"c"]),
        (b" a b", [b"b"]),  # the official kernel loses a word behind a blank in front
        (b" a", [b" a"]),
        (b" ", [b" "]),
        (b"", []),
        ("\u00e4 \u2003".encode(), ["\u00e4".encode(), "\u2003".encode()]),  # blanks beyond ASCII do not count
    ],
)
def test_words(official, text, words):
    content, arrays = grams(text, 1)
    assert ours(content, arrays)[0].tolist() == words
    check(content, arrays)


# ---- against the official runtime


@pytest.mark.parametrize("constant", [True, False])
def test_skip_gram(official, constant):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        text = bytes(rng.choice(np.frombuffer(b"ab\xc3\xa4   \t\n\v\f\r", np.uint8), rng.integers(0, 16)))
        size, skip = int(rng.integers(-1 if rng.random() < 0.1 else 1, 5)), int(rng.integers(-1, 4))
        check(*grams(text, size, skip, bool(rng.integers(2)), constant))

    run()


def test_texts_that_change(official):
    content, _ = grams(b"", 2, 1, True)
    turns = [[np.array([text], object)] for text in (b"one two three", b"one", b"a b c d e f g", b"")]
    check(content, turns, sequence=True)


def test_the_first_of_several_texts_counts(official):
    content, _ = grams(b"", 2)
    check(content, [np.array([b"a b c", b"d e"], object)])


# ---- refusals


def test_no_text():
    """Officially the process dies."""
    content, _ = grams(b"", 2)
    with pytest.raises(OursFailed, match="there is no text"):
        ours(content, [np.zeros(0, object)])


def test_types(official):
    taken = sweep(lambda x, y: one_op("SKIP_GRAM", [blank(x, 1, constant=x == "int4")], [y]), (TYPES, TYPES))
    assert taken == {("string", "string")}
