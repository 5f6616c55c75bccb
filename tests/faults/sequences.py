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
        "kernels/test_rnn.py::test_float[BIDIRECTIONAL_SEQUENCE_RNN-alone]",
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
]
