"""Damaged and hostile compressed pictures are refused, and sound ones are what they were."""

from __future__ import annotations

import io
import time

import cv2
import numpy as np
import pytest
from hostile_pictures import encoded, huge_jpeg, huge_png, many_scans
from PIL import Image as Picture
from PIL import ImageOps

from topreward_ros.video.compressed_image import decode_compressed
from topreward_ros.video.image import ImageError

HEIGHT, WIDTH = 240, 320
CAMERAS = {
    "usual": {"quality": 90},
    "best": {"quality": 95, "subsampling": 0},
    "own tables": {"quality": 85, "optimize": True},
    "progressive": {"quality": 90, "progressive": True},
}


def scene(seed=1):
    """What a camera sees: shades, edges and its sensor's noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (HEIGHT // 16, WIDTH // 16, 3), np.uint8)
    picture = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(float)
    for _ in range(8):
        centre = tuple(int(v) for v in rng.integers(0, HEIGHT, 2))
        cv2.circle(picture, centre, int(rng.integers(10, 40)), rng.integers(0, 255, 3).tolist(), -1)
    return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)


def decode(data):
    return decode_compressed(np.frombuffer(bytes(data), np.uint8), "")


def accepted(data):
    """The picture, or None where it is refused."""
    try:
        return decode(data)
    except ImageError as error:
        assert "\n" not in str(error) and str(error).endswith(".")
        return None


def reference(data):
    return np.asarray(Picture.open(io.BytesIO(data)).convert("RGB"))


def visibly_wrong(picture, expected):
    return np.abs(picture.astype(int) - expected).max() > 40


def one_bit(data, rng, start):
    data[int(rng.integers(start, len(data) - 2))] ^= 1 << int(rng.integers(8))


def missing(data, rng, start):
    at = int(rng.integers(start, len(data) - 520))
    del data[at : at + 512]


def zeroed(data, rng, start):
    at = int(rng.integers(start, len(data) - 1030))
    data[at : at + 1024] = bytes(1024)


def damaged(data, damage, rng):
    data = bytearray(data)
    damage(data, rng, data.index(b"\xff\xda") + 14)
    return bytes(data)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize(
    ("damage", "most_wrong"), [(missing, 0.2), (zeroed, 0.2), (one_bit, 0.4)]
)  # fmt: skip
def test_a_jpeg_that_is_damaged_inside_is_refused(camera, damage, most_wrong):
    """Shares by number: a JPEG has no checksum, and some bits make another valid picture."""
    rng = np.random.default_rng(7)
    data = encoded(scene(), **CAMERAS[camera])
    expected = reference(data)
    pictures = [accepted(damaged(data, damage, rng)) for _ in range(60)]
    wrong = sum(p is not None and visibly_wrong(p, expected) for p in pictures)
    assert wrong <= most_wrong * len(pictures)
    if damage is not one_bit and camera in ("usual", "best"):
        assert all(picture is None for picture in pictures)


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize("seed", range(5))
def test_sound_jpegs_are_what_the_reference_decodes(camera, seed):
    data = encoded(scene(seed), **CAMERAS[camera])
    np.testing.assert_array_equal(decode(data), reference(data))


@pytest.mark.parametrize("grey", [0, 128, 255])
@pytest.mark.parametrize("camera", CAMERAS)
def test_flat_jpegs_are_no_damaged_ones(camera, grey):
    """Their data repeat themselves, with own tables as zeros."""
    flat = np.full((480, 640, 3), grey, np.uint8)
    np.testing.assert_array_equal(decode(encoded(flat, **CAMERAS[camera])), flat)


@pytest.mark.parametrize("orientation", range(9))
def test_a_jpeg_is_turned_as_its_exif_says(orientation):
    exif = Picture.Exif()
    exif[0x0112] = orientation
    data = encoded(scene(), exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Picture.open(io.BytesIO(data))))
    np.testing.assert_array_equal(decode(data), expected)


def test_a_grey_jpeg_fills_all_channels():
    data = encoded(scene()[..., 0])
    np.testing.assert_array_equal(decode(data), reference(data))


def test_a_jpeg_in_the_colours_of_print_is_refused():
    stream = io.BytesIO()
    Picture.new("CMYK", (32, 32)).save(stream, "jpeg")
    with pytest.raises(ImageError, match="CMYK"):
        decode(stream.getvalue())


def test_a_png_that_is_damaged_inside_is_refused():
    rng = np.random.default_rng(7)
    data = encoded(scene(), "png")
    for _ in range(60):
        mutant = bytearray(data)
        mutant[int(rng.integers(8, len(data)))] ^= 1 << int(rng.integers(8))
        assert accepted(mutant) is None


# --- bombs -------------------------------------------------------------------------------------


def refused_at_once(data, *words):
    start = time.thread_time()
    with pytest.raises(ImageError) as caught:
        decode(data)
    assert time.thread_time() - start < 0.5  # decoded, they take seconds
    for word in words:
        assert str(word) in str(caught.value)


def test_many_scans_are_refused_before_they_are_decoded():
    refused_at_once(many_scans(), "1009 scans", "baseline")
    refused_at_once(many_scans(side=64, scans=100), "109 scans")


def test_scans_count_by_their_pixels():
    flat = np.zeros((2000, 3000, 3), np.uint8)
    refused_at_once(encoded(flat, progressive=True), "3000 x 2000")
    assert decode(encoded(flat)).shape == flat.shape


@pytest.mark.parametrize("make", [huge_jpeg, huge_png])
def test_more_pixels_than_a_camera_has_are_refused_before_memory_is_taken(make):
    refused_at_once(make(), "8192 x 8192")
