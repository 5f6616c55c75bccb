"""Faults: tables, variables and branches."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a table is filled again",
        "kernels/hashtable.py",
        "if table.entries is None:",
        "if True:",
        "kernels/test_hashtable.py::test_a_table_is_filled_once_and_first_keys_count",
    ),
    Fault(
        "of equal keys the last counts",
        "kernels/hashtable.py",
        "zip(reversed(keys.ravel().tolist()), reversed(values.ravel().tolist()))",
        "zip(keys.ravel().tolist(), values.ravel().tolist())",
        "kernels/test_hashtable.py::test_a_table_is_filled_once_and_first_keys_count",
    ),
    Fault(
        "copies leave tables behind",
        "state.py",
        'for k, (key, value, entries) in data["tables"].items()',
        "for k, (key, value, entries) in ()",
        "kernels/test_hashtable.py::test_copies_carry_the_table",
    ),
    Fault(
        "a table may take a variable's number",
        "state.py",
        "        if handle in self.variables:\n",
        "        if False:\n",
        "kernels/test_hashtable.py::test_a_number_that_is_a_variable_s",
    ),
    Fault(
        "an index out of range means the first branch",
        "kernels/control.py",
        "return i if 0 <= i < count else count - 1",
        "return i if 0 <= i < count else 0",
        "kernels/test_control.py::test_a_case_runs_one_branch",
    ),
    Fault(
        "int4 is read from a variable as int8",
        "kernels/resource.py",
        "variable.type == y.type",
        "variable.value.dtype == y.dtype",
        "kernels/test_resource.py::test_types",
    ),
    Fault(
        "what is read keeps the shape it was assigned in",
        "kernels/resource.py",
        "if y.rank and y.size == value.size",
        "if y.shape == value.shape",
        "kernels/test_resource.py::test_the_file_may_give_the_values_a_shape",
    ),
    Fault(
        "a node behind dynamic outputs is refused too early",
        "planning.py",
        "            if self.settled:\n",
        "            if True:\n",
        "test_executable.py::test_what_comes_after_dynamic_outputs_is_refused_at_its_turn",
    ),
]
