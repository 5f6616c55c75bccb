"""VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE: variables that all subgraphs of an interpreter share, by name.

A handle is a scalar of type resource that holds the variable's container and name, or an int32 that is its number.
What a variable holds, and so its shape, is known only while running: READ_VARIABLE is always late.
"""

from minitfl.op import STATE, Call, Kernel, op


@Kernel
def name_variable(handle, y):
    """y = handle, the same name for every run."""
    y[...] = handle


@Kernel
def assign(state, handle, x):
    """The variable becomes a copy of x."""
    state.assign(handle.item(), x)


@Kernel
def read(value, y):
    """y = what the variable holds now."""
    y[...] = value


@op("VAR_HANDLE", pure=False)
def var_handle(site):
    site.arity(0, 1)
    y = site.output(0).reshaped(())
    site.expect(y.type == "resource", f"output 0 is {y.type}, not a resource")
    handle = f"{site.options.container or ''}/{site.options.shared_name or ''}"
    return Call(name_variable, (handle, y), (y,))


@op("ASSIGN_VARIABLE", pure=False)
def assign_variable(site):
    site.arity(2, 0)
    handle, x = site.input(0), site.input(1)
    _check_handle(site, handle)
    return Call(assign, (STATE, handle, x), ())


@op("READ_VARIABLE", pure=False)
def read_variable(site):
    site.arity(1, 1)
    handle = site.input(0)
    _check_handle(site, handle)
    value = site.state.read(site.value(handle).item())
    y = site.output(0).reshaped(value.shape)
    site.expect(value.dtype == y.dtype, f"the variable holds {value.dtype}, output '{y.name}' is {y.type}")
    return Call(read, (value, y), (y,))


def _check_handle(site, handle):
    sound = handle.type in ("resource", "int32") and handle.size == 1
    site.expect(sound, f"the handle is {handle.type} {handle.shape}")
