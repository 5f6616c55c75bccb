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
]
