"""What the preparations of many families check in the same way. Each raises ModelError with the values at fault."""

from __future__ import annotations

from minitfl.graph import Tensor
from minitfl.op import Site


def check_types(site: Site, x: Tensor, y: Tensor) -> None:
    """Input and output are of one type."""
    site.expect(x.type == y.type, f"the input is {x.type}, the output {y.type}")


def check_scales(site: Site, x: Tensor, y: Tensor) -> None:
    """Input and output have one scale and one zero point, as what is stored moves unchanged."""
    site.expect(x.numbers == y.numbers, f"'{x.name}' has (scale, zero) {x.numbers}, the output {y.numbers}")


def check_no_zero_point(site: Site, x: Tensor) -> None:
    """int16 tensors have zero point 0, or no quantization."""
    site.expect(x.type != "int16" or not x.numbers[1], f"'{x.name}' is int16 with zero point {x.numbers[1]}")


def axis_of(site: Site, axis: int, rank: int) -> int:
    """An axis of `rank`, counted from the front; a negative one counts from the end."""
    site.expect(-rank <= axis < rank, f"axis {axis} of {rank} axes")
    return axis + rank if axis < 0 else axis
