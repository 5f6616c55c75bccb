"""What minitfl's Interpreter has beyond the official API; the official part is in test_api_surface.py."""

import copy
import gc
import pickle
import threading
import warnings
import weakref

import numpy as np
import pytest

import minitfl
from minitfl import Interpreter, build, metrics, registerers
from tests import small_models as models

X = np.array([[1, 2, 3, 4]], np.float32)


def ready(content, **keywords):
    interpreter = Interpreter(model_content=content, **keywords)
    interpreter.allocate_tensors()
    return interpreter


def run(interpreter, x):
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], x)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])


# ---- intermediate tensors


def test_all_tensors_are_kept_on_request():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = ready(models.chain(5), experimental_preserve_all_tensors=True)
    x = np.arange(8, dtype=np.float32)[None]
    run(interpreter, x)
    for n, sign in enumerate((-1, 1, -1, 1, -1)):
        assert (interpreter.get_tensor(n + 1) == sign * x).all()


def test_reused_memory_is_never_shown():
    interpreter = ready(models.chain(5))
    x = np.arange(8, dtype=np.float32)[None]
    run(interpreter, x)
    told = 0
    for n, sign in enumerate((-1, 1, -1, 1, -1)):
        try:
            assert (interpreter.get_tensor(n + 1) == sign * x).all()
        except ValueError as error:
            assert "the memory of tensor" in str(error) and "experimental_preserve_all_tensors=True" in str(error)
            told += 1
    assert told >= 2, "5 tensors of a chain need no more than 3 places"


def test_a_dynamic_output_has_no_data_before_invoke():
    with pytest.raises(ValueError, match=r"Tensor data is null. Run allocate_tensors\(\) first and invoke\(\)"):
        ready(models.reshape_by_input()).get_tensor(2)


def test_constants_are_not_written():
    interpreter = ready(models.permute())
    with pytest.raises(ValueError, match="Cannot set tensor: 1 'weights' is a constant of the model"):
        interpreter.set_tensor(1, models.REVERSE)
    with pytest.raises(ValueError, match="read-only"):
        interpreter.tensor(1)()[...] = 0


def test_strings_are_empty_before_they_are_set():
    interpreter = ready(models.strings())
    assert interpreter.get_tensor(0).tolist() == [b""] * 10
    view = interpreter.tensor(0)()
    view[3] = b"x"
    assert interpreter.get_tensor(0)[3] == b"x"
    with pytest.raises(RuntimeError, match="There is at least 1 reference"):
        interpreter.invoke()
    del view
    interpreter.invoke()


def test_values_of_the_other_byte_order_are_turned():
    interpreter = ready(models.permute())
    assert (run(interpreter, X.astype(">f4")) == X[:, ::-1]).all()


# ---- custom operators


def test_custom_operators_are_python_functions():
    seen = []

    def scale(inputs, options):
        seen.append((len(inputs), options))
        return inputs[0] * np.float32(options["factor"])

    interpreter = ready(
        models.custom("Scale", "Sinh"), custom_ops={"Scale": scale, "Sinh": lambda x, _: [np.sinh(x[0])]}
    )
    assert (run(interpreter, X) == np.sinh(X * 3)).all()
    assert seen == [(1, {"factor": 3})]


def test_custom_operators_must_be_callable():
    with pytest.raises(TypeError, match=r"custom_ops\['Sinh'\] must be a function"):
        Interpreter(model_content=models.custom("Sinh"), custom_ops={"Sinh": 3})


def test_all_unresolved_operators_are_named_at_once():
    with pytest.raises(RuntimeError, match="Cosh, Sinh"):
        ready(models.custom("Sinh", "Scale", "Cosh"), custom_ops={"Scale": lambda x, _: x})


def test_registerers_add_operators():
    calls = []

    def registerer(resolver):
        resolver.AddCustom("Sinh", None, lambda inputs, options: [np.sinh(inputs[0])])
        resolver.AddCustom("Twice", lambda x, o: calls.append(x[0].shape), lambda x, o: x[0] * 2)

    registerers.register_custom_op_registerer("TestRegisterer", registerer)
    for given in (registerer, "TestRegisterer"):
        interpreter = minitfl.InterpreterWithCustomOps([given], model_content=models.custom("Twice", "Sinh"))
        interpreter.allocate_tensors()
        assert (run(interpreter, X) == np.sinh(X * 2)).all()
        assert interpreter._custom_op_registerers == [given]
    assert calls == [(1, 4)] * 2


def test_prepare_may_refuse():
    def refuse(inputs, options):
        raise minitfl.ModelError("not today")

    interpreter = minitfl.InterpreterWithCustomOps(
        [lambda resolver: resolver.AddCustom("Sinh", refuse, lambda x, o: x)], model_content=models.custom("Sinh")
    )
    interpreter.allocate_tensors()
    with pytest.raises(RuntimeError, match="node 0, Sinh -> 'y0': not today"):
        interpreter.invoke()


def test_the_library_of_genai_operators_is_missing():
    text = (
        "Loading library 'pywrap_genai_ops.so' failed with error 'pywrap_genai_ops.so: cannot open shared object file"
    )
    with pytest.raises(ValueError, match=text):
        minitfl.InterpreterWithCustomOps(["pywrap_genai_ops.GenAIOpsRegisterer"], model_content=models.permute())


# ---- delegates


def test_delegates_fail_to_load():
    with pytest.raises(ValueError, match=r"Failed to load delegate from libedgetpu\.so\.1\n"):
        minitfl.load_delegate("libedgetpu.so.1", {"device": "usb"})
    with pytest.raises(ValueError):
        minitfl.Delegate("libedgetpu.so.1")


def test_foreign_delegates_are_refused():
    class Foreign:
        def _get_native_delegate_pointer(self):
            return 1234

    with pytest.raises(RuntimeError, match="native delegate cannot be applied"):
        Interpreter(model_content=models.permute(), experimental_delegates=[Foreign()])


def test_creation_is_counted_once(monkeypatch):
    calls = []
    monkeypatch.setattr(metrics.TFLiteMetrics, "increase_counter_interpreter_creation", lambda self: calls.append(self))
    interpreter = Interpreter(model_content=models.permute())
    assert calls == [interpreter._metrics]


# ---- copies


def test_clone_starts_afresh_and_shares_constants():
    first = ready(models.remembering())
    run(first, np.array([[1, 2]], np.float32))
    twin = first.clone()
    with pytest.raises(RuntimeError, match="not ready"):
        twin.invoke()
    twin.allocate_tensors()
    assert (run(twin, np.array([[5, 5]], np.float32)) == [[5, 5]]).all()
    assert (run(first, np.array([[1, 1]], np.float32)) == [[2, 3]]).all()
    weights = [i._interpreter.graph.subgraphs[0].tensors[1].data for i in (first, twin)]
    assert weights[0] is weights[1]


def twins(interpreter):
    yield interpreter.clone(state=True)
    yield copy.copy(interpreter)
    yield copy.deepcopy(interpreter)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.loads(pickle.dumps(interpreter, protocol))


def test_copies_with_state_go_on():
    first = ready(models.remembering())
    run(first, np.array([[1, 2]], np.float32))
    for twin in twins(first):
        assert (twin.get_tensor(0) == [[1, 2]]).all() and (twin.get_tensor(4) == [[1, 2]]).all()
        assert (run(twin, np.array([[10, 10]], np.float32)) == [[11, 12]]).all()
    assert (run(first, np.array([[1, 1]], np.float32)) == [[2, 3]]).all()


def test_copies_keep_resource_variables_and_shapes():
    first = Interpreter(model_content=models.counter())
    first.get_signature_runner("start")(x=np.float32(3))
    for twin in twins(first):
        assert twin.get_signature_runner("call")(x=np.float32(4)) == {"y": 7}
    assert first.get_signature_runner("read")() == {"n": 3}
    assert first.clone()._interpreter.runtime.state.get()["variables"] == {}
    resized = ready(models.permute())
    resized.resize_tensor_input(0, [2, 4])
    for twin in twins(resized):
        twin.allocate_tensors()
        assert twin.get_tensor(0).shape == (2, 4)


def test_copies_keep_arguments():
    kept = {"num_threads": 3, "experimental_compress_quantization_zero_points": True}
    for twin in twins(Interpreter(model_content=models.per_channel(), **kept)):
        assert twin._interpreter.num_threads == 3
        assert twin.get_tensor_details()[1]["quantization_parameters"]["zero_points"].tolist() == [0]


def cube(inputs, options):
    return inputs[0] ** 3


def test_custom_operators_are_pickled_by_name():
    twin = pickle.loads(pickle.dumps(ready(models.custom("Cube"), custom_ops={"Cube": cube})))
    assert (run(twin, X) == X**3).all()
    local = ready(models.custom("Cube"), custom_ops={"Cube": lambda x, o: x})
    with pytest.raises(TypeError, match="custom op 'Cube' cannot be pickled"):
        pickle.dumps(local)
    assert (run(copy.deepcopy(local), X) == X).all()


def test_models_of_files_are_pickled_with_their_bytes(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(models.permute())
    data = pickle.dumps(ready_file(path))
    path.unlink()
    assert (run(pickle.loads(data), X) == X[:, ::-1]).all()


def ready_file(path, **keywords):
    interpreter = Interpreter(path, **keywords)
    interpreter.allocate_tensors()
    return interpreter


# ---- files


def test_content_is_not_copied():
    content = bytes(bytearray(models.permute()))
    interpreter = Interpreter(model_content=content)
    assert interpreter._model_content is content
    assert interpreter._interpreter.source.content is content
    start = np.frombuffer(content, np.uint8).ctypes.data
    weights = interpreter._interpreter.graph.subgraphs[0].tensors[1].data
    assert start <= weights.ctypes.data < start + len(content)


def test_mapped_files_run(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(models.permute())
    interpreter = ready_file(path, mmap=True)
    assert (run(interpreter, X) == X[:, ::-1]).all()
    twin = interpreter.clone()
    interpreter.close()
    twin.allocate_tensors()
    assert (run(twin, X) == X[:, ::-1]).all()


def test_a_mapped_file_that_was_cut_is_not_touched(tmp_path):
    path = tmp_path / "model.tflite"
    path.write_bytes(models.permute() + bytes(10_000))
    interpreter = ready_file(path, mmap=True)
    with path.open("r+b") as file:
        file.truncate(9_000)
    with pytest.raises(RuntimeError, match="was cut to 9000 bytes of"):
        interpreter.invoke()


@pytest.mark.parametrize("mmap", [False, True])
def test_empty_files_are_no_models(tmp_path, mmap):
    path = tmp_path / "empty.tflite"
    path.touch()
    with pytest.raises(ValueError, match="The model is not a valid Flatbuffer buffer"):
        Interpreter(path, mmap=mmap)


def test_content_given_as_path_is_recognised():
    with pytest.raises(ValueError, match=r"Could not open .* pass it as model_content"):
        Interpreter(models.permute())


# ---- one thread at a time


def test_a_second_thread_is_told():
    inside, go = threading.Event(), threading.Event()

    def wait(inputs, options):
        inside.set()
        assert go.wait(10)
        return inputs[0]

    interpreter = ready(models.custom("Wait"), custom_ops={"Wait": wait})
    twin = interpreter.clone(state=True)
    thread = threading.Thread(target=interpreter.invoke)
    thread.start()
    assert inside.wait(10)
    try:
        calls = [interpreter.invoke, interpreter.allocate_tensors, interpreter.close]
        calls += [lambda: interpreter.get_tensor(0), lambda: interpreter.set_tensor(0, X), interpreter.tensor(0)]
        for call in calls:
            with pytest.raises(RuntimeError, match="another thread is inside invoke of this interpreter"):
                call()
        interpreter.get_input_details()
        twin.set_tensor(0, X)
    finally:
        go.set()
        thread.join()
    interpreter.invoke()


def test_an_operator_may_read_but_not_run_its_interpreter():
    def read(inputs, options):
        assert (interpreter.get_tensor(0) == X).all()
        with pytest.raises(RuntimeError, match="invoke was called from inside invoke"):
            interpreter.invoke()
        return inputs[0]

    interpreter = ready(models.custom("Read"), custom_ops={"Read": read})
    assert (run(interpreter, X) == X).all()


def test_an_error_ends_the_turn():
    def fail(inputs, options):
        raise KeyError("mine")

    interpreter = ready(models.custom("Fail"), custom_ops={"Fail": fail})
    with pytest.raises(KeyError, match="mine"):
        interpreter.invoke()
    other = threading.Thread(target=interpreter.set_tensor, args=(0, X))
    other.start()
    other.join()
    assert (interpreter.get_tensor(0) == X).all()


# ---- end and looks


def test_closed_interpreters_say_so(tmp_path):
    with ready(models.permute()) as interpreter:
        assert (run(interpreter, X) == X[:, ::-1]).all()
    for call in (
        interpreter.invoke,
        interpreter.get_input_details,
        lambda: interpreter.get_tensor(0),
        interpreter.clone,
    ):
        with pytest.raises(ValueError, match=r"Interpreter was not initialized. It has been closed."):
            call()
    interpreter.close()
    assert repr(interpreter) == "<minitfl.Interpreter, closed>"


def test_views_outlive_their_interpreter():
    interpreter = ready(models.permute())
    interpreter.set_tensor(0, X)
    view = interpreter.tensor(0)()
    interpreter.close()
    del interpreter
    gc.collect()
    assert (view == X).all()


def test_interpreters_are_freed():
    interpreter = ready(models.permute())
    run(interpreter, X)
    alive = weakref.ref(interpreter._interpreter)
    del interpreter
    gc.collect()
    assert alive() is None


def test_repr_says_what_the_model_takes_and_gives():
    interpreter = Interpreter(model_content=models.two_signatures())
    text = repr(interpreter)
    assert "add_x:0: float32 ?" in text and "2 subgraphs" in text and "not allocated" in text
    interpreter.allocate_tensors()
    assert "ready" in repr(interpreter)
    assert repr(interpreter.get_signature_runner("add")) == "<minitfl.SignatureRunner add(x) -> y>"


def test_notebooks_show_a_table():
    html = Interpreter(model_content=models.quantized())._repr_html_()
    assert html.count("<tr>") == 3 and "int8" in html and "0.5" in html
    assert "<script>" not in Interpreter(model_content=evil())._repr_html_()


def evil():
    m = build.Model()
    x = m.input((1,), name="<script>")
    m.output(x)
    return m.content()


def test_memory_plan_is_of_the_primary_subgraph():
    interpreter = Interpreter(model_content=models.chain(5))
    with pytest.raises(RuntimeError, match="allocate_tensors"):
        interpreter.memory_plan()
    interpreter.allocate_tensors()
    assert interpreter.memory_plan().arena_nbytes <= 4 * 64
