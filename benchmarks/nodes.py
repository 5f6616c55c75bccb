"""Where a network loses against XNNPACK: each of its operators cut out as a model of one node, and the two in turns.

    python benchmarks/nodes.py MODEL ... [--top N] [--blocks N] [--threads N]

Operators with the same options, types and shapes are measured once, the shortest of some blocks. The last column is by
how many milliseconds all of them are slower than in XNNPACK, the largest first. Cut out, a node finds its inputs in the
nearest cache; the way in and out of an invoke (that of one ADD on four numbers) is taken away.
"""

# ruff: noqa: E402
import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[name] = "1"  # read when NumPy is imported

import argparse
import sys
import warnings
from pathlib import Path

sys.path[:0] = [str(Path(__file__).resolve().parents[1]), str(Path(__file__).resolve().parent)]

from network import fastest, fill

from minitfl import Interpreter, inspect, rival
from minitfl.build import Model
from minitfl.commands import terminal
from minitfl.commands.terminal import Column
from minitfl.errors import ModelError
from minitfl.timing import in_turns

COLUMNS = [Column("operator"), Column("inputs"), Column("output"), Column("options")]
COLUMNS += [Column(name, right=True) for name in ("nodes", "ms", "XNNPACK ms", "ratio", "G/s", "lost ms")]
BLOCK_SECONDS = 0.003


def distinct(path):
    """{what makes nodes alike: [nodes]} of a network, each told by a trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # to keep all tensors is what we want
        interpreter = Interpreter(str(path), experimental_preserve_all_tensors=True, kernels="numpy")
    interpreter.allocate_tensors()
    fill(interpreter)
    found = {}
    for step in interpreter.trace():
        if step.kernel and not step.late:
            tensors = tuple(v and (v.type, v.shape, v.constant) for v in (*step.inputs, *step.outputs))
            found.setdefault((step.op, repr(step.options), tensors), []).append(step)
    folded = interpreter._interpreter.runtime.instance(0).frame.plan.folded
    return list(found.values()), folded


def cut_out(step, folded, threads):
    """A model of the node alone, its inputs set."""
    m = Model()

    def handle(value, add, *args):
        q = value.quantization
        numbers = {} if q is None else {"scale": q.scale, "zero_point": q.zero_point, "axis": q.axis}
        return add(*args, value.type, **numbers)

    inputs, given = [], {}
    for value in step.inputs:
        if value is None:
            inputs.append(None)
        elif value.constant or value.index in folded:
            inputs.append(handle(value, m.constant, value.array))
        else:
            inputs.append(handle(value, m.input, value.shape))
            given[inputs[-1]] = value.array
    outputs = [handle(value, m.tensor, value.shape) for value in step.outputs]  # XNNPACK asks for their shapes at once
    m.op(step.op, inputs, outputs, version=step.version, **step.options)
    m.output(*outputs)
    alone = Interpreter(model_content=m.content(), kernels=fastest(), num_threads=threads)
    alone.allocate_tensors()
    for index, array in given.items():
        alone.set_tensor(index, array)
    return alone


def least(alone, options):
    """Seconds of an invoke: (ours, XNNPACK's)."""
    _, official = rival.opponent(alone)
    alone.invoke()
    turns = in_turns((alone.invoke, official.invoke), options.blocks, BLOCK_SECONDS)
    return turns.least(0), turns.least(1)


def empty(options):
    """The same of a model that has next to nothing to do."""
    m = Model()
    x, y = m.input((1, 4)), m.tensor((1, 4))
    m.op("ADD", [x, x], [y])
    m.output(y)
    alone = Interpreter(model_content=m.content(), kernels=fastest(), num_threads=options.threads)
    alone.allocate_tensors()
    return least(alone, options)


def rows(path, options, tell):
    """[(lost ms, cells)]; nodes that the official runtime refuses alone are left out."""
    nodes, folded = distinct(path)
    idle = empty(options)
    for n, alike in enumerate(nodes):
        step = alike[0]
        tell("node by node", n / len(nodes))
        try:
            alone = cut_out(step, folded, options.threads)
            took = least(alone, options)
        except (ModelError, ValueError, RuntimeError):
            continue
        ours, theirs = (max(a - b, 1e-9) for a, b in zip(took, idle))
        yield len(alike) * 1e3 * (ours - theirs), cells(step, alike, alone, ours, theirs)


def cells(step, alike, alone, ours, theirs):
    subgraph = inspect.describe(alone)["subgraphs"][0]
    ((_, operator, _, _, _, layer, told),) = inspect.operator_rows(subgraph)
    macs = subgraph["operators"][0]["macs"]
    shapes = ["x".join(map(str, v.shape)) for v in (*step.inputs[:2], step.outputs[0]) if v is not None]
    return (
        f"{operator} {step.inputs[0].type}" + (f" ({layer})" if layer != "numba" else ""),
        " ".join(shapes[:-1]),
        shapes[-1],
        told.replace("fused_activation_function ", ""),
        str(len(alike)),
        f"{1e3 * ours:.4f}",
        f"{1e3 * theirs:.4f}",
        f"{ours / theirs:.2f}",
        f"{2e-9 * macs / ours:.0f}" if macs else "",
        f"{len(alike) * 1e3 * (ours - theirs):.3f}",
    )


def main():
    parser = argparse.ArgumentParser(description="Where a network loses against XNNPACK, operator by operator.")
    parser.add_argument("models", nargs="+", help=".tflite files")
    parser.add_argument("--top", type=int, default=20, help="how many to show (20)")
    parser.add_argument("--blocks", type=int, default=21, help="how often both take their turn (21)")
    parser.add_argument("--threads", type=int, default=1, help="of both (1)")
    options = parser.parse_args()
    if not rival.installed():
        parser.error(rival.MISSING)
    for path in options.models:
        with terminal.progress(Path(path).name) as tell:
            found = sorted(rows(path, options, tell), key=lambda row: -row[0])
        won = sum(lost for lost, _ in found if lost < 0)
        title = f"{Path(path).name}: lost {sum(lost for lost, _ in found if lost > 0):.3f} ms, won {-won:.3f} ms"
        terminal.table(COLUMNS, [row for _, row in found[: options.top]], title)


if __name__ == "__main__":
    main()
