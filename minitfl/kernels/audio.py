"""AudioSpectrogram, Mfcc: how loud a sound is at each pitch (custom operators).

    AudioSpectrogram  x (samples, channels) -> y (channels, steps, bins): |Fourier transform|**2 of a window over x that
                      moves by `stride`, or its root; the window is filled up with zeros to a power of two
    Mfcc              x (channels, steps, bins) such powers, rate () -> y (channels, steps, coefficients): the cosine
                      transform of the logarithms of what each of some bands on the mel scale holds

All float32 but rate, int32. Computed in float64 and rounded at the end. Mel-frequency cepstral coefficients: Davis and
Mermelstein, IEEE Trans. ASSP 28(4), 1980; the bands are those of HTK.
"""

from __future__ import annotations

import math

import numpy as np

from minitfl.errors import ModelError
from minitfl.kernels.broadcast import BLOCK
from minitfl.kernels.custom_options import read_options
from minitfl.op import Call, Kernel, Site, op

QUIETEST = 1e-12  # a band is taken to hold at least this much, so that it has a logarithm


@Kernel
def spectrogram(x, window, stride, squared, y):
    """y = |Fourier transform of window * x|**2 as it moves by `stride`, or its root.

    window (size,) float64: what the samples are multiplied by. squared: without the root.
    """
    channels, steps, bins = y.shape
    if not y.size:
        return
    places = np.lib.stride_tricks.sliding_window_view(x, len(window), axis=0)[::stride]  # (steps, channels, size)
    some = max(1, BLOCK // (2 * bins))
    for channel in range(channels):
        for start in range(0, steps, some):
            bands = np.fft.rfft(places[start : start + some, channel] * window, n=2 * (bins - 1))
            power = (bands.real**2 + bands.imag**2).astype(np.float32)
            y[channel, start : start + some] = power if squared else np.sqrt(power)


@Kernel
def mfcc(x, rate, low, high, bands, y):
    """y = log(sqrt(x) @ weights) @ cosines; the weights say how much of each bin a band takes.

    low, high: the limits of the bands in hertz; bands: how many there are.
    """
    channels, steps, bins = x.shape
    coefficients = y.shape[2]
    frames = channels * steps
    if not (frames and coefficients):
        return
    weights = _mel_bands(bins, rate.item(), low, high, bands)
    if coefficients > bands:
        raise ModelError(f"{coefficients} coefficients of {bands} bands")
    if weights is None:
        y[...] = 0
        return
    places = np.arange(coefficients) * (math.pi / bands) * (np.arange(bands)[:, np.newaxis] + 0.5)
    cosines = math.sqrt(2 / bands) * np.cos(places)
    x, y = x.reshape(frames, bins), y.reshape(frames, coefficients)
    some = max(1, BLOCK // bins)
    for start in range(0, frames, some):
        held = np.sqrt(x[start : start + some].astype(np.float64)) @ weights
        y[start : start + some] = np.log(np.maximum(held, QUIETEST)) @ cosines


def _mel_bands(bins, rate, low, high, bands):
    """How much of each bin a band takes: triangles (bins, bands), each as wide as to its neighbours' tops.

    None where the bins end below `high`: then the official kernel leaves all its results at 0.
    """
    if bands < 1 or rate <= 0 or bins < 2 or not 0 <= low < high:
        raise ModelError(f"{bands} bands from {low} to {high} Hz, of {bins} bins at a rate of {rate} Hz")
    hertz = 0.5 * rate / (bins - 1)
    first, last = int(1.5 + low / hertz), int(high / hertz)  # never bin 0: a constant is no sound
    if last >= bins:
        return None
    bottom = _mel(low)
    tops = bottom + (_mel(high) - bottom) / (bands + 1) * np.arange(bands + 2)  # tops[0] belongs to no band
    used = np.arange(first, last + 1)
    pitch = _mel(used * hertz)
    below = np.minimum(np.searchsorted(tops[1:-1], pitch), bands)  # the top that lies below each bin
    falling = (tops[below + 1] - pitch) / (tops[below + 1] - tops[below])
    weights = np.zeros((bins, bands + 2))
    weights[used, below] = falling
    weights[used, below + 1] = 1 - falling
    return weights[:, 1:-1]


def _mel(hertz):
    return 1127.0 * np.log1p(hertz / 700.0)


# ---- preparations


@op("AudioSpectrogram")
def audio_spectrogram(site: Site) -> Call:
    site.arity(1, 1)
    x, y = site.input(0), site.output(0)
    options = read_options(site, ("window_size", "stride"), flags=["magnitude_squared"])
    size, stride = options["window_size"], options["stride"]
    site.expect(x.rank == 2, f"the samples have {x.rank} axes, not 2")
    site.expect(x.type == y.type == "float32", f"{x.type} -> {y.type}, not float32 -> float32")
    site.expect(size >= 2 and stride >= 1, f"a window of {size} that moves by {stride}")
    samples, channels = x.known_shape
    steps = 0 if samples < size else 1 + (samples - size) // stride
    length = 1 << (size - 1).bit_length()
    y = y.reshaped(channels, steps, 1 + length // 2)
    window = 0.5 - 0.5 * np.cos(2 * math.pi * np.arange(size) / size)
    workspace = max(BLOCK, length) * 8 * 5  # windows, filled up; complex numbers, their squares
    return Call(spectrogram, (x, window, stride, options["magnitude_squared"], y), (y,), workspace=workspace)


@op("Mfcc")
def mfcc_(site: Site) -> Call:
    site.arity(2, 1)
    x, rate, y = site.input(0), site.input(1), site.output(0)
    limits = ("lower_frequency_limit", "upper_frequency_limit")
    options = read_options(site, (*limits, "filterbank_channel_count", "dct_coefficient_count"))
    low, high = (float(np.float32(options[name])) for name in limits)
    bands = options["filterbank_channel_count"]
    site.expect(x.rank == 3, f"the powers have {x.rank} axes, not 3")
    site.expect(rate.size == 1, f"{rate.size} sample rates")
    types = (x.type, rate.type, y.type)
    site.expect(types == ("float32", "int32", "float32"), f"{types}, not float32, int32 -> float32")
    y = y.reshaped(*x.known_shape[:2], options["dct_coefficient_count"])
    bins, coefficients = x.known_shape[2], y.known_shape[2]
    workspace = (bins * (max(bands, 0) + 2) + max(bands, 0) * max(coefficients, 0) * 3 + max(BLOCK, bins) * 4) * 8
    return Call(mfcc, (x, rate, low, high, bands, y), (y,), workspace=workspace)
