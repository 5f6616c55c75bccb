"""Faults: subgraphs and what they share."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a loop asks its condition once",
        "kernels/control.py",
        "while condition(*values, memory=condition_memory, fresh=fresh)[0].reshape(-1)[0]:",
        "if condition(*values, memory=condition_memory, fresh=fresh)[0].reshape(-1)[0]:",
        "test_control.py::test_fibonacci",
    ),
    Fault(
        "the other branch runs",
        "kernels/control.py",
        "(site.options.else_subgraph_index, site.options.then_subgraph_index)",
        "(site.options.then_subgraph_index, site.options.else_subgraph_index)",
        "test_control.py::test_an_if_runs_one_branch",
    ),
    Fault(
        "CALL_ONCE runs every time",
        "kernels/control.py",
        "if subgraph.index in state.once:",
        "if False:",
        "test_control.py::test_a_variable_is_started_once",
    ),
    Fault(
        "a late call is kept although it read a value",
        "executable.py",
        "        if not asked:\n",
        "        if True:\n",
        "test_control.py::test_a_late_shape_that_is_a_value_is_read_anew",
    ),
    Fault(
        "a start that failed counts as done",
        "kernels/control.py",
        "        state.once.discard(subgraph.index)\n",
        "        pass\n",
        "test_control.py::test_a_start_that_fails_is_tried_again",
    ),
    Fault(
        "variables of one name are shared over containers",
        "kernels/resource.py",
        "{site.options.container or ''}/",
        "/",
        "test_control.py::test_variables_are_told_apart_by_container_and_name",
    ),
]
