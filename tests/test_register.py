"""Every operator that the official resolver registers is here, in the same versions."""

import pytest

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.kernels.index import FAMILY_OF
from minitfl.op import find
from minitfl.schema.enums import BuiltinOperator
from tests.oracle import Died, Error
from tests.register import BUILTIN, CUSTOM

RESOLVER = "BUILTIN_WITHOUT_DEFAULT_DELEGATES"  # the reference resolver lacks operators and versions


def named(op, version):
    """A model that names an operator in its table and has no node."""
    m = Model()
    x = m.input((1,))
    m.output(x)
    m._code(BuiltinOperator[op], None, version)
    return m.content()


def test_the_counts():
    assert (len(BUILTIN), len(CUSTOM)) == (172, 5)


def test_the_index_holds_what_is_registered():
    assert set(FAMILY_OF) == {*BUILTIN, *CUSTOM}


@pytest.mark.parametrize("op", sorted(BUILTIN))
def test_versions(op):
    preparation = find(op)
    assert (preparation.min_version, preparation.max_version) == BUILTIN[op]
    low, high = BUILTIN[op]
    for version in (low, high):
        Interpreter(model_content=named(op, version))
    for version in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"'{op}' version '{version}'.*Versions {low} to {high} are known"):
            Interpreter(model_content=named(op, version))


def test_the_list_is_the_official_one(official):
    """Each operator of the schema is accepted in the listed versions alone."""

    def accepts(op, version):
        try:
            official.details(named(op, version), resolver=RESOLVER, allocate=False)
        except Error as error:
            assert "Didn't find op for builtin opcode" in error.text
            return False
        return True

    for op in BuiltinOperator:
        if op.name in BUILTIN:
            low, high = BUILTIN[op.name]
            found = [accepts(op.name, version) for version in (low - 1, low, high, high + 1)]
            assert found == [False, True, True, False], op.name
        elif op.name not in ("CUSTOM", "PLACEHOLDER_FOR_GREATER_OP_CODES", "DELEGATE"):
            assert not any(accepts(op.name, version) for version in range(1, 4)), op.name


@pytest.mark.parametrize("op", CUSTOM)
def test_custom_operators_are_built_in(official, op):
    """They resolve without the caller's help: what fails, for want of inputs, is their preparation."""
    m = Model()
    x, y = m.input((1,)), m.tensor((1,))
    m.custom(op, [x], [y])
    m.output(y)
    try:
        official.details(m.content(), resolver=RESOLVER)
    except Died:
        pass  # of its preparation: there is one
    except Error as error:
        assert "unresolved custom op" not in error.text
    with pytest.raises(RuntimeError, match=f"(?s)node 0, {op}.*failed to prepare"):
        Interpreter(model_content=m.content()).allocate_tensors()
