"""Drawn LSTM cells, and the models around them: what the tests of the LSTMs share."""

import numpy as np

from minitfl.build import Model

GATES = ("input", "forget", "cell", "output")
ACTIVATIONS = ("TANH", "TANH", "RELU", "RELU6", "RELU_N1_TO_1")
# Which weights there are; each is a combination of tensor types of its own. What is not said is drawn.
FORMS = ("whole", "plain", "coupled")
INTEGER_FORMS = ("whole", "plain", "peephole", "coupled", "coupled-peephole")


class Cell:
    """One cell: its sizes, which weights it has, and their contents. kind: "float32"; "int8" and "uint8" weights with
    floats; "integer"."""

    def __init__(self, rng, kind, form, **given):
        flag = lambda: bool(rng.integers(2))  # noqa: E731
        self.rng, self.kind = rng, kind
        self.integer = kind == "integer"
        self.cifg = form.startswith("coupled")
        self.peephole = form in ("whole", "peephole", "coupled-peephole") or (not self.integer and flag())
        self.norm, self.projection = flag(), ("no", "plain", "bias")[rng.integers(3)]
        if form == "whole":
            self.norm, self.projection = True, "bias"
        elif self.peephole and self.projection == "bias":
            self.projection = "plain"
        self.batch, self.depth, self.cells = (int(n) for n in rng.integers(1, 7, 3))
        self.units = int(
            rng.integers(1, self.cells, endpoint=True)
        )  # officially more may be written than there is room
        self.time, self.time_major = int(rng.integers(1, 5)), flag()
        self.asymmetric = kind in ("int8", "uint8") and flag()
        self.clips = [float(c) for c in rng.choice([0.0, 0.5], 2)]
        self.activation = ACTIVATIONS[rng.integers(len(ACTIVATIONS))]
        for name, value in given.items():
            setattr(self, name, value)
        # the official integer peephole takes the number of outputs for the number of cells
        if self.projection == "no" or (self.integer and self.peephole):
            self.units = self.cells
        self.units = min(self.units, self.cells)

    # ---- contents

    def matrix(self, m, *shape):
        if self.kind == "float32":
            return m.constant(self.rng.uniform(-1, 1, shape).astype(np.float32))
        scale = float(np.float32(self.rng.uniform(0.002, 0.02)))
        stored = self.rng.integers(-127, 128, shape).astype(np.int8)
        return m.constant(stored.view(np.uint8 if self.kind == "uint8" else np.int8), scale=scale, zero_point=0)

    def vector(self, m, size, what):
        rng = self.rng
        if self.integer and what == "bias":
            return m.constant(rng.integers(-3000, 3000, size).astype(np.int32), scale=1e-4, zero_point=0)
        if self.integer:
            return m.constant(rng.integers(-32767, 32767, size).astype(np.int16), scale=3e-5, zero_point=0)
        if what == "peephole":
            return self.matrix(m, size)
        return m.constant(rng.uniform(-1, 1, size).astype(np.float32))

    def weights(self, m):
        """The 17 handles from input_to_input to projection_bias."""
        found = [-1] * 17
        for k, _ in enumerate(GATES):
            if k == 0 and self.cifg:
                continue
            found[k] = self.matrix(m, self.cells, self.depth)
            found[4 + k] = self.matrix(m, self.cells, self.units)
            found[11 + k] = self.vector(m, self.cells, "bias")
            if self.peephole and k != 2:
                found[8 + (k if k < 2 else 2)] = self.vector(m, self.cells, "peephole")
        if self.projection != "no":
            found[15] = self.matrix(m, self.units, self.cells)
            if self.projection == "bias":
                found[16] = self.vector(m, self.units, "bias")
        return found

    def norms(self, m):
        skip = 1 if self.cifg else 0
        return [-1] * skip + [self.vector(m, self.cells, "norm") for _ in GATES[skip:]]

    def options(self):
        options = {"cell_clip": self.clips[0], "proj_clip": self.clips[1], "fused_activation_function": self.activation}
        if self.asymmetric:
            options["asymmetric_quantize_inputs"] = True
        return options


class OneWay(Cell):
    """A cell of LSTM or UNIDIRECTIONAL_SEQUENCE_LSTM."""

    def __init__(self, op, seed, kind, form, **given):
        super().__init__(np.random.default_rng(seed), kind, form, **given)
        self.op = op
        if op == "LSTM":
            self.time = 1

    def lead(self):
        if self.op == "LSTM":
            return (self.batch,)
        return (self.time, self.batch) if self.time_major else (self.batch, self.time)

    def content(self):
        m, rng = Model(), self.rng
        type = "int8" if self.integer else "float32"
        x_numbers = {"scale": 0.0125, "zero_point": int(rng.integers(-20, 20))} if self.integer else {}
        h_numbers = {"scale": 0.0078, "zero_point": int(rng.integers(-20, 20))} if self.integer else {}
        c_numbers = {"scale": self.cell_scale(), "zero_point": 0} if self.integer else {}
        inputs = [m.input((*self.lead(), self.depth), type, **x_numbers), *self.weights(m)]
        inputs.append(m.variable((self.batch, self.units), type, **h_numbers))
        inputs.append(m.variable((self.batch, self.cells), "int16" if self.integer else "float32", **c_numbers))
        if self.norm:
            inputs += self.norms(m)
        elif rng.integers(2):
            inputs += [-1] * 4
        middle = self.intermediates(m, h_numbers) if self.integer else []
        y = m.tensor((*self.lead(), self.units), type, **h_numbers)
        options = self.options()
        if self.op != "LSTM":
            options["time_major"] = self.time_major
        m.op(self.op, inputs, [y], version=3 if self.asymmetric else 1, intermediates=middle, **options)
        m.output(y)
        return m.content()

    def cell_scale(self):
        return 2.0 ** -int(self.rng.integers(9, 16))

    def intermediates(self, m, h_numbers):
        """The last one is the hidden state; without a projection it has the numbers of the output."""
        hidden = h_numbers if self.projection == "no" else {"scale": 0.0079, "zero_point": 5}
        scales = [2.0**-12 * (1 + k / 4 if self.norm else 1) for k in range(4)]
        return [m.tensor((), "int16", scale=s, zero_point=0) for s in scales] + [m.tensor((), "int8", **hidden)]

    def turn(self):
        shape = (*self.lead(), self.depth)
        if self.integer:
            return [self.rng.integers(-128, 128, shape).astype(np.int8)]
        return [self.rng.uniform(-2, 2, shape).astype(np.float32)]

    def turns(self, count=3):
        return [self.turn() for _ in range(count)]


def few_turns(cell):
    """Cuts the time of a cell with stored weights, and gives the inputs of as many runs as can be held to `bound`.

    From the second step on, a state that differs in its last place may be rounded to the next of 255 steps. What comes
    of that may grow without end, and layer normalisation may make anything of it, so the second step is the last, and
    with normalisation the first.
    """
    cell.time = 1 if cell.norm else min(cell.time, 2)
    return cell.turns(1 if cell.norm or cell.time == 2 else 2)


def bound(cell, steps=1):
    """What results may be off by, as a function of the official ones.

    Gates are sums of up to 20 products through functions of slope 1, over 12 steps, and RELU lets results grow. Layer
    normalisation divides by a deviation that may be small, so it gets more room. Stored weights are up to 2.5, so their
    sums are ten times as large; in a second step one number of the state may be off by 1/127 of the largest, and is
    met by such a weight, twice: on its way into the cell, and out of it.
    """
    factor = 2e-3 if cell.norm else 1e-5 if cell.kind == "float32" else 1e-4
    if cell.kind in ("int8", "uint8") and steps > 1:
        factor = 2.5 / 127 * 2
    return lambda y: factor * (1 + np.abs(y).max(initial=0))
