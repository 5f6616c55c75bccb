"""Pictures: reading, resizing, and the numbers that a model gets."""

import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitfl import pictures
from minitfl.graph import Quantization, Tensor
from minitfl.pictures import Normalisation, PictureError, layout, prepare, resize


def tensor(type, shape, scale=None, zero=0):
    quantization = None if scale is None else Quantization(np.float32([scale]), np.int64([zero]))
    return Tensor(0, "picture", type, shape, quantization)


def given_to(type, picture, scale=None, zero=0, **normalisations):
    t = tensor(type, (1, *picture.shape), scale, zero)
    return prepare(picture, t, layout(t.shape), **normalisations)


RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)


@pytest.mark.parametrize("scale, zero", [(1 / 128, 128), (1 / 255, 0), (0.5, 7)])
def test_quantized_bytes_are_the_pixels(scale, zero):
    assert np.array_equal(given_to("uint8", RAMP, scale, zero)[0], RAMP)
    assert np.array_equal(given_to("int8", RAMP, scale, zero - 128)[0], RAMP.astype(int) - 128)
    # metadata normalise floats only: the ranges of pixels and input are one range whatever they are
    assert np.array_equal(given_to("uint8", RAMP, scale, zero, known=Normalisation((9,), (3,)))[0], RAMP)


def test_integers_that_are_not_quantized():
    assert np.array_equal(given_to("uint8", RAMP)[0], RAMP)
    assert np.array_equal(given_to("int8", RAMP)[0], RAMP.astype(int) - 128)
    assert np.array_equal(given_to("int32", RAMP)[0], RAMP)


def test_floats_are_normalised():
    by_default = given_to("float32", RAMP)
    assert by_default.dtype == np.float32 and by_default.min() == -1 and by_default.max() == 1
    assert given_to("float16", RAMP).dtype == np.float16
    known = given_to("float32", RAMP, known=Normalisation((0,), (255,)))
    assert known.min() == 0 and known.max() == 1
    asked = given_to("float32", RAMP, given=Normalisation((5,), (2,)), known=Normalisation((0,), (255,)))
    assert np.array_equal(asked[0], (RAMP.astype(np.float32) - 5) / 2)


def test_one_mean_for_each_channel():
    colour = np.full((2, 2, 3), (10, 20, 30), np.uint8)
    values = given_to("float32", colour, given=Normalisation((9, 18, 27), (1, 2, 3)))
    assert np.array_equal(values[0, 0, 0], [1, 1, 1])
    first = prepare(
        colour, tensor("float32", (1, 3, 2, 2)), layout((1, 3, 2, 2)), Normalisation((9, 18, 28), (1, 2, 1))
    )
    assert first.shape == (1, 3, 2, 2) and np.array_equal(first[0, :, 1, 1], [1, 1, 2])
    with pytest.raises(PictureError, match="3 means or standard deviations for 1 channels"):
        given_to("float32", RAMP, given=Normalisation((1, 2, 3), (1,)))


def test_what_the_caller_asks_for_is_quantized():
    # (p - 0) / 255 / 0.5 + 3: pixel 0 -> 3, pixel 255 -> 5, pixel 128 -> 1.0039 + 3
    values = given_to("uint8", RAMP, 0.5, 3, given=Normalisation((0,), (255,)))[0].ravel()
    assert (values[0], values[128], values[255]) == (3, 4, 5)


def test_int16_goes_by_way_of_real_numbers():
    values = given_to("int16", RAMP, 1 / 32768)[0].ravel()
    assert (values[0], values[255]) == (-32768, 32767) and values.dtype == np.int16


@pytest.mark.parametrize("type", ["string", "bool", "complex64", "int4", "resource"])
def test_types_that_pixels_cannot_become(type):
    with pytest.raises(PictureError, match=type):
        given_to(type, RAMP)


# ---- layouts


@pytest.mark.parametrize(
    "shape, channels, result",
    [
        ((1, 4, 6, 3), 1, (1, 4, 6, 3)),
        ((1, 4, 6, 1), 3, (1, 4, 6, 1)),
        ((1, 3, 4, 6), 1, (1, 3, 4, 6)),
        ((1, 1, 4, 6), 3, (1, 1, 4, 6)),
        ((1, 28, 28), 3, (1, 28, 28)),
        ((4, 6, 3), 1, (4, 6, 3)),
    ],
)
def test_layouts(shape, channels, result):
    picture = np.full((5, 7, channels), 200, np.uint8)
    values = prepare(picture, tensor("uint8", shape), layout(shape))
    assert values.shape == result and (values == 200).all()


def test_free_sides_take_the_pictures_size():
    picture = np.zeros((5, 7, 3), np.uint8)
    place = layout((1, 1, 1, 3), (-1, -1, -1, 3))
    assert prepare(picture, tensor("uint8", (1, 1, 1, 3)), place).shape == (1, 5, 7, 3)
    place = layout((1, 8, 1, 3), (1, 8, -1, 3))
    assert prepare(picture, tensor("uint8", (1, 8, 1, 3)), place).shape == (1, 8, 7, 3)


@pytest.mark.parametrize("shape", [(), (1,), (1, 10), (2, 4, 4, 3), (1, 4, 4, 2), (5, 4, 4), (1, 2, 4, 4, 3)])
def test_shapes_of_no_picture(shape):
    with pytest.raises(PictureError, match="no picture"):
        layout(shape)


def test_grey_by_hand():
    # 0.299 * 10 + 0.587 * 20 + 0.114 * 30 = 18.15
    assert pictures.grey(np.array([[[10, 20, 30]]], np.uint8)).tolist() == [[[18]]]


# ---- resizing


def test_resize_by_hand():
    # to half: the triangle around the middle of 2 pixels reaches one pixel further on either side: 1, 3, 3, 1
    line = np.array([[[0], [80], [160], [240]]], np.uint8)
    # first: (3 * 0 + 3 * 80 + 160) / 7 = 57.1; last: (80 + 3 * 160 + 3 * 240) / 7 = 182.9
    assert resize(line, 1, 2).ravel().tolist() == [57, 183]
    # to double: a quarter and three quarters between neighbours
    assert resize(line, 1, 8).ravel().tolist() == [0, 20, 60, 100, 140, 180, 220, 240]


@given(st.data())
def test_resize_is_pillows_bilinear(data):
    image = pytest.importorskip("PIL.Image")
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    before, after = (data.draw(st.tuples(st.integers(1, 40), st.integers(1, 40))) for _ in range(2))
    picture = rng.integers(0, 256, (*before, 3), np.uint8)
    theirs = np.asarray(image.fromarray(picture).resize(after[::-1], image.Resampling.BILINEAR))
    # Pillow rounds to 8 bits after each of its two passes
    assert np.abs(resize(picture, *after).astype(int) - theirs).max() <= 1


# ---- reading


def test_read_arrays(tmp_path):
    for shape, channels in (((4, 5), 1), ((4, 5, 1), 1), ((4, 5, 3), 3), ((4, 5, 4), 3)):
        np.save(tmp_path / "a.npy", np.ones(shape, np.uint8))
        assert pictures.read(tmp_path / "a.npy").shape == (4, 5, channels)


@pytest.mark.parametrize("array", [np.ones((4, 5)), np.ones(4, np.uint8), np.ones((2, 3, 2), np.uint8), np.uint8(1)])
def test_arrays_that_are_no_pictures(tmp_path, array):
    np.save(tmp_path / "a.npy", array)
    with pytest.raises(PictureError, match="a picture is uint8"):
        pictures.read(tmp_path / "a.npy")


def test_damaged_files(tmp_path):
    pytest.importorskip("PIL")
    for name in ("a.npy", "a.png"):
        (tmp_path / name).write_bytes(b"not what it seems")
        with pytest.raises(PictureError, match=name):
            pictures.read(tmp_path / name)
        with pytest.raises(PictureError, match="missing"):
            pictures.read(tmp_path / f"missing_{name}")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    with pytest.raises(PictureError, match="objects"):
        pictures.read(tmp_path / "objects.npy")


def test_read_with_pillow(tmp_path):
    image = pytest.importorskip("PIL.Image")
    colour = np.random.default_rng(0).integers(0, 256, (4, 5, 3), np.uint8)
    image.fromarray(colour).save(tmp_path / "a.png")
    assert np.array_equal(pictures.read(tmp_path / "a.png"), colour)
    image.fromarray(colour[..., 0]).save(tmp_path / "a.bmp")
    assert np.array_equal(pictures.read(tmp_path / "a.bmp"), colour[..., :1])
    deep = np.array([[0, 1000], [2000, 500]], np.uint16)
    image.fromarray(deep).save(tmp_path / "deep.png")
    assert pictures.read(tmp_path / "deep.png")[..., 0].tolist() == [[0, 128], [255, 64]]


def test_without_pillow(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(PictureError, match=r"pip install minitfl\[tools\]"):
        pictures.read(tmp_path / "a.png")
