"""Faults: memory."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "lives that only touch are taken for apart",
        "arena.py",
        "alive = [j for j in alive if lives[j].last >= lives[i].first]",
        "alive = [j for j in alive if lives[j].last > lives[i].first]",
        "test_arena.py::test_no_two_lives_overlap",
    ),
    Fault(
        "offsets are not aligned",
        "arena.py",
        "return -(-self.nbytes // ALIGNMENT) * ALIGNMENT",
        "return self.nbytes",
        "test_arena.py::test_sizes_are_rounded_up",
    ),
    Fault(
        "a gap is taken that is one too small",
        "arena.py",
        "if start - at >= lives[i].padded:",
        "if start - at >= lives[i].padded - ALIGNMENT:",
        "test_arena.py::test_no_two_lives_overlap",
    ),
    Fault(
        "an input dies after its last reader in the middle of the run",
        "planning.py",
        "            first[i], last[i] = 0, last_step\n",
        "            first[i], last[i] = 0, 0\n",
        "test_executable.py::test_invoke_may_be_repeated",
    ),
    Fault(
        "a tensor dies one step early",
        "planning.py",
        "                    last[home] = max(last.get(home, n), n)\n            for i in step.node.outputs:",
        "                    last[home] = max(last.get(home, n - 1), n - 1)\n            for i in step.node.outputs:",
        "test_executable.py::test_a_chain_in_little_memory",
    ),
    Fault(
        "a shared output does not keep its home alive",
        "planning.py",
        "                    home = homes.get(i, i)\n                    first.setdefault(home, 0)  # read",
        "                    home = i\n                    first.setdefault(home, 0)  # read",
        "test_executable.py::test_what_is_reshaped_stays_alive",
    ),
    Fault(
        "an output shares the memory of a graph input",
        "planning.py",
        "or home in inputs or y.index in inputs:",
        "or y.index in inputs:",
        "test_executable.py::test_an_output_is_not_a_view_of_an_input",
    ),
    Fault(
        "tensors that were overwritten can still be read",
        "plan.py",
        "lost.add(life.key if life.last < other.first else other.key)",
        "pass",
        "test_executable.py::test_what_was_overwritten_is_not_shown",
    ),
]
