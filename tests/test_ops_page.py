"""docs/ops.md says what the differential tests found."""

import json

import pytest

from minitfl.build import Model
from minitfl.kernels.index import FAMILY_OF
from tests import ops_page, results


def stored():
    return json.loads(results.STORED.read_text())


def test_the_page_is_made_of_the_results():
    assert results.PAGE.read_text() == ops_page.page(stored()), "run the tests with MINITFL_RESULTS, then tests.results"


def test_every_operator_has_cases_enough_in_every_variant():
    assert results.problems(stored(), FAMILY_OF) == []
    assert set(stored()) == set(FAMILY_OF)


def test_a_known_difference_names_its_operators():
    rows = ops_page.table_under("## Known differences")
    assert len(rows) > 10
    for cells in rows:
        assert len(cells) == 3 and (ops_page.operators_in(cells[0]) or cells[0] == "float operators"), cells


def test_problems_are_found():
    good = {
        "versions": [1],
        "refused": 0,
        "swept": 0,
        "taken": [],
        "variants": {"int8 -> int8": {"ran": 200, "failed": 0}},
    }
    few = {**good, "variants": {"int8 -> int8": {"ran": 199, "failed": 0}}}
    bad = {**good, "variants": {"int8 -> int8": {"ran": 200, "failed": 1}}}
    assert results.problems({"ABS": good}, ["ABS"]) == []
    assert results.problems({"ABS": few}, ["ABS"]) == ["ABS int8 -> int8: 199 cases, fewer than 200"]
    assert results.problems({"ABS": bad}, ["ABS"]) == ["ABS int8 -> int8: 1 cases failed"]
    assert results.problems({"ABS": good}, ["ABS", "NEG"]) == ["NEG: no case"]
    assert results.changes({"ABS": good}, {"ABS": good}) == []
    assert len(results.changes({"ABS": good}, {"NEG": good})) == 2


@pytest.mark.parametrize("op, names", [("ADD", "float32 float32"), ("ADD_N", "float32 ...")])
def test_a_variant_names_the_types(op, names):
    m = Model()
    x = m.input((2,))
    m.op(op, [x, x], [y := m.tensor((2,))])
    m.output(y)
    if op in FAMILY_OF:
        ((name, version, variant),) = results.variants(m.content())
        assert (name, version) == (op, 1)
        assert variant.startswith(names + " -> float32")


def test_the_runs_of_one_process_are_merged(tmp_path, monkeypatch):
    monkeypatch.setenv("MINITFL_RESULTS", str(tmp_path))
    key = ("ABS", 1, "int8 -> int8")
    counts = {(*key, "ran"): 3, (*key, "refused"): 2, (*key, "taken"): 1, ("ABS", 2, "int4 -> int8", "taken"): 1}
    monkeypatch.setattr(results, "COUNTS", results.Counter(counts))
    results.write("a")
    results.write("b")
    (entry,) = results.merged(tmp_path).values()
    assert entry == {
        "versions": [1],
        "refused": 4,
        "swept": 4,
        "taken": ["int4 -> int8"],
        "variants": {"int8 -> int8": {"ran": 6, "failed": 0}},
    }
