"""Frames are selected on a fixed grid of camera time."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.video.selection import ClockJump, FrameSelector

T0 = 1_764_000_000.123456789


def selected(selector, stamps):
    return [stamp for stamp in stamps if selector.offer(stamp)]


def test_thirty_frames_a_second_become_two():
    stamps = [T0 + i / 30 for i in range(91)]
    taken = [stamp - T0 for stamp in selected(FrameSelector(2.0), stamps)]
    assert taken == pytest.approx([0, 0.5, 1, 1.5, 2, 2.5, 3], abs=1e-6)


@pytest.mark.parametrize("start", [1_764_000_000 + i * 0.123456789 for i in range(20)])
def test_rounded_stamps_never_cost_a_frame(start):
    stamps = [round(start + i / 10, 9) for i in range(101)]
    assert selected(FrameSelector(5.0), stamps) == stamps[::2]


def test_the_first_frame_at_or_after_an_instant_is_taken():
    stamps = [0.1, 0.3, 0.59, 0.62, 0.9, 1.09, 1.1, 1.2]
    assert selected(FrameSelector(2.0), stamps) == [0.1, 0.62, 1.1]


def test_the_grid_does_not_drift_with_late_frames():
    taken = selected(FrameSelector(1.0), [i * 0.3 for i in range(1, 40)])
    offsets = [stamp - taken[0] for stamp in taken]
    assert all(-1e-6 <= offset - math.floor(offset + 1e-6) < 0.3 + 1e-6 for offset in offsets)
    assert [math.floor(offset + 1e-6) for offset in offsets] == list(range(len(offsets)))


def test_a_gap_is_followed_by_no_burst():
    stamps = [0, 0.5, 1.0, *(5.2 + i / 30 for i in range(31))]
    taken = selected(FrameSelector(2.0), stamps)
    assert taken[:4] == [0, 0.5, 1.0, 5.2]
    assert taken[4] == pytest.approx(5.5, abs=1 / 30)
    assert taken[5] == pytest.approx(6.0, abs=1 / 30)
    assert len(taken) == 6


def test_slow_cameras_give_every_frame():
    stamps = [float(i) for i in range(10)]
    assert selected(FrameSelector(2.0), stamps) == stamps


def test_the_same_stamp_again_is_a_duplicate():
    assert selected(FrameSelector(2.0), [1.0, 1.0, 2.0, 2.0]) == [1.0, 2.0]


def test_time_that_goes_back_is_a_clock_jump():
    selector = FrameSelector(2.0)
    selector.offer(10.0)
    selector.offer(10.2)
    with pytest.raises(ClockJump, match=r"from 10\.200 s to 10\.100 s"):
        selector.offer(10.1)


def test_after_a_reset_time_may_start_anywhere():
    selector = FrameSelector(2.0)
    selector.offer(10.0)
    selector.reset()
    assert selected(selector, [3.0, 3.2, 3.5]) == [3.0, 3.5]


def test_a_due_frame_stays_due_until_one_is_taken():
    selector = FrameSelector(2.0)
    assert selector.is_due(1.0) and selector.is_due(1.1)
    selector.take(1.1)
    assert not selector.is_due(1.5) and selector.is_due(1.6)


@pytest.mark.parametrize("rate", [0.0, -1.0, math.nan, math.inf])
def test_rates_without_sense_are_refused(rate):
    with pytest.raises(ValueError, match="sample rate"):
        FrameSelector(rate)


@pytest.mark.parametrize("stamp", [math.nan, math.inf, -math.inf])
def test_stamps_that_are_no_number_are_refused(stamp):
    with pytest.raises(ValueError, match="finite"):
        FrameSelector(2.0).offer(stamp)


@given(
    st.floats(0.1, 30),
    st.lists(st.floats(0, 3).map(lambda gap: round(gap, 3)), min_size=1, max_size=200),
)
def test_each_instant_gives_one_frame_at_most_and_none_is_missed(rate, gaps):
    stamps, now = [], T0
    for gap in gaps:
        now += gap
        stamps.append(now)
    taken = selected(FrameSelector(rate), stamps)
    start = stamps[0]
    instants = [math.floor((stamp - start + 1e-6) * rate) for stamp in taken]
    assert instants == sorted(set(instants))
    assert set(instants) == {math.floor((stamp - start + 1e-6) * rate) for stamp in stamps}
