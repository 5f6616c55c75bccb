"""Faults: recurrent."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "input and forget gate change places",
        "kernels/lstm_weights.py",
        '    *(f"input_to_{g}" for g in GATES),',
        '    *(f"input_to_{g}" for g in ("forget", "input", *GATES[2:])),',
        "kernels/test_lstm.py::test_float[LSTM-plain]",
    ),
    Fault(
        "a cell is clipped at one end",
        "kernels/lstm_float.py",
        "np.clip(cell, -cell_clip, cell_clip, out=cell)",
        "np.minimum(cell, cell_clip, out=cell)",
        "kernels/test_lstm.py::test_float[LSTM-plain]",
    ),
    Fault(
        "the output gate sees the cell before",
        "kernels/lstm_float.py",
        '"output", cell)',
        '"output", c)',
        "kernels/test_lstm.py::test_float[LSTM-plain]",
    ),
    Fault(
        "the hidden state is not written back",
        "kernels/lstm_float.py",
        "        h[...] = out\n",
        "",
        "kernels/test_lstm.py::test_float[UNIDIRECTIONAL_SEQUENCE_LSTM-plain]",
    ),
    Fault(
        "rows of equal numbers are normalised without a guard",
        "kernels/lstm_float.py",
        "np.sqrt(variance + NORM_GUARD)",
        "np.sqrt(variance)",
        "kernels/test_lstm.py::test_float[LSTM-plain]",
    ),
    Fault(
        "an integer row of equal numbers has a deviation of 1",
        "kernels/lstm_int.py",
        "inverse_square_root(int(v) if v >= 1 else guard)",
        "inverse_square_root(max(int(v), 1))",
        "kernels/test_lstm.py::test_integer_sums_that_hardly_differ",
    ),
    Fault(
        "a coupled input gate takes 32768 for 1",
        "kernels/lstm_int.py",
        "admit = 32767 - forget",
        "admit = 32768 - forget",
        "kernels/test_lstm.py::test_integer[LSTM-coupled]",
    ),
    Fault(
        "a sum of gates wraps instead of saturating",
        "kernels/lstm_int.py",
        "both = saturate_int16(",
        "both = wrap_int16(",
        "kernels/test_lstm.py::test_integer[LSTM-coupled]",
    ),
    Fault(
        "the oldest step stays",
        "kernels/svdf.py",
        "    state[..., :-1] = state[..., 1:]\n",
        "",
        "kernels/test_svdf.py::test_by_hand",
    ),
    Fault(
        "the filters of a unit lie far apart",
        "kernels/svdf.py",
        "np.sum(_ranks(total, y), axis=-1, out=y)",
        "np.sum(total.reshape(len(y), -1, y.shape[1]), axis=1, out=y)",
        "kernels/test_svdf.py::test_ranks_lie_side_by_side",
    ),
]
