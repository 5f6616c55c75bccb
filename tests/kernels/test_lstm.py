"""LSTM and UNIDIRECTIONAL_SEQUENCE_LSTM in all their forms, over several invokes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import Interpreter
from minitfl.build import Model
from minitfl.kernels import gates
from tests.cases import OursFailed, check, differential, ours

GATES = ("input", "forget", "cell", "output")


class Cell:
    """The weights of a drawn cell and the model around them."""

    def __init__(self, data, kind, sequence):
        draw = data.draw
        self.kind, self.sequence = kind, sequence
        self.rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
        self.cifg, self.peephole, self.norm = (draw(st.booleans()) for _ in range(3))
        self.projection = draw(st.sampled_from(["no", "plain", "bias"]))
        self.batch, self.depth, self.cells = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6))
        # the official integer peephole takes the number of outputs for the number of cells
        same = self.projection == "no" or (kind == "int8" and self.peephole)
        self.units = self.cells if same else draw(st.integers(1, 5))
        self.time = draw(st.integers(1, 4)) if sequence else 1
        self.time_major = bool(sequence) and draw(st.booleans())
        self.asymmetric = kind == "hybrid" and draw(st.booleans())
        self.clips = [draw(st.sampled_from([0.0, 0.5])) for _ in range(2)]
        self.activation = "TANH" if kind == "int8" else draw(st.sampled_from(["TANH", "TANH", "RELU", "RELU6"]))
        self.model = Model()

    def matrix(self, *shape, high=1.0):
        m, rng = self.model, self.rng
        if self.kind == "float":
            return m.constant(rng.uniform(-high, high, shape).astype(np.float32))
        scale = float(np.float32(rng.uniform(0.002, 0.02)))
        return m.constant(rng.integers(-127, 128, shape).astype(np.int8), scale=scale, zero_point=0)

    def vector(self, size, what):
        m, rng = self.model, self.rng
        if self.kind == "int8":
            if what == "bias":
                return m.constant(rng.integers(-3000, 3000, size).astype(np.int32), scale=1e-4, zero_point=0)
            return m.constant(rng.integers(-32767, 32767, size).astype(np.int16), scale=3e-5, zero_point=0)
        if self.kind == "hybrid" and what == "peephole":
            return self.matrix(size)
        return m.constant(rng.uniform(-1, 1, size).astype(np.float32))

    def content(self):
        m, integer = self.model, self.kind == "int8"
        type = "int8" if integer else "float32"
        x_numbers = {"scale": 0.0125, "zero_point": int(self.rng.integers(-20, 20))} if integer else {}
        h_numbers = {"scale": 0.0078, "zero_point": int(self.rng.integers(-20, 20))} if integer else {}
        c_numbers = {"scale": 2.0**-11, "zero_point": 0} if integer else {}
        if self.sequence:
            lead = (self.time, self.batch) if self.time_major else (self.batch, self.time)
        else:
            lead = (self.batch,)
        self.shape = (*lead, self.depth)
        x = m.input(self.shape, type, **x_numbers)
        inputs = [-1] * 24
        inputs[0] = x
        for k, _ in enumerate(GATES):
            if k == 0 and self.cifg:
                continue
            inputs[1 + k] = self.matrix(self.cells, self.depth)
            inputs[5 + k] = self.matrix(self.cells, self.units)
            inputs[12 + k] = self.vector(self.cells, "bias")
            if self.peephole and k != 2:
                inputs[9 + (k if k < 2 else 2)] = self.vector(self.cells, "peephole")
            if self.norm:
                inputs[20 + k] = self.vector(self.cells, "norm")
        if self.projection != "no":
            inputs[16] = self.matrix(self.units, self.cells)
            if self.projection == "bias":
                inputs[17] = self.vector(self.units, "bias")
        inputs[18] = m.variable((self.batch, self.units), type, **h_numbers)
        inputs[19] = m.variable((self.batch, self.cells), "int16" if integer else "float32", **c_numbers)
        middle = []
        if integer:
            # the last one is the hidden state; without a projection it has the numbers of the output
            hidden = h_numbers if self.projection == "no" else {"scale": 0.0079, "zero_point": 5}
            for k in range(4):
                middle.append(m.tensor((), "int16", scale=2.0**-12 * (1 + k / 4 if self.norm else 1), zero_point=0))
            middle.append(m.tensor((), "int8", **hidden))
        y = m.tensor((*lead, self.units), type, **h_numbers)
        options = {"cell_clip": self.clips[0], "proj_clip": self.clips[1], "fused_activation_function": self.activation}
        if self.kind == "hybrid":
            options["asymmetric_quantize_inputs"] = self.asymmetric
        op = "LSTM"
        if self.sequence:
            op, options["time_major"] = "UNIDIRECTIONAL_SEQUENCE_LSTM", self.time_major
        m.op(op, inputs, [y], version=3 if self.asymmetric else 1, intermediates=middle, **options)
        m.output(y)
        return m.content()

    def inputs(self, turns):
        if self.kind == "int8":
            return [[self.rng.integers(-128, 128, self.shape).astype(np.int8)] for _ in range(turns)]
        return [[self.rng.uniform(-2, 2, self.shape).astype(np.float32)] for _ in range(turns)]


def relative_to_the_largest(factor):
    """Gates are sums of up to 12 products through functions of slope 1, over 12 steps; RELU lets them grow.

    Layer normalisation divides by a deviation that may be small, so it gets more room.
    """
    return lambda y: factor * (1 + np.abs(y).max(initial=0))


@pytest.mark.parametrize("sequence", [False, True], ids=["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_float(official, sequence):
    @differential()
    @given(st.data())
    def run(data):
        cell = Cell(data, "float", sequence)
        content = cell.content()
        check(content, cell.inputs(3), bound=relative_to_the_largest(2e-3 if cell.norm else 1e-5), sequence=True)

    run()


@pytest.mark.parametrize("sequence", [False, True], ids=["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_hybrid(official, sequence):
    @differential()
    @given(st.data())
    def run(data):
        cell = Cell(data, "hybrid", sequence)
        content = cell.content()
        # weights are up to 2.5, so sums are up to ten times those of test_float
        turns = cell.inputs(3)
        if cell.time == 1:
            check(content, turns[0], bound=relative_to_the_largest(2e-3 if cell.norm else 1e-4))
        # from the second step on, a state that differs in its last place may be rounded to the next of 255 steps
        check(content, turns, bound=relative_to_the_largest(2.5 / 127 * 2), sequence=True)

    run()


@pytest.mark.parametrize("sequence", [False, True], ids=["LSTM", "UNIDIRECTIONAL_SEQUENCE_LSTM"])
def test_integer(official, sequence):
    @differential()
    @given(st.data())
    def run(data):
        cell = Cell(data, "int8", sequence)
        content = cell.content()
        check(content, cell.inputs(3), sequence=True)

    run()


class AlikeCell(Cell):
    """An integer cell with layer normalisation, whose sums differ by 1 at most: the variance is cut down to 0."""

    def matrix(self, *shape, high=1.0):
        return self.model.constant(self.rng.integers(-1, 2, shape).astype(np.int8), scale=0.02, zero_point=0)

    def vector(self, size, what):
        if what != "norm":
            return super().vector(size, what)
        return self.model.constant(self.rng.integers(-300, 300, size).astype(np.int16), scale=0.01, zero_point=0)


def test_integer_sums_that_hardly_differ(official):
    """The least variance is 10000 times the coefficients' scale, here 100: it decides over the result."""

    @differential(60)
    @given(st.data())
    def run(data):
        cell = AlikeCell(data, "int8", False)
        cell.norm, cell.peephole, cell.depth, cell.cells = True, False, 2, 5
        cell.units = cell.cells if cell.projection == "no" else cell.units
        content = cell.content()
        (x,) = Interpreter(model_content=content).get_input_details()
        # one step from zeros: the states are 0, too, give or take their zero point
        near = x["quantization"][1] + cell.rng.integers(-1, 2, cell.shape)
        check(content, [near.astype(np.int8)])

    run()


class WideCell(Cell):
    """An integer cell of more than 16 cells with peepholes of a half: odd cell states make ties."""

    def vector(self, size, what):
        if what != "peephole":
            return super().vector(size, what)
        return self.model.constant(self.rng.choice([-8192, 8192], size).astype(np.int16), scale=2.0**-15, zero_point=0)


def test_integer_ties_of_peepholes(official):
    """Whole blocks of 16 cells round ties up, the cells that are left away from zero."""

    @differential(40)
    @given(st.data())
    def run(data):
        cell = WideCell(data, "int8", True)
        cell.peephole, cell.norm, cell.cells = True, False, 37
        cell.units = cell.cells
        check(cell.content(), cell.inputs(3), sequence=True)

    run()


def basic(kind, batch, depth, units, rng):
    m = Model()
    if kind == "float32":
        x = m.input((batch, depth))
        h = m.variable((batch, units), "float32")
        w = m.constant(rng.uniform(-1, 1, (4 * units, depth + units)).astype(np.float32))
        b = m.constant(rng.uniform(-1, 1, 4 * units).astype(np.float32))
        c = m.variable((batch, units), "float32")
        outputs = [m.tensor((), "float32") for _ in range(4)]
    else:
        numbers = {"scale": 1 / 128, "zero_point": 128}
        x = m.input((batch, depth), "uint8", **numbers)
        h = m.variable((batch, units), "uint8", **numbers)
        weights = rng.integers(0, 256, (4 * units, depth + units)).astype(np.uint8)
        w = m.constant(weights, scale=0.0078, zero_point=int(rng.integers(100, 150)))
        b = m.constant(rng.integers(-9000, 9000, 4 * units).astype(np.int32), scale=0.0078 / 128, zero_point=0)
        c = m.variable((batch, units), "int16", scale=2.0**-11, zero_point=0)
        outputs = [m.tensor((), "uint8", **numbers), m.tensor((), "int16", scale=2.0**-11, zero_point=0)]
        outputs += [m.tensor((), "uint8", **numbers), m.tensor((), "int16", scale=2.0**-12, zero_point=0)]
    m.op("LSTM", [x, h, w, b, c], outputs, version=2, kernel_type="BASIC", fused_activation_function="TANH")
    m.output(*outputs)
    return m.content()


@pytest.mark.parametrize("kind", ["float32", "uint8"])
def test_basic(official, kind):
    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
        batch, depth, units = (data.draw(st.integers(1, 5)) for _ in range(3))
        content = basic(kind, batch, depth, units, rng)
        if kind == "float32":
            turns = [[rng.uniform(-2, 2, (batch, depth)).astype(np.float32)] for _ in range(3)]
        else:
            turns = [[rng.integers(0, 256, (batch, depth)).astype(np.uint8)] for _ in range(3)]
        check(content, turns, bound=1e-5, sequence=True)

    run()


# ---- worked by hand


def test_the_tables_of_the_gates():
    assert gates.logistic(0) == 1 << 14  # one half
    x = np.array([-32768, -4096, 4096, 32767])  # -8, -1, 1, 8 in Q3
    np.testing.assert_allclose(gates.logistic(x) / 32768, 1 / (1 + np.exp(-x / 4096)), atol=2e-4)
    for bits in range(7):
        np.testing.assert_allclose(gates.tanh(x, bits) / 32768, np.tanh(x / 2.0 ** (15 - bits)), atol=4e-4)
    assert np.array_equal(gates.tanh(-x[1:], 3), -gates.tanh(x[1:], 3))


def test_the_state_is_kept_and_can_be_reset():
    from minitfl import Interpreter

    rng = np.random.default_rng(0)
    interpreter = Interpreter(model_content=basic("float32", 1, 2, 3, rng))
    interpreter.allocate_tensors()
    interpreter.set_tensor(0, np.ones((1, 2), np.float32))
    y = interpreter.get_output_details()[0]["index"]
    interpreter.invoke()
    first = interpreter.get_tensor(y)
    interpreter.invoke()
    assert not np.array_equal(interpreter.get_tensor(y), first)
    interpreter.reset_all_variables()
    interpreter.invoke()
    assert np.array_equal(interpreter.get_tensor(y), first)


@pytest.mark.parametrize("absent", [2, 4, 6, 8, 13, 18, 19])
def test_missing_weights_are_refused(absent):
    m = Model()
    x = m.input((1, 2))
    inputs = [x, *(m.constant(np.zeros((2, 2), np.float32)) for _ in range(8)), -1, -1, -1]
    inputs += [m.constant(np.zeros(2, np.float32)) for _ in range(4)] + [-1, -1]
    inputs += [m.variable((1, 2), "float32"), m.variable((1, 2), "float32")]
    inputs[absent] = -1
    y = m.tensor((1, 2))
    m.op("LSTM", inputs, [y], fused_activation_function="TANH")
    m.output(y)
    with pytest.raises(OursFailed) as failed:
        ours(m.content(), [np.zeros((1, 2), np.float32)])
    assert failed.value.stage == "allocate" and isinstance(failed.value.error, RuntimeError)
