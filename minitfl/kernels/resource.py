"""VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE: variables that all subgraphs of an interpreter share, by name.

A handle is a scalar of type resource that holds the variable's container and name, or an int32 that is its number.
What a variable holds, and so its shape, is known only while running: READ_VARIABLE is always late. Where the file
gives the output a shape for as many values, the values take that shape.
"""

from __future__ import annotations

from minitfl.graph import Tensor
from minitfl.op import STATE, Call, Kernel, Site, op


@Kernel
def name_variable(handle, y):
    """y = handle, the same name for every run."""
    y[...] = handle


@Kernel
def assign(state, handle, type, x):
    """variable = a copy of x, of that tensor type."""
    state.assign(handle.item(), type, x)


@Kernel
def read(value, y):
    """y = what the variable holds now."""
    y[...] = value


@op("VAR_HANDLE")
def var_handle(site: Site) -> Call:
    site.arity(0, 1)
    y = site.output(0)
    site.expect(y.type == "resource", f"output 0 is {y.type}, not a resource")
    handle = f"{site.options.container or ''}/{site.options.shared_name or ''}"
    return Call(name_variable, (handle, y), (y,))


@op("ASSIGN_VARIABLE", pure=False)
def assign_variable(site: Site) -> Call:
    site.arity(2, 0)
    handle, x = site.input(0), site.input(1)
    _check_handle(site, handle)
    return Call(assign, (STATE, handle, x.type, x), ())


@op("READ_VARIABLE", pure=False)
def read_variable(site: Site) -> Call:
    site.arity(1, 1)
    handle = site.input(0)
    _check_handle(site, handle)
    variable = site.state.read(site.value(handle).item())
    value, y = variable.value, site.output(0)
    site.expect(variable.type == y.type, f"the variable holds {variable.type}, output '{y.name}' is {y.type}")
    # a shape of () may stand for one that the file does not know
    y = y if y.rank and y.size == value.size else y.reshaped(value.shape)
    return Call(read, (value.reshape(y.known_shape), y), (y,))


def _check_handle(site: Site, handle: Tensor) -> None:
    sound = handle.type in ("resource", "int32") and handle.size == 1
    site.expect(sound, f"the handle is {handle.type} {handle.shape}")
