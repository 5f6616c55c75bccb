"""Faults: planning and running."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "impure operators are folded",
        "planning.py",
        "if not (preparation.pure and self._fold(node, call)):",
        "if not self._fold(node, call):",
        "test_executable.py::test_only_pure_operators_are_folded",
    ),
    Fault(
        "a late output keeps the shape of the run before",
        "executable.py",
        "if self.plan.tensors[t.index].shape is None or self.arrays[t.index] is None:",
        "if self.arrays[t.index] is None:",
        "test_executable.py::test_a_late_shape_changes_from_run_to_run",
    ),
    Fault(
        "variables keep their contents over a resize",
        "runtime.py",
        "            self.variables.clear()\n",
        "",
        "test_executable.py::test_a_resize_resets_variables",
    ),
    Fault(
        "a clone shares its state",
        "runtime.py",
        "        if state:\n            twin.set_state(self.get_state())",
        "        twin.state = self.state\n        if state:\n            twin.set_state(self.get_state())",
        "test_executable.py::test_a_clone_starts_afresh",
    ),
    Fault(
        "an assigned variable is not copied",
        "state.py",
        "Variable(type, np.array(value))",
        "Variable(type, value)",
        "test_executable.py::test_a_variable_is_a_copy",
    ),
]
