"""Frames of one size, resized as the authors' pipeline does."""

from __future__ import annotations

import numpy as np
import pytest

from topreward_ros.video.resizing import resize

Y, X = np.mgrid[0:20, 0:28]
PICTURE = np.stack(
    [(X * 37 + Y * 59) % 256, (X * Y * 7) % 256, (X**2 * 3 + Y * 11) % 256], axis=-1
).astype(np.uint8)
# torch 2.13: torch.nn.functional.interpolate(PICTURE as uint8, (5, 9), "bicubic", antialias=True)
TORCH_5_BY_9 = [
    [122, 12, 23, 133, 48, 72, 120, 90, 162, 139, 106, 121, 119, 100, 114, 125, 124, 117, 130, 89,
     140, 121, 108, 137, 140, 105, 135],
    [133, 45, 65, 128, 150, 119, 123, 149, 149, 132, 142, 122, 124, 129, 144, 127, 136, 122, 130,
     126, 146, 128, 122, 144, 134, 141, 117],
    [134, 85, 109, 127, 148, 166, 120, 139, 118, 129, 125, 130, 124, 133, 115, 132, 133, 129, 130,
     126, 101, 121, 121, 97, 130, 132, 132],
    [138, 96, 156, 126, 132, 190, 123, 127, 95, 132, 134, 137, 124, 148, 136, 127, 127, 141, 130,
     119, 140, 121, 121, 141, 133, 138, 120],
    [126, 107, 205, 133, 141, 146, 120, 131, 98, 140, 133, 147, 119, 129, 120, 126, 150, 110, 129,
     146, 145, 124, 132, 150, 136, 127, 103],
]  # fmt: skip


def test_resizing_is_within_one_grey_level_of_torch():
    ours = resize(PICTURE, (5, 9)).reshape(5, -1).astype(int)
    assert np.abs(ours - np.array(TORCH_5_BY_9)).max() <= 1


def test_the_size_is_height_and_width():
    resized = resize(PICTURE, (7, 13))
    assert resized.shape == (7, 13, 3) and resized.dtype == np.uint8


def test_a_frame_of_that_size_stays_as_it_is():
    assert resize(PICTURE, (20, 28)) is PICTURE


def test_channels_stay_in_their_order():
    plain = np.broadcast_to(np.array([200, 100, 40], np.uint8), (30, 40, 3))
    np.testing.assert_array_equal(resize(plain, (8, 8)), plain[:8, :8])


def test_frames_that_are_no_contiguous_memory_are_resized_alike():
    turned = PICTURE[::-1, ::-1]
    np.testing.assert_array_equal(resize(turned, (5, 9)), resize(turned.copy(), (5, 9)))


@pytest.mark.parametrize(
    "frame", [PICTURE[..., 0], PICTURE.astype(np.float32), PICTURE[:0], np.zeros((4, 4, 4), "u1")]
)
def test_what_is_no_rgb_picture_is_refused(frame):
    with pytest.raises(ValueError, match="expected uint8"):
        resize(frame, (5, 9))


@pytest.mark.parametrize("size", [(0, 5), (5, 0), (-1, 5)])
def test_sizes_without_pixels_are_refused(size):
    with pytest.raises(ValueError, match="no pixels"):
        resize(PICTURE, size)
