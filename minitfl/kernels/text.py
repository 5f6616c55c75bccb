"""SKIP_GRAM: all rows of words that can be read off a text when up to so many words are skipped between two of them.

x a string, y (count,) strings, the words of each joined by a blank. "(an) (old) sea captain": with ngram_size 2 and
max_skip_size 1 "an old", "an sea", "old sea", "old captain", "sea captain". With include_all_ngrams also shorter rows,
each after the longer ones that begin with it.
"""

from __future__ import annotations

import re

import numpy as np

from minitfl.op import Call, Kernel, Site, op


@Kernel
def skip_gram(rows, y):
    """y = the rows"""
    y[...] = np.array(rows, object)


def _words(text: bytes) -> list[bytes]:
    """Its parts between blanks. Like the official kernel: a blank in front makes no gap, and hides the first word."""
    parts = re.split(rb"[ \t\n\v\f\r]", text[1:])
    parts[0] = text[:1] + parts[0]
    hidden = len(parts) > 1 and parts[0][:1].isspace()
    return [part for part in parts[hidden:] if part]


def _rows(words: list[bytes], size: int, skip: int, shorter: bool) -> list[bytes]:
    """The rows, as bytes. The stack holds the words chosen so far, and where the next one is looked for."""
    if len(words) < size or size < 1:
        return []
    found, chosen, following = [], [], [iter(range(len(words)))]
    while following:
        place = next(following[-1], None)
        if place is not None:
            chosen.append(place)
            most = place + 2 + skip if len(chosen) < size else 0
            following.append(iter(range(place + 1, min(most, len(words)))))
            continue
        if chosen and (shorter or len(chosen) == size):
            found.append(b" ".join(words[n] for n in chosen))
        following.pop()
        if chosen:
            chosen.pop()
    return found


@op("SKIP_GRAM")
def skip_gram_(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    site.expect(x.type == "string" and y.type == "string", f"{x.type} -> {y.type}, not strings")
    text = site.value(x).reshape(-1)
    site.expect(text.size, "there is no text")
    options = site.options
    rows = _rows(_words(text[0]), options.ngram_size, options.max_skip_size, options.include_all_ngrams)
    return Call(skip_gram, (rows, y.reshaped(len(rows))), (y.reshaped(len(rows)),))
