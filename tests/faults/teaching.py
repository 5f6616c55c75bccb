"""Faults: looking closer, at one operator, at each node, at a caller's kernel, at two models."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "an observer is told of the rules inside a rule",
        "kernels/fixedpoint.py",
        "token = OBSERVER.set(None)",
        "token = OBSERVER.set(observer)",
        "kernels/test_requantize.py::test_an_observer_is_told_of_each_rescaling",
    ),
    Fault(
        "a trace shows memory instead of copies",
        "trace.py",
        "array if array is None or not array.flags.writeable else array.copy()",
        "array",
        "test_trace.py::test_a_trace_computes_what_invoke_computes",
    ),
    Fault(
        "traced sums lack their bias",
        "trace.py",
        "total, numbers = total + bias, (multiplier, shift)",
        "numbers = (multiplier, shift)",
        "test_trace.py::test_the_numbers_of_a_convolution",
    ),
    Fault(
        "blocks of one rescaling count apart",
        "trace.py",
        "key = (rule, *(",
        "key = (rule, len(self._uses), *(",
        "test_trace.py::test_blocks_of_one_rescaling_count_as_one",
    ),
    Fault(
        "a caller's kernel may write its inputs",
        "substitute.py",
        "if t.index not in self.mutable:",
        "if t.index < 0:",
        "test_checking.py::test_options_and_quantization_are_told",
    ),
    Fault(
        "check leaves states out",
        "checking.py",
        "for i in (*written, *sorted(kept))]",
        "for i in written]",
        "test_checking.py::test_variables_are_compared_too",
    ),
    Fault(
        "check names the last wrong element",
        "checking.py",
        "np.argwhere(wrong)[0])",
        "np.argwhere(wrong)[-1])",
        "test_checking.py::test_the_first_wrong_element_of_each_tensor",
    ),
    Fault(
        "the one input of an operator is a constant",
        "single.py",
        "stored = {i for i in range(len(values)) if i != first}",
        "stored = set(range(len(values)))",
        "test_trace.py::test_the_numbers_of_a_convolution",
    ),
    Fault(
        "stored numbers are compared instead of real ones",
        "comparing.py",
        "        return dequantize(array, tensor).astype(np.float64).ravel()\n",
        "        return array.astype(np.float64).ravel()\n",
        "test_comparing.py::test_a_float_and_a_quantized_model",
    ),
    Fault(
        "a second sample forgets the first",
        "comparing.py",
        "self.squares += float(",
        "self.squares = float(",
        "test_comparing.py::test_samples_add_up",
    ),
    Fault(
        "a type's kernels are those of the other operators too",
        "definition.py",
        "if of_row and op not in of_row:",
        "if of_row and not op:",
        "test_definition.py::test_tables_are_read[ADD-float32-kernels0]",
    ),
]
