"""Faults to plant, one at a time, each with the test that has to catch it.

A fault is a piece of source that occurs once in its file, and what to put in its place: the mistakes that are easily
made in code of this kind. `tests/test_faults.py` plants each in a copy of the project and wants the named test to fail.
"""

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    file: str  # inside minitfl/
    old: str
    new: str
    test: str  # inside tests/


FAULTS = [
    # ---- memory
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
        "planning.py",
        "lost.add(life.key if life.last < other.first else other.key)",
        "pass",
        "test_executable.py::test_what_was_overwritten_is_not_shown",
    ),
    # ---- planning and running
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
        "executable.py",
        "            self.variables.clear()\n",
        "",
        "test_executable.py::test_a_resize_resets_variables",
    ),
    Fault(
        "a clone shares its state",
        "executable.py",
        "        if state:\n            twin.set_state(self.get_state())",
        "        twin.state = self.state\n        if state:\n            twin.set_state(self.get_state())",
        "test_executable.py::test_a_clone_starts_afresh",
    ),
    Fault(
        "an assigned variable is not copied",
        "state.py",
        "self.variables[handle] = np.array(value)",
        "self.variables[handle] = value",
        "test_executable.py::test_a_variable_is_a_copy",
    ),
    # ---- reading
    Fault(
        "the second nibble comes first",
        "load.py",
        "[(used >> (bits * n)) & ((1 << bits) - 1) for n in range(per_byte)]",
        "[(used >> (bits * n)) & ((1 << bits) - 1) for n in reversed(range(per_byte))]",
        "test_load.py::test_four_bits",
    ),
    Fault(
        "4-bit integers lose their sign",
        "load.py",
        'if kind.startswith("int"):',
        'if kind.startswith("uint"):',
        "test_load.py::test_four_bits",
    ),
    Fault(
        "sparse blocks are not multiplied out",
        "kernels/sparse.py",
        "by_dimension[dimension] += at * block[dimension]",
        "by_dimension[dimension] += at",
        "test_load.py::test_sparse_blocks",
    ),
    Fault(
        "string offsets are not checked against the buffer",
        "load.py",
        "or ends[-1] > len(data)",
        "",
        "test_load.py::test_damaged_strings",
    ),
    # ---- operators that move values
    Fault(
        "SPACE_TO_DEPTH takes blocks column by column",
        "kernels/layout.py",
        "    split = (batch, height // block, block, width // block, block, channels)\n"
        "    return Call(rearrange, (x, split, (0, 1, 3, 2, 4, 5), y), (y,))",
        "    split = (batch, height // block, block, width // block, block, channels)\n"
        "    return Call(rearrange, (x, split, (0, 1, 3, 4, 2, 5), y), (y,))",
        "kernels/test_layout.py::test_space_to_depth_takes_blocks_row_by_row",
    ),
    Fault(
        "SPACE_TO_BATCH_ND pads with 0 instead of the zero point",
        "kernels/layout.py",
        "zero = x.zero if x.quantization is not None else 0",
        "zero = 0",
        "kernels/test_layout.py::test_space_to_batch_pads_with_the_zero_point",
    ),
    Fault(
        "a negative axis of EXPAND_DIMS counts from the rank",
        "kernels/layout.py",
        "at += x.rank + 1 if at < 0 else 0",
        "at += x.rank if at < 0 else 0",
        "kernels/test_layout.py::test_squeeze_and_expand_dims",
    ),
    Fault(
        "crops are taken from the wrong end",
        "kernels/layout.py",
        "slice(before, before + n) for n, (before, _) in zip(kept, crops, strict=True)",
        "slice(before, before + n) for n, (_, before) in zip(kept, crops, strict=True)",
        "kernels/test_layout.py::test_batch_and_space",
    ),
    Fault(
        "uint8 CONCATENATION keeps the scale of its inputs",
        "kernels/join.py",
        "if (x_scale, x_zero) == (y_scale, y_zero):",
        "if True:",
        "kernels/test_join.py::test_uint8_inputs_come_to_the_output_scale",
    ),
    Fault(
        "a negative axis of PACK counts from the rank",
        "kernels/join.py",
        "axis += first.rank + 1 if axis < 0 else 0",
        "axis += first.rank if axis < 0 else 0",
        "kernels/test_join.py::test_pack_and_unpack",
    ),
    Fault(
        "RANGE multiplies instead of adding up",
        "kernels/shape.py",
        "        np.cumsum(steps, out=y)",
        "        y[...] = start + np.arange(y.size, dtype=y.dtype) * delta",
        "kernels/test_shape.py::test_range",
    ),
]
