"""The overlay shows what the readings say, on pictures of any size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from topreward_ros.video.lettering import draw_text, text_width, wrap
from topreward_ros.video.overlay import PROGRESS, SUCCESS, TRACK, OverlayState, draw_overlay

TIMES = np.arange(0, 12, 0.5)
SIZES = [(120, 160), (240, 320), (480, 640), (640, 480), (480, 1280), (720, 1280)]


def camera(height=480, width=640):
    return np.full((height, width, 3), 128, np.uint8)


def state(progress=0.5, **options):
    options = {"instruction": "put the red cube on the green disc", "log_prob": -1.2} | options
    return OverlayState(times=TIMES, progress=np.linspace(0, progress, TIMES.size), **options)


def near(picture, colour):
    """Which pixels have a colour."""
    return (np.abs(picture.astype(int) - colour) <= 6).all(axis=-1)


def bar(picture, colour):
    """Length in pixels of a colour in the bar: the lowest of the rows that hold long lines."""
    empty = near(draw_overlay(camera(*picture.shape[:2]), OverlayState()), TRACK).sum(axis=1)
    row = np.flatnonzero(empty > 0.8 * picture.shape[1]).max() - 1
    return near(picture, colour)[row].sum()


@pytest.mark.parametrize("size", [*SIZES, (2160, 3840)])
def test_the_picture_keeps_its_size_and_the_camera_s_own_is_left_alone(size):
    image = camera(*size)
    drawn = draw_overlay(image, state())
    assert drawn.shape == image.shape and drawn.dtype == np.uint8
    assert (image == 128).all() and not np.shares_memory(image, drawn)


@pytest.mark.parametrize("size", SIZES)
def test_the_upper_half_stays_the_camera_s(size):
    drawn = draw_overlay(camera(*size), state())
    assert (drawn[: size[0] // 2] == 128).all()
    assert drawn[size[0] // 2 :].mean() < 110  # the lower band is dark, so that text is read


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("progress", [0.1, 0.5, 0.9])
def test_the_bar_is_as_long_as_the_progress(size, progress):
    drawn = draw_overlay(camera(*size), state(progress))
    empty = draw_overlay(camera(*size), OverlayState())
    assert bar(drawn, PROGRESS) / bar(empty, TRACK) == pytest.approx(progress, abs=0.06)


def test_without_a_reading_the_bar_is_empty():
    for nothing in (OverlayState(), state(float("nan"))):
        assert bar(draw_overlay(camera(), nothing), PROGRESS) == 0


@pytest.mark.parametrize("size", SIZES)
def test_success_is_green_with_a_frame_and_a_badge_and_only_then(size):
    before = draw_overlay(camera(*size), state())
    after = draw_overlay(camera(*size), state(success=True, success_time=9.0))
    assert not near(before, SUCCESS).any() and not near(after, PROGRESS).any()
    assert near(after, SUCCESS)[[0, -1]].all() and near(after, SUCCESS)[:, [0, -1]].all()
    badge = near(after, SUCCESS)[10 : size[0] // 3, size[1] // 2 : -10]
    assert badge.sum() > 100


def test_the_curve_rises_with_the_progress():
    drawn = near(draw_overlay(camera(), state(1.0)), PROGRESS)
    plot = drawn[330:415, 140:600]
    heights = [np.flatnonzero(plot[:, x]).min() for x in (20, 200, 400)]
    assert heights[0] > heights[1] + 15 > heights[2] + 30


def test_the_axis_covers_the_episode_where_its_length_is_known():
    live = near(draw_overlay(camera(), state(1.0)), PROGRESS)[330:415]
    known = near(draw_overlay(camera(), state(1.0, duration=24.0)), PROGRESS)[330:415]
    assert np.flatnonzero(live.any(axis=0)).max() > 600
    assert np.flatnonzero(known.any(axis=0)).max() < 400


def test_another_instruction_log_prob_reward_or_model_is_seen():
    pictures = [
        draw_overlay(camera(), state(**options))
        for options in ({}, {"instruction": "open the drawer"}, {"log_prob": -3.4},
                        {"log_prob": None, "censored": True}, {"log_prob": None},
                        {"reward": 0.2}, {"model": "demo model"})
    ]  # fmt: skip
    for index, picture in enumerate(pictures):
        assert not any(np.array_equal(picture, other) for other in pictures[:index])


@settings(max_examples=80)
@given(
    height=st.integers(1, 400), width=st.integers(1, 400), text=st.text(max_size=60),
    readings=st.lists(
        st.tuples(st.floats(0, 1e4), st.one_of(st.floats(-1, 2), st.just(float("nan")))), max_size=9
    ),
    success=st.booleans(), log_prob=st.floats(),
)  # fmt: skip
def test_any_state_is_drawn_on_any_picture(height, width, text, readings, success, log_prob):
    readings.sort()
    shown = OverlayState(
        instruction=text, model=text, success=success, success_time=3.0, log_prob=log_prob,
        reward=log_prob, times=[t for t, _ in readings], progress=[p for _, p in readings],
    )  # fmt: skip
    assert draw_overlay(camera(height, width), shown).shape == (height, width, 3)


# --- lettering ---------------------------------------------------------------------------------


@given(st.text(max_size=200), st.integers(40, 300), st.integers(1, 3))
@settings(max_examples=80)
def test_lines_fit_and_lose_words_only_behind_an_ellipsis(text, width, lines):
    broken = wrap(text, 14, width, lines)
    assert len(broken) <= lines
    assert all(len(line) <= 1 or text_width(line, 14) <= width for line in broken)
    shown, whole = "".join("".join(broken).split()), "".join(text.split())
    assert shown == whole or (shown.endswith("…") and whole.startswith(shown[:-1]))


def test_lines_break_between_words_and_inside_only_of_long_ones():
    assert wrap("put the red cube on the disc", 14, 90, 3) == ("put the red", "cube on the", "disc")
    assert len(wrap("a" * 60, 14, 100, 9)) > 2
    assert wrap("", 14, 90, 2) == ()


@pytest.mark.parametrize("letters", ["äß", "жц", "λω", "éñ", "…ø"])
def test_letters_beyond_ascii_are_drawn_as_themselves(letters):
    drawn = []
    for letter in [*letters, "\uffff"]:
        canvas = np.zeros((40, 40, 3), np.uint8)
        draw_text(canvas, letter, (2, 2), 24, (255, 255, 255))
        drawn.append(canvas.tobytes())
    assert len(set(drawn)) == len(drawn)


def test_text_beyond_the_picture_is_cut_off():
    canvas = np.zeros((20, 30, 3), np.uint8)
    draw_text(canvas, "a long line of text", (10, 2), 24, (255, 0, 0))
    assert canvas[2:, 10:, 0].any() and not canvas[:, :10].any() and not canvas[..., 1:].any()
    draw_text(canvas, "elsewhere", (100, 100), 24, (255, 0, 0))


def test_stages_are_bands_over_the_curve_those_that_held_and_the_running_one():
    plain = draw_overlay(camera(), state(0.2))
    stages = (("grasp", 0.0), ("place", 6.0))
    drawn = draw_overlay(camera(), state(0.2, stages=stages))
    rows = np.flatnonzero((drawn != plain).any(axis=(1, 2)))
    held, running = near(drawn, SUCCESS)[rows[1]], near(drawn, PROGRESS)[rows[1]]
    assert held.sum() == pytest.approx(running.sum() * 6.0 / 5.5, abs=8)
    assert np.flatnonzero(held).max() < np.flatnonzero(running).min()
    over = draw_overlay(camera(), state(0.2, stages=(*stages, ("", 11.0))))
    assert not near(over, PROGRESS)[rows[1]].any()


@pytest.mark.parametrize("size", SIZES)
def test_any_names_and_times_of_stages_are_drawn(size):
    many = tuple((f"a\nlong name {k} " + "x" * 40, 0.7 * k) for k in range(16))
    for stages in (many, (("late", 11.5),), (("", 0.0),)):
        assert draw_overlay(camera(*size), state(stages=stages)).shape == (*size, 3)
    assert draw_overlay(camera(*size), OverlayState(stages=many)).shape == (*size, 3)
