"""HASHTABLE, HASHTABLE_IMPORT, HASHTABLE_FIND, HASHTABLE_SIZE: tables that all subgraphs of an interpreter share.

    HASHTABLE         handle = the table's number; the table is made when there is none yet
    HASHTABLE_IMPORT  table[keys] = values, once; later imports change nothing. Of equal keys the first counts
    HASHTABLE_FIND    y = table[keys], default where a key is missing
    HASHTABLE_SIZE    y = how many keys there are

A handle is a resource of shape (1,). keys, values and y have one shape.

    keys     values, default, y
    int64    string
    string   int64
"""

from __future__ import annotations

from minitfl.errors import ModelError
from minitfl.graph import Tensor
from minitfl.op import STATE, Call, Kernel, Site, op

PAIRS = (("int64", "string"), ("string", "int64"))


@Kernel
def make_table(state, number, key, value, y):
    """y = number. key, value: the types of the table."""
    state.make_table(number, key, value)
    y[...] = number


@Kernel
def fill(state, handle, types, keys, values):
    """table[keys] = values, unless it has entries. types: those of keys and values."""
    table = _table(state, handle, types)
    if table.entries is None:
        # of equal keys the last stays, hence backwards
        table.entries = dict(zip(reversed(keys.ravel().tolist()), reversed(values.ravel().tolist())))


@Kernel
def find(state, handle, types, keys, default, y):
    """y = table[keys]; the first value of `default` where a key is missing."""
    entries = _table(state, handle, types).entries
    if entries is None:
        raise ModelError(f"table {handle.item()} is asked before it is filled")
    missing = default.reshape(-1)[0]
    y.reshape(-1)[...] = [entries.get(key, missing) for key in keys.ravel().tolist()]


@Kernel
def count(state, handle, y):
    """y = how many keys the table has; 0 before it is filled."""
    y[...] = len(state.table(handle.item()).entries or ())


def _table(state, handle, types):
    table = state.table(handle.item())
    if (table.key, table.value) != types:
        raise ModelError(f"table {handle.item()} is of {table.key} to {table.value}, not of {' to '.join(types)}")
    return table


# ---- preparations


@op("HASHTABLE", pure=False)
def hashtable(site: Site) -> Call:
    site.arity(0, 1)
    key, value = (site.enum(name, "TensorType").lower() for name in ("key_dtype", "value_dtype"))
    _check_types(site, key, value)
    y = site.output(0).reshaped((1,))
    site.expect(y.type == "resource", f"output 0 is {y.type}, not a resource")
    return Call(make_table, (STATE, site.options.table_id, key, value, y), (y,))


@op("HASHTABLE_IMPORT", pure=False)
def hashtable_import(site: Site) -> Call:
    site.arity(3, 0)
    handle, keys, values = _handle(site), site.input(1), site.input(2)
    _check_types(site, keys.type, values.type)
    site.expect(keys.known_shape == values.known_shape, f"keys of shape {keys.shape}, values of shape {values.shape}")
    return Call(fill, (STATE, handle, (keys.type, values.type), keys, values), ())


@op("HASHTABLE_FIND", pure=False)
def hashtable_find(site: Site) -> Call:
    site.arity(3, 1)
    handle, keys, default = _handle(site), site.input(1), site.input(2)
    y = site.output(0).reshaped(keys.known_shape)
    site.expect(default.type == y.type, f"the default is {default.type}, the output {y.type}")
    _check_types(site, keys.type, y.type)
    site.expect(default.size, "the default is empty")
    return Call(find, (STATE, handle, (keys.type, y.type), keys, default, y), (y,))


@op("HASHTABLE_SIZE", pure=False)
def hashtable_size(site: Site) -> Call:
    site.arity(1, 1)
    handle = _handle(site)
    y = site.output(0).reshaped((1,))
    site.expect(y.type == "int64", f"output 0 is {y.type}, not int64")
    return Call(count, (STATE, handle, y), (y,))


def _handle(site: Site) -> Tensor:
    handle = site.input(0)
    sound = handle.type == "resource" and handle.known_shape == (1,)
    site.expect(sound, f"the handle is {handle.type} {handle.shape}")
    return handle


def _check_types(site: Site, key: str, value: str) -> None:
    site.expect((key, value) in PAIRS, f"a table of {key} to {value}")
