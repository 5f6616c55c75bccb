"""interpreter(name=value): names, types, batches, real numbers."""

import numpy as np
import pytest

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.entry import short_name
from tests import small_models as models

X = np.array([[1, 2, 3, 4]], np.float32)


def make(content, **keywords):
    return Interpreter(model_content=content, **keywords)


def test_inputs_and_outputs_go_by_tensor_names():
    interpreter = make(models.permute())
    assert list(interpreter(input=X)) == ["output"]
    for found in (interpreter(input=X), interpreter(X), interpreter({"input": X}), interpreter.run(input=X)):
        assert (found["output"] == X[:, ::-1]).all()


def test_signature_names_come_first_and_tensor_names_also_work():
    interpreter = make(models.quantized())
    x = np.array([[1, 2, 3, 4]], np.int8)
    wanted = interpreter(image=x)["sum"]
    assert (interpreter({"serving_default_model/image:0": x})["sum"] == wanted).all()
    assert (interpreter({"model/image": x})["sum"] == wanted).all()


def test_another_signature_can_be_named():
    interpreter = make(models.two_signatures())
    assert interpreter(x=[1.0, 2.0])["y"].tolist() == [3, 4]
    assert interpreter(x=[1.0, 2.0], signature="multiply")["y"].tolist() == [3, 6]
    with pytest.raises(ValueError, match=r'Invalid signature_key provided: "zz". There is add, multiply.'):
        interpreter(x=[1.0], signature="zz")


def test_wrong_names_are_told_with_the_right_ones():
    interpreter = make(models.reshape_by_input())
    with pytest.raises(ValueError, match="'image' is no input of the model, which takes x, s"):
        interpreter(image=X)
    with pytest.raises(ValueError, match="no value was given for s; the model takes x, s"):
        interpreter(x=X)
    with pytest.raises(ValueError, match="3 inputs were given, the model takes 2: x, s"):
        interpreter(1, 2, 3)
    with pytest.raises(ValueError, match="input 'x' was given twice"):
        interpreter(X, x=X)


def test_nameless_tensors_are_numbered():
    m = Model()
    a, b = m.input((2,), name=""), m.input((2,), name="")
    y = m.tensor((2,), name="")
    m.op("SUB", [a, b], [y])
    m.output(y)
    found = make(m.content())(input_1=[1.0, 1.0], input_0=[5.0, 7.0])
    assert found["output_0"].tolist() == [4, 6]


@pytest.mark.parametrize(
    "name, short",
    [
        ("image", "image"),
        ("serving_default_image:0", "image"),
        ("model/block/image:12", "image"),
        ("my image", "my_image"),
        ("serving_default_a/b.c:0", "b_c"),
    ],
)
def test_short_names(name, short):
    assert short_name(name) == short


def test_values_are_cast_where_only_precision_is_lost():
    interpreter = make(models.permute())
    for x in (X.astype(np.float64), X.astype(int), X.astype(np.uint8), X.tolist(), X.astype(np.float16)):
        assert (interpreter(x)["output"] == X[:, ::-1]).all()
    assert (make(models.quantized())(image=[[1, 2, 3, 4]])["sum"].dtype) == np.int8


def test_values_are_not_cast_where_they_would_change():
    interpreter = make(models.quantized())
    with pytest.raises(ValueError, match=r"float64 values cannot stand for int8 .* pass real=True"):
        interpreter(image=[[0.5, 1, 1, 1]])
    with pytest.raises(ValueError, match="values from 1 to 300 do not fit the type int8"):
        interpreter(image=[[1, 2, 3, 300]])
    with pytest.raises(ValueError, match="values from -1 to 3 do not fit the type uint8"):
        make(models.permute("uint8"))(np.array([[-1, 1, 2, 3]]))
    with pytest.raises(ValueError, match="cannot stand for float32"):
        make(models.permute())([["a", "b", "c", "d"]])


def test_strings_may_be_lists():
    found = make(models.strings())(input=list("abcdefghij"), indices=[3, 0, 9])
    assert found["output"].tolist() == [b"d", b"a", b"j"]


def test_a_missing_batch_axis_is_hinted_at():
    with pytest.raises(ValueError, match=r"input 0, name: input has 2 axes, \(1, 4\), and was given 1, .* x\[None\]"):
        make(models.permute())(X[0])


def test_scalars():
    found = make(models.scalars())(x=2)["y"]
    assert found == 3 and isinstance(found, np.float32)


# ---- batches


def test_any_batch_size_that_the_graph_allows():
    interpreter = make(models.permute())
    for rows in (3, 1, 7):
        x = np.random.default_rng(rows).random((rows, 4), np.float32)
        assert (interpreter(x)["output"] == x[:, ::-1]).all()


def test_graphs_of_one_batch_size_are_run_in_pieces():
    interpreter = make(models.fixed_batch(2))
    x = np.arange(20, dtype=np.float32).reshape(5, 4)
    with pytest.raises(RuntimeError, match="does not run with 5 rows at once: batch=2 runs them in pieces"):
        interpreter(x)
    assert (interpreter(x, batch=2)["y"] == x.reshape(5, 2, 2)).all()
    assert (interpreter(x[:2])["y"] == x[:2].reshape(2, 2, 2)).all()
    assert (interpreter(x[:1], batch=2)["y"] == x[:1].reshape(1, 2, 2)).all()


def test_other_inputs_stay_whole_while_rows_go_in_pieces():
    m = Model()
    x, scale = m.input((1, 3), name="x"), m.input((3,), name="scale")
    y = m.tensor((1, 3), name="y")
    m.op("MUL", [x, scale], [y])
    m.output(y)
    rows, factors = np.arange(9, dtype=np.float32).reshape(3, 3), np.array([1, 10, 100], np.float32)
    assert (make(m.content())(x=rows, scale=factors, batch=1)["y"] == rows * factors).all()


def test_pieces_need_rows_and_outputs_that_have_them():
    interpreter = make(models.fixed_batch())
    with pytest.raises(ValueError, match="batch must be at least 1, not 0"):
        interpreter(X, batch=0)
    with pytest.raises(ValueError, match=r"the inputs have \[0\] rows"):
        interpreter(X[:0], batch=1)
    total = make(models.custom("Total"), custom_ops={"Total": lambda inputs, options: inputs[0].sum()})
    with pytest.raises(ValueError, match=r"output 'y0' of shape \(\) has no row for each of the 1 rows"):
        total(np.ones((3, 4), np.float32), batch=1)


def test_views_stop_running_by_name():
    interpreter = make(models.permute())
    interpreter(X)
    view = interpreter.tensor(0)()
    with pytest.raises(RuntimeError, match="There is at least 1 reference to internal data"):
        interpreter(X)
    assert (view == X).all()


# ---- real numbers


def test_real_numbers_for_quantized_tensors():
    """x = 0.5 * (stored + 1), sum = 1 * (stored - 3): 1.25 is stored as round(2.5) - 1 = 2, which stands for 1.5."""
    found = make(models.quantized())(image=[[0.5, 1.25, -3, 1000]], real=True)["sum"]
    assert found.dtype == np.float32
    assert found.tolist() == [[1, 3, -6, 124]]  # 1000 saturates at 64, the sum at 127 - 3


def test_real_numbers_leave_other_tensors_as_they_are():
    assert (make(models.permute())(X, real=True)["output"] == X[:, ::-1]).all()
