"""The weights of a full LSTM cell by name: which there are, what is checked of them, and how they are packed.

The inputs of a cell in order: input_to_* (4 gates), recurrent_to_* (4), cell_to_* (3: the candidate has no peephole),
*_bias (4), projection, projection_bias; elsewhere *_norm (4) or aux_to_* (4). Gates: input, forget, cell, output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from minitfl.graph import Tensor
from minitfl.kernels.exact import exact_weights
from minitfl.op import Site

GATES = ("input", "forget", "cell", "output")
MATRICES = ("input_to_", "aux_to_", "recurrent_to_", "projection")  # all weights of a kind meet the same numbers
ORDER = (
    *(f"input_to_{g}" for g in GATES),
    *(f"recurrent_to_{g}" for g in GATES),
    *(f"cell_to_{g}" for g in GATES if g != "cell"),
    *(f"{g}_bias" for g in GATES),
    "projection",
    "projection_bias",
)
Weights = Mapping[str, Tensor]


def weights_of(site: Site, first: int, norm: int = 0, aux: int = 0) -> dict[str, Tensor]:
    """name -> Tensor of the weights that are there; norm, aux: the inputs where *_norm and aux_to_* begin, if any."""
    at = {name: first + k for k, name in enumerate(ORDER)}
    if norm and site.optional(norm + 1) is not None:
        at |= {f"{g}_norm": norm + k for k, g in enumerate(GATES)}
    if aux:
        at |= {f"aux_to_{g}": aux + k for k, g in enumerate(GATES)}
    w = {name: t for name, i in at.items() if (t := site.optional(i)) is not None}
    needed = [f"{kind}_{g}" for g in GATES[1:] for kind in ("input_to", "recurrent_to")]
    for name in (*needed, *(f"{g}_bias" for g in GATES[1:])):
        site.expect(name in w, f"the weights {name} are missing")
    return w


def sizes(site: Site, w: Weights, diagonal: bool) -> tuple[int, int]:
    """(cells, units): how much a cell keeps, and how much it puts out. diagonal: recurrent weights may be vectors."""
    into, back = w["input_to_output"], w["recurrent_to_output"]
    for t, ranks in ((into, (2,)), (back, (1, 2) if diagonal else (2,))):
        site.expect(t.rank in ranks, f"the weights '{t.name}' have the shape {t.shape}")
    return into.known_shape[0], back.known_shape[-1]


def check_weights(site: Site, w: Weights, depth: int, aux_depth: int, diagonal: bool, integer: bool) -> None:
    """Which go together, their shapes and types; of the matrices only that they are of one type."""
    _check_together(site, w)
    cells, units = sizes(site, w, diagonal)
    site.expect("projection" in w or cells == units, f"{cells} cells and {units} outputs without a projection")
    kind = w["input_to_forget"].type
    shapes = {"input_to_": (cells, depth), "aux_to_": (cells, aux_depth), "recurrent_to_": (cells, units)}
    types = {"_bias": "int32", "_norm": "int16"} if integer else {"_bias": "float32", "_norm": "float32"}
    for name, t in w.items():
        prefix = next((p for p in MATRICES if name.startswith(p) and name != "projection_bias"), "")
        if prefix == "recurrent_to_" and diagonal and t.rank == 1 and not integer:
            site.expect(cells == units, f"the weights {name} are a vector, for {cells} cells and {units} outputs")
            shape, type = (cells,), "float32"
        elif prefix:
            shape, type = shapes.get(prefix, (units, cells)), kind
        else:
            shape = (units,) if name == "projection_bias" else (cells,)
            type = types.get(name[-5:], "int16" if integer else kind)
        site.expect(t.known_shape == shape, f"the weights {name} are {t.shape}, not {shape}")
        site.expect(t.type == type, f"the weights {name} are {t.type}, not {type}")


def _check_together(site: Site, w: Weights) -> None:
    """Names stand for whole groups of weights; the input gate's are left away together (CIFG)."""
    gates = GATES if "input_to_input" in w else GATES[1:]
    cifg = len(gates) == 3
    groups = [
        (not cifg, ("recurrent_to_input", "input_bias")),
        (any(f"cell_to_{g}" in w for g in GATES), [f"cell_to_{g}" for g in gates if g != "cell"]),
        ("forget_norm" in w, [f"{g}_norm" for g in gates]),
        (any(f"aux_to_{g}" in w for g in GATES[1:]), [f"aux_to_{g}" for g in gates]),
    ]
    for there, names in groups:
        for name in names:
            site.expect((name in w) == there, f"the weights {name} are {'missing' if there else 'one too many'}")
    site.expect(not cifg or "input_norm" not in w, "coefficients of an input gate that is not there")
    site.expect("projection" in w or "projection_bias" not in w, "a bias for a projection that is not there")


# ---- packing


def stored_kinds(w: Weights) -> dict[str, tuple[str, ...]]:
    """kind -> the names of its 8-bit matrices."""
    found = {
        kind: tuple(n for n, t in w.items() if n.startswith(kind) and t.rank == 2 and t.type in ("int8", "uint8"))
        for kind in MATRICES
    }
    return {kind: names for kind, names in found.items() if names}


def stack_of(site: Site, tensors: Sequence[Tensor], most: int) -> tuple[Any, Any]:
    """(floats, bounds) of matrices one above the other, as exact_weights gives them for |x| <= most.

    uint8 weights hold the bits of int8 ones, as the oldest converters wrote them.
    """

    def make(first: np.ndarray) -> Any:
        return exact_weights(np.concatenate([first, *others]).view(np.int8), 0, most)

    first, *others = (site.value(t) for t in tensors)
    if any(t.data is None for t in tensors):
        return make(first)
    ready = site.packed(tensors[0], ("stack", most, *(id(t.data) for t in tensors[1:])), make)
    return ready[0], ready[1]


def row_sums(site: Site, tensors: Sequence[Tensor]) -> np.ndarray:
    """The sum of each row of the same matrices, int64."""
    return np.concatenate([site.value(t).view(np.int8).sum(axis=1, dtype=np.int64) for t in tensors])


def real_of(site: Site, t: Tensor, scale: float) -> Tensor | np.ndarray:
    """8-bit vectors of weights as floats; others as they are."""
    return site.value(t).view(np.int8) * np.float32(scale) if t.type in ("int8", "uint8") else t
