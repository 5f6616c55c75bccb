"""The official runtime behind a pair of pipes: requests on stdin, answers on stdout. Started by tests/oracle.py.

A message is its length (8 bytes, little-endian) and a pickle. A request is (method, arguments); an answer is
("ok", value), ("error", stage, type name, text) or ("bug", traceback). Imports NumPy, ml_dtypes and ai_edge_litert, or
tensorflow where that is all there is: a new start after a crash has to be cheap. What the runtime prints is dropped.
"""

import os
import pickle
import struct
import sys
import traceback

sys.path.pop(0)  # the tests folder must not shadow installed packages

import numpy as np

try:
    import ml_dtypes  # noqa: F401  # without it get_tensor can't show bfloat16
except ImportError:
    pass

LENGTH = struct.Struct("<Q")


class Failed(Exception):
    """The official runtime raised `error` at `stage`."""

    def __init__(self, stage, error):
        self.answer = ("error", stage, type(error).__name__, str(error))
        super().__init__(self.answer)


class Stage:
    """`with Stage("allocate"):` names the stage of what the official runtime raises inside."""

    def __init__(self, name):
        self.name = name

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        if isinstance(error, Exception) and not isinstance(error, Failed):
            raise Failed(self.name, error) from error


def load():
    try:
        import ai_edge_litert
        from ai_edge_litert import interpreter as module

        return module, "ai_edge_litert", getattr(ai_edge_litert, "__version__", "")
    except ImportError:
        import tensorflow
        from tensorflow.lite.python import interpreter as module

        return module, "tensorflow", tensorflow.__version__


def construct(content, resolver, **keywords):
    with Stage("construct"):
        keywords.setdefault("num_threads", 1)
        kind = module.OpResolverType[resolver]
        return module.Interpreter(model_content=content, experimental_op_resolver_type=kind, **keywords)


def allocate(interpreter, resolver):
    with Stage("allocate"):
        interpreter.allocate_tensors()
        wrapper = interpreter._interpreter
        nodes = wrapper.NumNodes()
        # a delegate appends its nodes to the original ones
        if resolver not in ("AUTO", "BUILTIN") and nodes and wrapper.NodeName(nodes - 1) == "DELEGATE":
            raise RuntimeError(f"a delegate was applied under {resolver}")


def resize(interpreter, inputs):
    """Give the inputs the shapes of the arrays; True when one changed."""
    details = interpreter.get_input_details()
    with Stage("set"):
        if len(inputs) != len(details):
            raise ValueError(f"{len(inputs)} arrays for {len(details)} inputs")
    changed = False
    with Stage("resize"):
        for detail, array in zip(details, inputs):
            if array is not None and tuple(detail["shape"]) != array.shape:
                interpreter.resize_tensor_input(detail["index"], array.shape)
                changed = True
    return changed


def feed(interpreter, inputs):
    with Stage("set"):
        for detail, array in zip(interpreter.get_input_details(), inputs):
            if array is not None:
                interpreter.set_tensor(detail["index"], array)


def as_array(value):
    """get_tensor gives scalars for 0-d tensors."""
    return np.array(value, object) if isinstance(value, (bytes, str)) else np.asarray(value)


def fetch(interpreter):
    outputs = []
    with Stage("get"):
        for detail in interpreter.get_output_details():
            try:
                outputs.append(as_array(interpreter.get_tensor(detail["index"])))
            except ValueError:
                # a dynamic tensor without elements can't be read officially: the result is the empty array
                if 0 not in detail["shape"]:
                    raise
                kind = object if detail["dtype"] is np.bytes_ else detail["dtype"]
                outputs.append(np.empty(tuple(detail["shape"]), kind))
    return outputs


def run(content, inputs, resolver, sequence, keywords):
    interpreter = construct(content, resolver, **keywords)
    results = []
    for turn, arrays in enumerate(inputs if sequence else [inputs]):
        if resize(interpreter, arrays) or turn == 0:
            allocate(interpreter, resolver)
        feed(interpreter, arrays)
        with Stage("invoke"):
            interpreter.invoke()
        results.append(fetch(interpreter))
    return results if sequence else results[0]


def tensors(content, inputs, resolver):
    interpreter = construct(content, resolver, experimental_preserve_all_tensors=True)
    # kernels add temporaries later; the numbers of resources are read as pointers to objects, which is deadly
    indices = [d["index"] for d in interpreter.get_tensor_details() if d["dtype"] is not np.object_]
    resize(interpreter, inputs)
    allocate(interpreter, resolver)
    feed(interpreter, inputs)
    with Stage("invoke"):
        interpreter.invoke()
    arrays = {}
    for index in indices:
        try:
            arrays[index] = as_array(interpreter.get_tensor(index))
        except (ValueError, RuntimeError):
            continue
    return arrays


def details(content, resolver, allocated):
    interpreter = construct(content, resolver)
    if allocated:
        allocate(interpreter, resolver)
    with Stage("get"):
        return {
            "inputs": interpreter.get_input_details(),
            "outputs": interpreter.get_output_details(),
            "tensors": interpreter.get_tensor_details(),
            "ops": interpreter._get_ops_details(),
            "signatures": interpreter.get_signature_list(),
        }


def signature(content, key, inputs, resolver):
    interpreter = construct(content, resolver)
    with Stage("construct"):
        runner = interpreter.get_signature_runner(key)
    with Stage("invoke"):
        return {name: as_array(value) for name, value in runner(**inputs).items()}


def signatures(content, calls, resolver):
    interpreter = construct(content, resolver)
    results = []
    for key, inputs in calls:
        with Stage("construct"):
            runner = interpreter.get_signature_runner(key)
        with Stage("invoke"):
            results.append({name: as_array(value) for name, value in runner(**inputs).items()})
    return results


def steps(content, script, resolver, keywords):
    interpreter = construct(content, resolver, **keywords)
    outcomes = []
    for name, *arguments in script:
        positional = [a for a in arguments if not isinstance(a, dict)]
        named = {k: v for a in arguments if isinstance(a, dict) for k, v in a.items()}
        try:
            outcomes.append(("ok", getattr(interpreter, name)(*positional, **named)))
        except Exception as error:
            outcomes.append(("error", type(error).__name__, str(error)))
    return outcomes


METHODS = {
    "run": run,
    "tensors": tensors,
    "details": details,
    "signature": signature,
    "signatures": signatures,
    "steps": steps,
}


def answer(request):
    method, arguments = pickle.loads(request)
    try:
        value = METHODS[method](*arguments)
        return pickle.dumps(("ok", value), protocol=5)
    except Failed as failed:
        return pickle.dumps(failed.answer, protocol=5)
    except Exception:
        return pickle.dumps(("bug", traceback.format_exc()), protocol=5)


def main():
    receive, send = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nothing, descriptor)

    def reply(message):
        send.write(LENGTH.pack(len(message)))
        send.write(message)
        send.flush()

    global module
    try:
        module, name, version = load()
    except Exception:
        reply(pickle.dumps(("bug", traceback.format_exc())))
        return
    reply(pickle.dumps(("ok", (name, version))))
    while len(head := receive.read(LENGTH.size)) == LENGTH.size:
        reply(answer(receive.read(LENGTH.unpack(head)[0])))


if __name__ == "__main__":
    main()
