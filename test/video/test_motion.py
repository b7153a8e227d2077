"""The motion gate passes what moves and holds what only flickers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topreward_ros.video.motion import MotionGate

SIZES = st.sampled_from([(96, 96), (120, 160), (256, 256), (240, 320)])
SEEDS = st.integers(0, 2**32 - 1)


def scene(height, width):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack(
        [40 + 150 * x / width, 60 + 100 * y / height, 110 + 50 * np.sin(x / 9)], axis=-1
    )


def frame(picture, sigma=0.0, rng=None, shared=False):
    """The picture as a camera with noise of that many grey levels sees it."""
    if sigma:
        channels = 1 if shared else 3
        picture = picture + rng.normal(0, sigma, (*picture.shape[:2], channels))
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


@settings(max_examples=30)
@given(SIZES, st.floats(0, 6), SEEDS, st.booleans())
def test_sensor_noise_is_not_motion(size, sigma, seed, shared):
    rng, gate = np.random.default_rng(seed), MotionGate()
    gate.is_new(frame(scene(*size), sigma, rng, shared))
    assert not any(gate.is_new(frame(scene(*size), sigma, rng, shared)) for _ in range(3))


@settings(max_examples=30)
@given(SIZES, st.floats(0, 6), SEEDS, st.sampled_from([0, 1, 2]))
def test_an_object_of_a_twentieth_that_moves_is_motion(size, sigma, seed, channel):
    rng, gate = np.random.default_rng(seed), MotionGate()
    side = int((0.05 * size[0] * size[1]) ** 0.5)
    y, x = rng.integers(0, size[0] - side), rng.integers(0, size[1] - side - side // 3)
    before, after = scene(*size), scene(*size)
    before[y : y + side, x : x + side, channel] += 45
    after[y : y + side, x + side // 3 : x + side // 3 + side, channel] += 45
    gate.is_new(frame(before, sigma, rng))
    assert gate.is_new(frame(after, sigma, rng))


@pytest.mark.parametrize("step", [-12, 12])
def test_another_exposure_is_not_motion(step):
    gate = MotionGate()
    gate.is_new(frame(scene(120, 160)))
    assert not gate.is_new(frame(scene(120, 160) + step))


def test_something_small_that_moves_within_one_block_is_motion():
    before, after = scene(96, 96), scene(96, 96)
    before[50:54, 49:53] += 90
    after[50:54, 54:58] += 90
    gate = MotionGate()
    gate.is_new(frame(before))
    assert gate.is_new(frame(after))


def test_a_slow_move_adds_up_because_frames_are_held_against_the_last_kept_one():
    gate, kept = MotionGate(), 0
    for position in np.arange(0, 40, 0.5):
        picture = scene(120, 160)
        left = int(position)
        picture[40:70, 30 + left : 60 + left] += 40 * (1 - position % 1)
        picture[40:70, 31 + left : 61 + left] += 40 * (position % 1)
        kept += gate.is_new(frame(picture))
    assert 8 <= kept < 80


def test_the_first_frame_and_the_first_after_a_reset_are_new():
    gate, still = MotionGate(), frame(scene(96, 96))
    assert gate.is_new(still) and not gate.is_new(still)
    gate.reset()
    assert gate.is_new(still)


def test_a_frame_of_another_size_is_new():
    gate = MotionGate()
    gate.is_new(frame(scene(96, 96)))
    assert gate.is_new(frame(scene(120, 160)))


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (5, 7)])
def test_tiny_frames_are_compared_as_well(size):
    gate = MotionGate()
    picture = frame(scene(*size))
    assert gate.is_new(picture) and not gate.is_new(picture)


@pytest.mark.parametrize("threshold", [-1.0, 256.0, float("nan")])
def test_thresholds_that_are_no_grey_level_are_refused(threshold):
    with pytest.raises(ValueError, match="motion threshold"):
        MotionGate(threshold)
