"""Faults: the recurrent cells over time."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "the second cell goes forward, too",
        "kernels/rnn.py",
        "_cell(site, 5, second, aux, aux_weights[1], (axis, -1,",
        "_cell(site, 5, second, aux, aux_weights[1], (axis, 1,",
        "kernels/test_rnn.py::test_both_ways_by_hand",
    ),
    Fault(
        "the second cell writes over the first",
        "kernels/rnn.py",
        "units[0] if merged else 0",
        "0",
        "kernels/test_rnn.py::test_float[BIDIRECTIONAL_SEQUENCE_RNN-alone-merged]",
    ),
    Fault(
        "the state of a plain cell is its sum before the activation",
        "kernels/rnn.py",
        "        activate(total, activation)\n        h[...] = total\n",
        "        h[...] = total\n        activate(total, activation)\n",
        "kernels/test_rnn.py::test_float[RNN-alone]",
    ),
    Fault(
        "hybrid rows share one zero point",
        "kernels/hybrid.py",
        "np.subtract(q, zero[:, None], dtype=floats.dtype)",
        "np.subtract(q, zero[:1, None], dtype=floats.dtype)",
        "kernels/test_rnn.py::test_hybrid[RNN-alone-int8]",
    ),
    Fault(
        "auxiliary inputs are left out",
        "kernels/lstm_float.py",
        "            total[name] += part\n",
        "            pass\n",
        "kernels/test_lstm_both_ways.py::test_float[plain-crossed]",
    ),
    Fault(
        "the second cell writes over the first, merged",
        "kernels/lstm.py",
        "(axis, -1, units if merged else 0)",
        "(axis, -1, 0)",
        "kernels/test_lstm_both_ways.py::test_float[plain-alone]",
    ),
    Fault(
        "int8 sums keep their zero point",
        "kernels/lstm_int8.py",
        "return rescale_twice(stored - zero, *second)",
        "return rescale_twice(stored, *second)",
        "kernels/test_lstm_int8.py::test_cells[coupled]",
    ),
    Fault(
        "a projection of int8 sums is rounded as they are",
        "kernels/lstm_int8.py",
        "wrap_int32(rescale_wide(total, *factor))",
        "wrap_int32(rescale_twice(total, *factor))",
        "kernels/test_lstm_int8.py::test_wide_cells",
    ),
    Fault(
        "a sum of squares is taken in another order",
        "kernels/lstm_int8.py",
        "np.add.accumulate(x * x, axis=-1)[:, -1:] / n",
        "np.add.accumulate((x * x)[:, ::-1], axis=-1)[:, -1:] / n",
        "kernels/test_lstm_int8.py::test_sums_in_order",
    ),
    Fault(
        "a negative variance makes the lowest number",
        "kernels/lstm_int8.py",
        "nan=0.0",
        "nan=-32768.0",
        "kernels/test_lstm_int8.py::test_a_variance_below_0",
    ),
]
