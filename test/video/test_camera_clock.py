"""A camera's time: what is newer, late, an outlier, and when it has jumped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.video.camera_clock import CameraClock, Order
from topreward_ros.video.selection import ClockJump

NEWER, LATE, OUTLIER, REPEATED = Order.NEWER, Order.LATE, Order.OUTLIER, Order.REPEATED


def orders(stamps, arrived=None):
    clock = CameraClock("front")
    arrived = [None] * len(stamps) if arrived is None else arrived
    return [clock.judge(stamp, at) for stamp, at in zip(stamps, arrived, strict=True)]


def test_an_exchanged_pair_is_late_and_a_repeated_stamp_is_repeated():
    assert orders([10.0, 10.2, 10.1, 10.2, 10.3]) == [NEWER, NEWER, LATE, REPEATED, NEWER]


def test_a_step_back_that_time_makes_up_for_soon_loses_a_moment_and_no_episode():
    assert orders([10.0, 9.5, 9.7, 9.9, 10.1]) == [NEWER, LATE, LATE, LATE, NEWER]


def test_a_hop_ahead_and_back_is_left_out():
    stamps = [0.0, 0.1, 5.2, 5.3, 0.4, 0.5]
    arrived = [0.0, 0.1, 0.2, 0.3, 0.4, 0.5]
    assert orders(stamps, arrived) == [NEWER, NEWER, OUTLIER, OUTLIER, NEWER, NEWER]


@pytest.mark.parametrize("hop", [10.0, 3600.0, -10.0, -3600.0])
def test_a_camera_that_goes_on_from_another_time_has_jumped(hop):
    clock = CameraClock("front")
    for k in range(10):
        clock.judge(100.0 + k / 10, k / 10)
    told = [clock.judge(100.0 + hop + k / 10, k / 10) for k in range(10, 15)]
    assert told == [OUTLIER] * 5  # half a second is looked at
    with pytest.raises(ClockJump, match="went back" if hop < 0 else "jumped ahead"):
        clock.judge(100.0 + hop + 1.5, 1.5)
    clock.reset()
    assert clock.judge(100.0 + hop + 1.6, 1.6) is NEWER


def test_two_cameras_on_one_topic_do_not_turn_time_to_and_fro():
    clock = CameraClock("front")
    for k in range(300):
        assert clock.judge(1000.0 + k / 30, k / 30) is NEWER
        assert clock.judge(20.0 + k / 30, k / 30 + 0.01) is OUTLIER


def test_a_pause_of_a_camera_is_no_jump():
    assert orders([0.0, 0.5, 9.0, 9.5], [0.0, 0.5, 9.0, 9.5]) == [NEWER] * 4
    assert orders([0.0, 0.5, 9.0, 9.5]) == [NEWER] * 4  # nor where no other clock is known


def test_what_comes_in_a_burst_after_a_pause_is_no_jump():
    stamps = [k / 10 for k in range(60)]
    arrived = [5.0 if k < 50 else k / 10 for k in range(60)]
    arrived[0] = 0.0
    assert orders(stamps, arrived) == [NEWER] * 60


def test_a_recording_played_at_many_times_its_speed_is_no_jump():
    stamps = [k / 10 for k in range(100)]
    assert orders(stamps, [stamp / 10 for stamp in stamps]) == [NEWER] * 100


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0, 2)), max_size=40))
def test_the_believed_time_only_grows(steps):
    clock, stamp, now, newest = CameraClock("front"), 500.0, 0.0, float("-inf")
    for step, wait in steps:
        stamp, now = stamp + step, now + wait
        try:
            clock.judge(stamp, now)
        except ClockJump:
            clock.reset()
            newest = float("-inf")
        assert clock.stamp >= newest
        newest = clock.stamp
