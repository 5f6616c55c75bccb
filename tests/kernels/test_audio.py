"""AudioSpectrogram and Mfcc."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.cases import SEEDS, array, check, compare, differential, ours
from tests.kernels.one_op import Arg, blank, one_op
from tests.sweep import TYPES, sweep

DOUBLE = 2.0**-53
USUAL = {
    "lower_frequency_limit": 20,
    "upper_frequency_limit": 4000,
    "filterbank_channel_count": 10,
    "dct_coefficient_count": 5,
}


def spectrogram(x, **options):
    return one_op("AudioSpectrogram", [x if isinstance(x, Arg) else Arg(x)], ["float32"], custom=options)


def mfcc(x, rate, constant=True, **options):
    x = x if isinstance(x, Arg) else Arg(x)
    return one_op("Mfcc", [x, Arg(np.int32(rate), constant=constant)], ["float32"], custom=USUAL | options)


# ---- worked by hand


def test_the_power_of_a_wave():
    # four samples of cos(2 pi i / 4), through the window 0, 0.5, 1, 0.5: 0, 0, -1, 0; its transform is -1, 1, -1
    x = np.float32([[1], [0], [-1], [0]])
    (y,) = ours(*spectrogram(x, window_size=4, stride=1, magnitude_squared=True))
    compare([y], [np.float32([[[1, 1, 1]]])])
    (y,) = ours(*spectrogram(3 * x, window_size=4, stride=1, magnitude_squared=False))
    compare([y], [np.float32([[[3, 3, 3]]])])


def test_windows_move_by_the_stride():
    x = np.arange(10, dtype=np.float32).reshape(5, 2)  # two channels; through the window 0, 1: 2, 6 and 3, 7
    (y,) = ours(*spectrogram(x, window_size=2, stride=2, magnitude_squared=True))
    compare([y], [np.float32([[[4, 4], [36, 36]], [[9, 9], [49, 49]]])])


def test_one_band():
    # bins at 0, 1000, 2000, 3000 Hz; the band's triangle rises from 400 Hz to its top, at 1157 Hz, and falls to 2500 Hz
    low, first, second, high = 1127 * np.log1p(np.array([400, 1000, 2000, 2500]) / 700)
    top = (low + high) / 2
    held = 1 * (first - low) / (top - low) + 3 * (high - second) / (high - top)
    limits = {"lower_frequency_limit": 400, "upper_frequency_limit": 2500}
    one = {"filterbank_channel_count": 1, "dct_coefficient_count": 1}
    (y,) = ours(*mfcc(np.float32([[[4, 1, 9, 0]]]), 6000, **limits, **one))
    compare([y], [np.float32([[[np.sqrt(2) * np.log(held)]]])], ulps=1)


def test_silence():
    (y,) = ours(*mfcc(np.zeros((1, 1, 65), np.float32), 8000))
    compare([y[..., :1]], [np.float32([[[np.sqrt(2 / 10) * 10 * np.log(1e-12)]]])], ulps=1)


# ---- against the official runtime


@pytest.mark.parametrize("squared", [True, False])
def test_spectrogram(official, squared):
    """Both sides compute in float64 and round at the end, where they may fall on either side.

    A few roundings of all terms in each of log2(size) stages come to error <= 100 * 2**-53 * sum|x|, and (a + error)**2
    to 2 * a * error + error**2.
    """

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        size = int(rng.integers(2, 70))
        x = array(data.draw, "float32", tuple(rng.integers([0, 1], [200, 4])))
        error = 100 * DOUBLE * np.abs(x.astype(np.float64)).sum()
        options = {"window_size": size, "stride": int(rng.integers(1, 90)), "magnitude_squared": squared}

        def bound(y):
            return 2 * np.sqrt(y.astype(np.float64)) * error + error**2 if squared else error

        check(*spectrogram(x, **options), ulps=1, bound=bound)

    run()


def test_a_whole_second(official):
    x = np.random.default_rng(0).normal(size=(16000, 1)).astype(np.float32)
    check(*spectrogram(x, window_size=640, stride=320, magnitude_squared=True), ulps=1)


def test_more_samples_than_before(official):
    content, _ = spectrogram(np.zeros((20, 1), np.float32), window_size=16, stride=4, magnitude_squared=True)
    turns = [[np.random.default_rng(n).normal(size=(n, 2)).astype(np.float32)] for n in (20, 50, 10, 50)]
    check(content, turns, sequence=True, ulps=1)


@pytest.mark.parametrize("constant", [True, False])
def test_mfcc(official, constant):
    """As the spectrogram. A logarithm's error is the relative error of what its band holds.

    That is at most 1e-9: 2**-53 * (bins + pitch / width of a band) / (the least weight that a draw comes to).
    """

    @differential()
    @given(st.data())
    def run(data):
        rng = np.random.default_rng(data.draw(SEEDS))
        bins = int(rng.integers(2, 140))
        shape = (*rng.integers(0 if rng.random() < 0.1 else 1, 4, 2), bins)
        x = array(data.draw, "float32", shape) ** 2
        bands, rate, low = int(rng.integers(1, 45)), int(rng.integers(1000, 48000)), int(rng.integers(0, 300))
        high = low + int(rng.integers(1, 8000 if rng.random() < 0.2 else max(rate // 2 - low, 2)))
        options = {"lower_frequency_limit": low, "upper_frequency_limit": high, "filterbank_channel_count": bands}
        options["dct_coefficient_count"] = int(rng.integers(0, bands + 1))
        check(*mfcc(x, rate, constant, **options), ulps=1, bound=1e-9 * bands)

    run()


def test_bands_above_the_last_bin(official):
    """All results are then 0, as officially."""
    x = np.ones((1, 2, 65), np.float32)
    content, arrays = mfcc(x, 8000, upper_frequency_limit=5000)
    assert check(content, arrays) == "equal"
    assert not ours(content, arrays)[0].any()


def test_a_rate_that_changes(official):
    x = np.random.default_rng(0).random((1, 3, 65)).astype(np.float32)
    content, _ = mfcc(x, 0, constant=False)
    check(content, [[x, np.int32(8000)], [x, np.int32(16000)]], sequence=True, ulps=1, bound=1e-11)


# ---- refusals


@pytest.mark.parametrize(
    "options",
    [
        {"dct_coefficient_count": 11},
        {"filterbank_channel_count": 0},
        {"lower_frequency_limit": -1},
        {"upper_frequency_limit": 20},
        {"dct_coefficient_count": -1},
    ],
)
def test_wrong_bands(official, options):
    content, arrays = mfcc(np.ones((1, 1, 65), np.float32), 8000, **options)
    stage = "allocate" if options.get("dct_coefficient_count", 0) < 0 else "invoke"
    assert check(content, arrays, must_run=False) == f"error at {stage}"


@pytest.mark.parametrize("shape, rate", [((1, 1, 65), 0), ((1, 1, 65), -8000), ((1, 1, 1), 8000), ((1, 1, 0), 8000)])
def test_no_bins(official, shape, rate):
    content, arrays = mfcc(np.ones(shape, np.float32), rate)
    assert check(content, arrays, must_run=False) == "error at invoke"


@pytest.mark.parametrize(
    "shape, options",
    [
        ((9, 1), {"window_size": 1, "stride": 1}),
        ((9, 1), {"window_size": 4, "stride": 0}),
        ((9, 1), {}),
        ((9, 1), {"window_size": 0, "stride": 1}),
        ((9,), {"window_size": 4, "stride": 1}),
        ((9, 1, 1), {"window_size": 4, "stride": 1}),
    ],
)
def test_wrong_windows(official, shape, options):
    content, arrays = spectrogram(np.zeros(shape, np.float32), **options)
    assert check(content, arrays, must_run=False) == "error at allocate"


@pytest.mark.parametrize("x, rate", [((1, 5), ()), ((1, 1, 1, 5), ()), ((1, 1, 5), (2,)), ((1, 1, 5), (0,))])
def test_wrong_shapes(official, x, rate):
    content, arrays = one_op("Mfcc", [blank("float32", x), blank("int32", rate)], ["float32"], custom=USUAL)
    assert check(content, arrays, must_run=False) == "error at allocate"


def test_types(official):
    def spectrum(x, y):
        return one_op("AudioSpectrogram", [blank(x, (9, 1))], [y], custom={"window_size": 4, "stride": 2})

    def coefficients(x, rate, y):
        rate = Arg(np.array(8000, rate), constant=True)
        return one_op("Mfcc", [blank(x, (1, 1, 65)), rate], [y], custom=USUAL)

    assert sweep(spectrum, (TYPES, TYPES)) == {("float32", "float32")}
    numbers = ["int32", "int64", "float32", "int16"]
    taken = sweep(coefficients, (TYPES, numbers, ["float32", "float64"]), ulps=1, bound=1e-9)
    assert taken == {("float32", "int32", "float32")}
