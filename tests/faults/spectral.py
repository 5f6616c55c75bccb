"""Faults: spectra, random numbers, tables of words."""

from tests.faults.fault import Fault

FAULTS = [
    Fault(
        "a picture is transformed along its rows only",
        "kernels/spectral.py",
        "np.fft.rfft2(x[start : start + step].astype(np.float64), s=sides)",
        "np.fft.rfft(x[start : start + step].astype(np.float64), n=sides[1])[:, : sides[0]]",
        "kernels/test_spectral.py::test_cut_and_filled_up",
    ),
    Fault(
        "the window is symmetric, not periodic",
        "kernels/audio.py",
        "np.cos(2 * math.pi * np.arange(size) / size)",
        "np.cos(2 * math.pi * np.arange(size) / (size - 1))",
        "kernels/test_audio.py::test_the_power_of_a_wave",
    ),
    Fault(
        "a bin adds to one band only",
        "kernels/audio.py",
        "    weights[used, below + 1] = 1 - falling\n",
        "",
        "kernels/test_audio.py::test_one_band",
    ),
    Fault(
        "the keys of Philox do not grow",
        "kernels/philox.py",
        "(k + turn * growth) % 2**32",
        "k % 2**32",
        "kernels/test_random.py::test_philox_is_that_of_its_authors",
    ),
    Fault(
        "a seeded stream starts again at every run",
        "kernels/random.py",
        '    memory["place"] += count\n',
        "",
        "kernels/test_random.py::test_random[True-RANDOM_UNIFORM]",
    ),
    Fault(
        "a stream is not part of the state",
        "state.py",
        "            self.memory(subgraph, node).update(kept)\n",
        "            self.memory(subgraph, node)\n",
        "kernels/test_random.py::test_copies_go_on_where_the_original_stands[0-MULTINOMIAL]",
    ),
    Fault(
        "samples take the number below",
        "kernels/random.py",
        'odds[n, -1], side="right")',
        'odds[n, -1], side="right") - 1',
        "kernels/test_random.py::test_a_certain_class",
    ),
    Fault(
        "the scales of rows are taken in order",
        "kernels/embedding.py",
        "x[part] * scales[part]",
        "x[part] * scales[start : start + step]",
        "kernels/test_embedding.py::test_scales_of_blocks",
    ),
    Fault(
        "a mean is taken over all ids",
        "kernels/embedding.py",
        "row /= w[run].cumsum()[-1]",
        "row /= w.cumsum()[-1]",
        "kernels/test_embedding.py::test_embedding_lookup_sparse[MEAN]",
    ),
    Fault(
        "a missing key has the last value",
        "kernels/embedding.py",
        '    y[found < 0] = b"" if y.dtype == object else 0\n',
        "",
        "kernels/test_embedding.py::test_keys",
    ),
    Fault(
        "long keys are hashed without their last bytes",
        "kernels/hashing.py",
        "_stir(keys, size - 64, x",
        "_stir(keys, start, x",
        "kernels/test_hashing.py::test_fingerprint",
    ),
    Fault(
        "the first bit of a sparse projection is the lowest",
        "kernels/hashing.py",
        "np.arange(bits)[::-1])",
        "np.arange(bits))",
        "kernels/test_hashing.py::test_projection[int8-False]",
    ),
    Fault(
        "one word less is skipped",
        "kernels/text.py",
        "place + 2 + skip",
        "place + 1 + skip",
        "kernels/test_text.py::test_rows_of_two_words",
    ),
    Fault(
        "each turn of a loop draws the same numbers",
        "executable.py",
        "if fresh or frame is not self._latest:",
        "if True:",
        "kernels/test_random.py::test_a_loop_goes_on_from_turn_to_turn[False]",
    ),
]
