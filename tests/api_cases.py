"""What the official interpreter API does, as small functions that run on any runtime with that API.

    python -m tests.api_cases ai_edge_litert.interpreter      # prints the outcomes as JSON

`CASES`: name -> (function of the interpreter module, text). The text is a regular expression that the message of the
error must match; None where the case returns a value, which must be equal.
"""

import importlib
import json
import os
import pathlib
import sys
import tempfile
import warnings

import numpy as np

from minitfl.build import Model
from tests import small_models as models

CASES = {}


def case(text=None):
    def register(function):
        CASES[function.__name__] = (function, text)
        return function

    return register


def outcome(function, lite):
    """["ok", value] or ["error", names of the type and its bases, text]; values as plain data."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ["ok", plain(function(lite))]
        except Exception as error:
            return ["error", [base.__name__ for base in type(error).__mro__], str(error)]


def plain(value):
    if isinstance(value, np.ndarray):
        return {"array": value.dtype.name, "shape": list(value.shape), "values": plain(value.tolist())}
    if isinstance(value, np.generic):
        return {"scalar": value.dtype.name, "value": plain(value.item())}
    if isinstance(value, type):
        return f"class {value.__name__}"
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()} | {"keys": list(map(str, value))}
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *map(plain, value)]
    if isinstance(value, bytes):
        return repr(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else repr(value)


def make(lite, content, allocate=True, **keywords):
    keywords.setdefault("experimental_op_resolver_type", lite.OpResolverType.BUILTIN_REF)
    interpreter = lite.Interpreter(model_content=content, **keywords)
    if allocate:
        interpreter.allocate_tensors()
    return interpreter


X = np.array([[1, 2, 3, 4]], np.float32)

# ---- construction


@case("`model_path` or `model_content` must be specified.")
def neither_path_nor_content(lite):
    lite.Interpreter()


@case("`model_path` or `model_content` must be specified.")
def both_empty(lite):
    lite.Interpreter("", b"")


@case("Can't both provide `model_path` and `model_content`")
def both_path_and_content(lite):
    lite.Interpreter("x", models.permute())


@case("Could not open 'no_such_file'")
def missing_file(lite):
    lite.Interpreter("no_such_file")


@case("Mmap of .* failed with error")
def directory(lite):
    lite.Interpreter(tempfile.gettempdir())


@case("expected str, bytes or os.PathLike object, not int")
def path_of_int(lite):
    lite.Interpreter(3)


def file_of(content):
    handle, path = tempfile.mkstemp(suffix=".tflite")
    os.write(handle, content)
    os.close(handle)
    return path


@case()
def path_like(lite):
    return lite.Interpreter(pathlib.Path(file_of(models.permute()))).get_input_details()


@case()
def path_of_bytes(lite):
    return lite.Interpreter(os.fsencode(file_of(models.permute()))).get_output_details()


@case("The model is not a valid Flatbuffer buffer")
def short_content(lite):
    lite.Interpreter(model_content=b"short")


@case("The model is not a valid Flatbuffer buffer")
def wrong_identifier(lite):
    lite.Interpreter(model_content=b"wrong_identifier")


@case("The model is not a valid Flatbuffer buffer")
def truncated(lite):
    lite.Interpreter(model_content=models.permute()[:200])


@case("The model is not a valid Flatbuffer buffer")
def wrong_identifier_in_file(lite):
    lite.Interpreter(file_of(models.permute().replace(b"TFL3", b"TFL2")))


@case("CreateWrapperFromBuffer\\(\\): incompatible function arguments")
def content_of_bytearray(lite):
    lite.Interpreter(model_content=bytearray(models.permute()))


@case("CreateWrapperFromBuffer\\(\\): incompatible function arguments")
def content_of_memoryview(lite):
    lite.Interpreter(model_content=memoryview(models.permute()))


@case("CreateWrapperFromBuffer\\(\\): incompatible function arguments")
def content_of_str(lite):
    lite.Interpreter(model_content="abc")


@case("type of num_threads should be int")
def threads_of_float(lite):
    lite.Interpreter(model_content=models.permute(), num_threads=4.2)


@case("type of num_threads should be int")
def threads_of_numpy(lite):
    lite.Interpreter(model_content=models.permute(), num_threads=np.int64(2))


@case("num_threads should >= 1")
def threads_of_zero(lite):
    lite.Interpreter(model_content=models.permute(), num_threads=0)


@case("Unrecognized passed in op resolver type: test")
def resolver_of_str(lite):
    lite.Interpreter(model_content=models.permute(), experimental_op_resolver_type="test")


@case("Unrecognized passed in op resolver type: 1")
def resolver_of_int(lite):
    lite.Interpreter(model_content=models.permute(), experimental_op_resolver_type=1)


@case("Unrecognized passed in op resolver type")
def resolver_is_checked_first(lite):
    lite.Interpreter(experimental_op_resolver_type=None, num_threads=-1)


@case("num_threads should >= 1")
def threads_are_checked_before_the_model(lite):
    lite.Interpreter(num_threads=-1)


@case("unexpected keyword argument 'bogus'")
def unknown_keyword(lite):
    lite.Interpreter(model_content=models.permute(), bogus=1)


@case()
def all_official_arguments_by_position(lite):
    kind = lite.OpResolverType.BUILTIN_REF
    interpreter = lite.Interpreter(None, models.permute(), [], True, kind, True, True, False, True, True, True)
    return interpreter.experimental_compress_quantization_zero_points


@case()
def compressed_zero_points(lite):
    interpreter = make(lite, models.per_channel(), False, experimental_compress_quantization_zero_points=True)
    return interpreter.get_tensor_details()


@case()
def resolver_types(lite):
    return {kind.name: [kind.value, lite._get_op_resolver_id(kind)] for kind in lite.OpResolverType}


@case()
def preserve_all_warns(lite):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        lite.Interpreter(model_content=models.permute(), experimental_preserve_all_tensors=True)
        found = ["debugging purposes only" in " ".join(str(w.message).split()) for w in caught]
        make(lite, models.permute(), False, experimental_preserve_all_tensors=True)
    return found, len(caught)


# ---- models that break the format


def broken(name, text, change, allocate=False):
    def try_it(lite):
        make(lite, models.broken(change), allocate)

    CASES[f"broken_{name}"] = (try_it, text)


def put(where, key, value):
    where[key] = value


broken("no_subgraph", "No subgraph in the model.", lambda t, s: put(t, "subgraphs", []))
broken(
    "operator_code",
    "Op builtin_code out of range: 5000. Are you using old TFLite binary with newer model\\?",
    lambda t, s: put(t["operator_codes"][0], "builtin_code", 5000),
)
broken(
    "operator_version",
    "Didn't find op for builtin opcode 'NEG' version '99'. An older version of this builtin might be supported."
    " Are you using an old TFLite binary with a newer model\\?",
    lambda t, s: put(t["operator_codes"][0], "version", 99),
)
broken(
    "operator_index",
    "Missing registration for opcode_index 99",
    lambda t, s: put(s["operators"][0], "opcode_index", 99),
)
broken(
    "short_constant",
    "(?s)required_bytes <= bytes was not true.*Tensor 2 is invalidly specified in schema.",
    lambda t, s: put(s["tensors"][2], "shape", [3, 5]),
)
broken(
    "buffer_index",
    "Tensor 2 specifies out of range buffer 9999 \\(only 2 buffers\\).",
    lambda t, s: put(s["tensors"][2], "buffer", 9999),
)
broken(
    "buffer_offset",
    "Constant buffer 1 specified an out of range offset.",
    lambda t, s: put(t["buffers"], 1, {"offset": 99999, "size": 4}),
)
broken(
    "zero_points",
    "QuantizationParam has 1 zero_point values and 3 scale values. Must have same number.",
    lambda t, s: put(s["tensors"][2]["quantization"], "zero_point", [0]),
)
broken("type", "Unsupported data type 100 in tensor", lambda t, s: put(s["tensors"][0], "type", 100))
broken(
    "dimension",
    "BytesRequired number of elements overflowed.",
    lambda t, s: put(s["tensors"][0], "shape", [1, -4]),
)
broken(
    "node_input",
    "Invalid tensor index 777 in node inputs. The subgraph has 3 tensors",
    lambda t, s: put(s["operators"][0], "inputs", [777]),
    allocate=True,
)


@case("Tensor 1 is both input 1 and output 0")
def output_that_is_an_input(lite):
    m = Model()
    x, y = m.input((1, 4)), m.tensor((1, 4))
    m.op("ADD", [x, y], [y])
    m.output(y)
    make(lite, m.content())


@case("Input tensor 0 lacks data")
def input_without_data(lite):
    make(lite, models.broken(lambda t, s: put(s, "inputs", []))).invoke()


# ---- details


@case()
def details_before_allocate(lite):
    return make(lite, models.permute(), False).get_tensor_details()


@case()
def details_of_quantized(lite):
    interpreter = make(lite, models.quantized(), False)
    return interpreter.get_input_details(), interpreter.get_output_details()


@case()
def details_per_channel(lite):
    return make(lite, models.per_channel(), False).get_tensor_details()


@case()
def details_of_strings(lite):
    return make(lite, models.strings(), False).get_input_details()


@case()
def details_of_scalars(lite):
    return make(lite, models.scalars(), False).get_tensor_details()


@case()
def details_of_4_bits(lite):
    return make(lite, models.narrow("int4"), False).get_input_details()


@case()
def details_of_bfloat16(lite):
    return make(lite, models.bfloat16(), False).get_input_details()


@case()
def details_of_resources(lite):
    return make(lite, models.counter(), False).get_tensor_details(1)


@case()
def details_follow_a_resize(lite):
    interpreter = make(lite, models.permute(), False)
    interpreter.resize_tensor_input(0, [3, 4])
    found = [interpreter.get_input_details(), interpreter.get_output_details()]
    interpreter.allocate_tensors()
    return [*found, interpreter.get_output_details()]


@case()
def signature_of_free_dimensions_stays(lite):
    interpreter = make(lite, models.two_signatures(), False)
    interpreter.resize_tensor_input(0, [5])
    interpreter.allocate_tensors()
    return interpreter.get_tensor_details()[:3]


@case("subgraph_index is out of range: 1 for the model, which has 1 subgraphs.")
def details_of_a_missing_subgraph(lite):
    make(lite, models.permute()).get_tensor_details(1)


@case("subgraph_index is out of range")
def details_of_a_negative_subgraph(lite):
    make(lite, models.permute()).get_tensor_details(subgraph_index=-1)


@case("Invalid tensor index 4 exceeds max tensor index 3")
def details_of_a_missing_tensor(lite):
    make(lite, models.permute(), False)._get_tensor_details(4, 0)


@case("Invalid tensor index -1 exceeds max tensor index 3")
def negative_indices_do_not_wrap(lite):
    make(lite, models.permute(), False)._get_tensor_details(-1, 0)


@case()
def details_of_operators(lite):
    return make(lite, models.permute())._get_ops_details()


@case()
def details_of_custom_operators(lite):
    return make(lite, models.custom("Sinh"), False)._get_ops_details()


@case("Invalid node index")
def details_of_a_missing_operator(lite):
    make(lite, models.permute())._get_op_details(4)


@case()
def subgraphs_are_counted(lite):
    return make(lite, models.permute(), False).num_subgraphs(), make(lite, models.two_signatures()).num_subgraphs()


# ---- values


@case()
def run_permute(lite):
    interpreter = make(lite, models.permute())
    interpreter.set_tensor(0, X)
    interpreter.invoke()
    return interpreter.get_tensor(2)


@case()
def scalars_come_back_as_numpy_scalars(lite):
    interpreter = make(lite, models.scalars())
    interpreter.set_tensor(0, np.float32(2))
    interpreter.invoke()
    return interpreter.get_tensor(2), interpreter.tensor(2)(), interpreter.get_tensor(0)


@case()
def values_that_are_accepted(lite):
    interpreter = make(lite, models.permute())
    found = []
    for value in ([list(map(np.float32, range(4)))], np.asfortranarray(X * 2), np.ma.masked_array(X * 3), X[:, ::-1]):
        interpreter.set_tensor(0, value)
        found.append(interpreter.get_tensor(0))
    return found


@case()
def copies_are_copies(lite):
    interpreter = make(lite, models.permute())
    interpreter.set_tensor(0, X)
    copy = interpreter.get_tensor(0)
    interpreter.set_tensor(0, X + 1)
    return copy, copy.flags.writeable, copy.flags.owndata, interpreter.get_tensor(0)


@case()
def views_share_memory(lite):
    interpreter = make(lite, models.permute())
    view = interpreter.tensor(0)
    view()[...] = X
    found = [interpreter.get_tensor(0), view().flags.writeable, view().flags.owndata, view().flags.c_contiguous]
    interpreter.set_tensor(0, X * 2)
    return [*found, view().copy()]


@case()
def constants_are_readable_before_allocate(lite):
    return make(lite, models.permute(), False).get_tensor(1)


@case("Cannot set tensor: Got value of type FLOAT64 but expected type FLOAT32 for input 0, name: input ")
def wrong_type(lite):
    make(lite, models.permute()).set_tensor(0, X.astype(np.float64))


@case("Got value of type FLOAT64 but expected type FLOAT32")
def list_of_floats(lite):
    make(lite, models.permute()).set_tensor(0, [[1.0, 2.0, 3.0, 4.0]])


@case("Got value of type INT64 but expected type FLOAT32")
def list_of_ints(lite):
    make(lite, models.permute()).set_tensor(0, [[1, 2, 3, 4]])


@case("Got value of type UINT8 but expected type INT8")
def uint8_for_int8(lite):
    make(lite, models.quantized()).set_tensor(0, X.astype(np.uint8))


@case("Got value of type BOOL but expected type FLOAT32")
def bool_for_float(lite):
    make(lite, models.permute()).set_tensor(0, X > 2)


@case("Got value of type STRING but expected type FLOAT32")
def str_for_float(lite):
    make(lite, models.permute()).set_tensor(0, [["a", "b", "c", "d"]])


@case("Got value of type NOTYPE but expected type FLOAT32")
def longdouble_for_float(lite):
    make(lite, models.permute()).set_tensor(0, X.astype(np.longdouble))


@case("Dimension mismatch. Got 1 but expected 2 for input 0.")
def wrong_rank(lite):
    make(lite, models.permute()).set_tensor(0, X[0])


@case("Dimension mismatch. Got 5 but expected 4 for dimension 1 of input 0.")
def wrong_dimension(lite):
    make(lite, models.permute()).set_tensor(0, np.zeros((1, 5), np.float32))


@case("Failed to convert value into readable tensor.")
def ragged_list(lite):
    make(lite, models.permute()).set_tensor(0, [[1.0], [1.0, 2.0]])


@case("Cannot set tensor: Tensor is unallocated. Try calling allocate_tensors\\(\\) first")
def set_before_allocate(lite):
    make(lite, models.permute(), False).set_tensor(0, X)


@case("Tensor data is null. Run allocate_tensors\\(\\) first")
def get_before_allocate(lite):
    make(lite, models.permute(), False).get_tensor(0)


@case("Tensor data is null. Run allocate_tensors\\(\\) first")
def view_before_allocate(lite):
    make(lite, models.permute(), False).tensor(0)()


@case()
def dynamic_output(lite):
    interpreter = make(lite, models.reshape_by_input())
    interpreter.set_tensor(0, np.arange(6, dtype=np.float32)[None])
    found = []
    for shape in ([2, 3], [6, 1]):
        interpreter.set_tensor(1, np.array(shape, np.int32))
        interpreter.invoke()
        found += [interpreter.get_tensor(2), interpreter.get_output_details()[0]["shape"]]
    return found


@case("Invalid tensor index 3 exceeds max tensor index 3")
def get_a_missing_tensor(lite):
    make(lite, models.permute(), False).get_tensor(3)


@case("Invalid tensor index -1 exceeds max tensor index 3")
def set_a_missing_tensor(lite):
    make(lite, models.permute(), False).set_tensor(-1, X)


@case("Invalid tensor index 9 exceeds max tensor index 3")
def view_of_a_missing_tensor_raises_when_called(lite):
    view = make(lite, models.permute(), False).tensor(9)
    view()


@case("Invalid subgraph index 1 exceeds max subgraph index 1")
def get_from_a_missing_subgraph(lite):
    make(lite, models.permute()).get_tensor(0, 1)


@case("incompatible function arguments")
def index_of_float(lite):
    make(lite, models.permute()).get_tensor(0.0)


@case("incompatible function arguments")
def index_of_str(lite):
    make(lite, models.permute()).set_tensor("0", X)


@case()
def index_of_numpy(lite):
    interpreter = make(lite, models.permute())
    interpreter.set_tensor(np.int64(0), X)
    return interpreter.get_tensor(np.uint8(0))


# ---- strings and narrow types


@case()
def strings_are_gathered(lite):
    interpreter = make(lite, models.strings())
    interpreter.set_tensor(0, np.array(list("abcdefghi") + ["\u00fc"]))
    interpreter.set_tensor(1, np.array([1, 9, 3], np.int64))
    interpreter.invoke()
    return interpreter.get_tensor(2), interpreter.get_tensor(0)


@case()
def strings_of_bytes_and_objects(lite):
    interpreter = make(lite, models.strings())
    found = []
    for value in (np.array([b"a\0b"] * 10), np.array(["x", b"y\0"] * 5, object)):
        interpreter.set_tensor(0, value)
        found.append(interpreter.get_tensor(0))
    return found


@case()
def a_string_without_axes_is_kept_whole(lite):
    interpreter = make(lite, models.string_scalar())
    interpreter.set_tensor(0, np.array(b"abcd" + bytes(16)))
    return interpreter.get_tensor(0)


@case("Passed in value type is not a numpy array, got type list.")
def strings_of_a_list(lite):
    make(lite, models.strings()).set_tensor(0, ["a"] * 10)


@case("PyBytes_AsStringAndSize\\(\\) failed.")
def strings_of_other_objects(lite):
    make(lite, models.strings()).set_tensor(0, np.array([1, "a"] * 5, object))


@case("Got value of type INT64 but expected type STRING")
def strings_of_numbers(lite):
    make(lite, models.strings()).set_tensor(0, np.arange(10))


@case("Got 9 but expected 10 for dimension 0 of input 0.")
def strings_of_another_number(lite):
    make(lite, models.strings()).set_tensor(0, np.array(["a"] * 9))


@case()
def four_bit_values(lite):
    interpreter = make(lite, models.narrow("int4"))
    interpreter.set_tensor(0, np.array([-8, -1, 0, 1, 6, 7], np.int8))
    return interpreter.get_tensor(0)


@case("Values for INT4 input must be between -8 and 7.")
def four_bit_value_out_of_range(lite):
    make(lite, models.narrow("int4")).set_tensor(0, np.full((2, 3), 8, np.int8))


@case("Expected a numpy array of int8 for INT4 input 0, name: x, but got FLOAT32")
def four_bit_values_of_float(lite):
    make(lite, models.narrow("int4")).set_tensor(0, np.zeros((2, 3), np.float32))


@case("has 5 bytes, but expected 6 bytes for 6 elements")
def four_bit_values_of_another_number(lite):
    make(lite, models.narrow("int4")).set_tensor(0, np.zeros(5, np.int8))


@case()
def bfloat16_values(lite):
    import ml_dtypes

    interpreter = make(lite, models.bfloat16())
    interpreter.set_tensor(0, np.array([1.5, -2], ml_dtypes.bfloat16))
    interpreter.invoke()
    return interpreter.get_tensor(0).astype(np.float32), interpreter.get_tensor(0).dtype.name, interpreter.get_tensor(1)


@case("Got value of type FLOAT32 but expected type BFLOAT16")
def float32_for_bfloat16(lite):
    make(lite, models.bfloat16()).set_tensor(0, np.zeros(2, np.float32))


# ---- resize, allocate, invoke


@case()
def resize_and_run(lite):
    interpreter = make(lite, models.permute())
    interpreter.resize_tensor_input(0, (2.9, 4))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.concatenate([X, X + 1]))
    interpreter.invoke()
    return interpreter.get_tensor(2)


@case()
def resize_to_nothing(lite):
    interpreter = make(lite, models.two_signatures())
    interpreter.resize_tensor_input(0, [0])
    interpreter.allocate_tensors()
    interpreter.invoke()
    return interpreter.get_tensor(0), interpreter.get_tensor(2)


@case("ResizeInputTensorStrict only allows mutating unknown dimensions identified by -1.")
def strict_resize_of_a_fixed_dimension(lite):
    make(lite, models.permute(), False).resize_tensor_input(0, [2, 4], strict=True)


@case("Attempting to resize dimension 0 of tensor 0 with value 1 to 2.")
def strict_resize_names_the_dimension(lite):
    make(lite, models.permute(), False).resize_tensor_input(0, [2, 4], strict=True)


@case("tensor->dims->size != dims.size\\(\\) \\(2 != 1\\)")
def strict_resize_of_the_rank(lite):
    make(lite, models.permute(), False).resize_tensor_input(0, [4], True)


@case()
def strict_resize_of_a_free_dimension(lite):
    interpreter = make(lite, models.two_signatures(), False)
    interpreter.resize_tensor_input(0, [3], strict=True)
    return interpreter.get_input_details()


@case("tensor_index < context_.tensors_size && tensor_index >= 0 was not true")
def resize_a_missing_tensor(lite):
    make(lite, models.permute(), False).resize_tensor_input(7, [1])


@case("Attempting to resize a fixed-size tensor.")
def resize_a_constant(lite):
    make(lite, models.permute()).resize_tensor_input(1, [1])


@case("Shape should be 1D instead of 2.")
def resize_to_a_matrix(lite):
    make(lite, models.permute()).resize_tensor_input(0, [[1, 4]])


@case("Shape should be 1D instead of 0.")
def resize_to_a_number(lite):
    make(lite, models.permute()).resize_tensor_input(0, 4)


@case("BytesRequired number of elements overflowed.")
def resize_to_a_negative_size(lite):
    make(lite, models.permute()).resize_tensor_input(0, [-1, 4])


@case("Invoke called on model that is not ready.")
def invoke_before_allocate(lite):
    make(lite, models.permute(), False).invoke()


@case("Invoke called on model that is not ready.")
def invoke_after_resize(lite):
    interpreter = make(lite, models.permute())
    interpreter.resize_tensor_input(0, [2, 4])
    interpreter.invoke()


@case("Tensor data is null. Run allocate_tensors\\(\\) first")
def get_after_resize(lite):
    interpreter = make(lite, models.permute())
    interpreter.resize_tensor_input(0, [2, 4])
    interpreter.get_tensor(0)


@case("Encountered unresolved custom op: Sinh.")
def unresolved_custom_operator(lite):
    make(lite, models.custom("Sinh"))


@case("Node number 0 \\(Sinh\\) failed to prepare.")
def unresolved_custom_operator_is_placed(lite):
    make(lite, models.custom("Sinh"))


@case("Select TensorFlow op\\(s\\), included in the given model, is\\(are\\) not supported by this interpreter.")
def flex_operator(lite):
    make(lite, models.custom("FlexSoftplus"), experimental_op_resolver_type=lite.OpResolverType.AUTO)


@case("Node number 0 \\(GATHER\\) failed to invoke.")
def index_out_of_bounds(lite):
    interpreter = make(lite, models.strings())
    interpreter.set_tensor(0, np.array(["a"] * 10))
    interpreter.set_tensor(1, np.array([1, 2, 10], np.int64))
    interpreter.invoke()


@case("Node number 0 \\(RESHAPE\\) failed to prepare.")
def batch_that_the_graph_refuses(lite):
    interpreter = make(lite, models.fixed_batch())
    interpreter.resize_tensor_input(0, [3, 4])
    interpreter.allocate_tensors()


@case()
def allocate_twice_keeps_values_and_variables(lite):
    interpreter = make(lite, models.remembering())
    interpreter.set_tensor(0, np.array([[1, 2]], np.float32))
    interpreter.invoke()
    interpreter.allocate_tensors()
    interpreter.invoke()
    found = [interpreter.get_tensor(4)]
    interpreter.resize_tensor_input(0, [1, 2])
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.array([[1, 2]], np.float32))
    interpreter.invoke()
    return [*found, interpreter.get_tensor(4)]


@case()
def reset_all_variables(lite):
    interpreter = make(lite, models.remembering())
    interpreter.set_tensor(0, np.array([[1, 2]], np.float32))
    interpreter.invoke()
    interpreter.reset_all_variables()
    interpreter.invoke()
    return interpreter.get_tensor(4)


# ---- views


@case()
def views_are_counted(lite):
    interpreter = make(lite, models.permute())
    found = [interpreter._safe_to_run()]
    function = interpreter.tensor(0)
    found.append(interpreter._safe_to_run())
    view = function()
    part = view[0, 1:]
    found.append(interpreter._safe_to_run())
    del view
    found.append(interpreter._safe_to_run())
    del part
    return [*found, interpreter._safe_to_run()]


@case("There is at least 1 reference to internal data")
def view_stops_allocate(lite):
    interpreter = make(lite, models.permute())
    view = interpreter.tensor(0)()
    interpreter.allocate_tensors()
    del view


@case("There is at least 1 reference to internal data")
def view_stops_invoke(lite):
    interpreter = make(lite, models.permute())
    view = interpreter.tensor(0)()
    interpreter.invoke()
    del view


@case("There is at least 1 reference to internal data")
def view_stops_resize(lite):
    interpreter = make(lite, models.permute())
    view = interpreter.tensor(0)()
    interpreter.resize_tensor_input(0, [1, 4])
    del view


@case()
def view_does_not_stop_the_rest(lite):
    interpreter = make(lite, models.two_signatures())
    view = interpreter.tensor(0)()
    interpreter.set_tensor(0, np.ones(1, np.float32))
    interpreter.reset_all_variables()
    runner = interpreter.get_signature_runner("multiply")
    return view.copy(), interpreter.get_tensor(0), runner(x=np.ones(2, np.float32))


# ---- signatures


@case()
def signatures_are_listed(lite):
    interpreter = make(lite, models.two_signatures(), False)
    return interpreter.get_signature_list(), interpreter._get_full_signature_list()


@case()
def no_signatures(lite):
    return make(lite, models.permute(), False).get_signature_list()


@case()
def runner_takes_any_length(lite):
    runner = make(lite, models.two_signatures(), False).get_signature_runner("multiply")
    return runner(x=np.ones(3, np.float32)), runner(x=np.ones(1, np.float32)), runner.get_output_details()


@case()
def runner_of_the_only_signature(lite):
    return make(lite, models.scalars(), False).get_signature_runner()(x=np.float32(1))


@case()
def runner_details(lite):
    runner = make(lite, models.two_signatures(), False).get_signature_runner("add")
    return runner.get_input_details(), runner.get_output_details()


@case("SignatureDef signature_key is None and model has 2 Signatures.")
def runner_without_a_key(lite):
    make(lite, models.two_signatures(), False).get_signature_runner()


@case("model has 0 Signatures")
def runner_without_signatures(lite):
    make(lite, models.permute(), False).get_signature_runner()


@case('Invalid signature_key provided: "zz".')
def runner_with_a_wrong_key(lite):
    make(lite, models.two_signatures(), False).get_signature_runner("zz")


@case("None signature_key provided.")
def runner_with_an_empty_key(lite):
    make(lite, models.two_signatures(), False).get_signature_runner("")


@case("None interpreter provided.")
def runner_without_an_interpreter(lite):
    lite.SignatureRunner()


@case("Invalid number of inputs provided for running a SignatureDef, expected 1 vs provided 0")
def runner_without_inputs(lite):
    make(lite, models.scalars(), False).get_signature_runner()()


@case("Invalid Input name \\(zz\\) for SignatureDef")
def runner_with_a_wrong_name(lite):
    make(lite, models.scalars(), False).get_signature_runner()(zz=np.float32(1))


@case("has no attribute 'shape'")
def runner_with_a_list(lite):
    make(lite, models.scalars(), False).get_signature_runner()(x=[1.0])


@case("takes 1 positional argument but 2 were given")
def runner_with_a_positional_input(lite):
    make(lite, models.scalars(), False).get_signature_runner()(np.float32(1))


@case("Got value of type FLOAT64 but expected type FLOAT32")
def runner_with_a_wrong_type(lite):
    make(lite, models.scalars(), False).get_signature_runner()(x=np.float64(1))


@case()
def signatures_share_resource_variables(lite):
    interpreter = make(lite, models.counter(), False)
    start, call, read = (interpreter.get_signature_runner(key) for key in ("start", "call", "read"))
    start(x=np.float32(10))
    call(x=np.float32(5))
    return call(x=np.float32(1)), read(), list(start(x=np.float32(0)))


# ---- wrapper, delegates, custom operators


@case()
def wrapper_numbers(lite):
    wrapper = make(lite, models.two_signatures(), False)._interpreter
    return (
        wrapper.NumSubgraphs(),
        wrapper.NumTensors(1),
        wrapper.NumNodes(),
        wrapper.NodeName(0),
        wrapper.NodeName(5),
        wrapper.NodeInputs(0),
        wrapper.NodeOutputs(0),
        wrapper.InputIndices(),
        wrapper.OutputIndices(),
        wrapper.TensorName(1, 1),
        wrapper.TensorName(9, 1),
        wrapper.TensorType(1, 1),
        wrapper.TensorSize(1, 1),
        wrapper.TensorSizeSignature(0, 1),
        wrapper.TensorSparsityParameters(0, 0),
        wrapper.TensorQuantization(0, 0),
        wrapper.TensorQuantizationParameters(0, 0),
        wrapper.GetSubgraphIndexFromSignature("multiply"),
        wrapper.GetSignatureDefs(),
        isinstance(wrapper.interpreter(), int),
    )


@case()
def wrapper_runs_another_subgraph(lite):
    wrapper = make(lite, models.two_signatures(), False)._interpreter
    wrapper.SetNumThreads(2)
    wrapper.ResizeInputTensor(0, np.array([2], np.int32), False, 1)
    wrapper.AllocateTensors(1)
    wrapper.SetTensor(0, np.array([1, 2], np.float32), 1)
    wrapper.Invoke(subgraph_index=1)
    wrapper.ResetVariableTensors()
    return wrapper.GetTensor(2, 1), wrapper.tensor(wrapper, 2, 1)[:1].copy()


@case("No matching signature.")
def wrapper_with_a_wrong_key(lite):
    make(lite, models.two_signatures(), False)._interpreter.GetSubgraphIndexFromSignature("zz")


@case("Shape must be type int32")
def wrapper_resize_of_int64(lite):
    make(lite, models.permute(), False)._interpreter.ResizeInputTensor(0, np.array([1, 4]), False)


@case()
def native_handle(lite):
    return isinstance(make(lite, models.permute(), False)._native_handle(), int)


@case("Looking up symbol 'CompletelyBogusRegistererName' failed")
def registerer_that_is_not_there(lite):
    lite.InterpreterWithCustomOps(["CompletelyBogusRegistererName"], model_content=models.permute())


@case("from the registerer")
def registerer_that_raises(lite):
    def registerer(resolver):
        raise KeyError("from the registerer")

    lite.InterpreterWithCustomOps([registerer], model_content=models.permute())


@case()
def no_registerers(lite):
    interpreter = lite.InterpreterWithCustomOps(model_content=models.permute())
    return interpreter._safe_to_run(), interpreter._custom_op_registerers


@case()
def names_of_the_module(lite):
    names = "Interpreter InterpreterWithCustomOps SignatureRunner OpResolverType Delegate load_delegate metrics"
    return [hasattr(lite, name) for name in names.split()]


@case()
def attributes(lite):
    interpreter = make(lite, models.two_signatures(), False)
    return (
        interpreter._delegates,
        interpreter._signature_defs,
        interpreter._custom_op_registerers,
        interpreter._model_content is models.two_signatures(),
        interpreter.experimental_compress_quantization_zero_points,
    )


def main():
    import ml_dtypes  # noqa: F401 - the official runtime knows bfloat16 only once it is imported

    sys.stdout, output = sys.stderr, sys.stdout
    lite = importlib.import_module(sys.argv[1])
    json.dump({name: outcome(function, lite) for name, (function, _) in CASES.items()}, output)


if __name__ == "__main__":
    main()
