"""Rules of the success detector."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.success import (
    SuccessDetector,
    SuccessError,
    SuccessSettings,
    latch_level,
    success_scores,
)

value = st.one_of(st.floats(-20.0, 0.0), st.sampled_from([math.nan, math.inf, -math.inf]))


def run(settings, log_probs, period=0.5, start=0.0):
    detector = SuccessDetector(settings)
    return [detector.update(log_prob, start + period * k) for k, log_prob in enumerate(log_probs)]


def latch_time(settings, log_probs, period=0.5, start=0.0):
    return run(settings, log_probs, period, start)[-1].since


def test_the_score_is_the_mean_of_the_last_log_probs():
    scores = success_scores([-3.0, -6.0, -9.0, 0.0], window=3)
    assert all(math.isnan(score) for score in scores[:2])
    assert scores[2:] == [-6.0, -5.0]


def test_success_needs_the_full_window_the_hold_and_the_minimum_duration():
    above = [-0.1] * 12
    # The window of 3 is full at 1.0 s, held for 1 s at 2.0 s.
    assert latch_time(SuccessSettings(-1.0, 3, hold=1.0, min_duration=0.0), above) == 2.0
    assert latch_time(SuccessSettings(-1.0, 3, hold=1.0, min_duration=4.0), above) == 4.0
    assert latch_time(SuccessSettings(-1.0, 3, hold=0.0, min_duration=0.0), above) == 1.0
    assert latch_time(SuccessSettings(-1.0, 1, hold=0.0, min_duration=0.0), above) == 0.0


def test_no_success_latches_after_the_time_limit_and_one_before_stays():
    settings = SuccessSettings(-1.0, window=1, hold=1.0, min_duration=0.0, max_time=3.0)
    assert latch_time(settings, [-9.0] * 5 + [-0.1] * 9) is None
    late = [-9.0] * 4 + [-0.1] * 9
    assert latch_time(settings, late) == 3.0
    assert run(settings, late)[-1].success


def test_a_score_that_only_touches_the_threshold_is_not_above_it():
    assert latch_time(SuccessSettings(-1.0, 1, 0.0, 0.0), [-1.0] * 9) is None


def test_a_dip_starts_the_hold_anew():
    settings = SuccessSettings(-1.0, window=1, hold=1.0, min_duration=0.0)
    assert latch_time(settings, [0.0, 0.0, -5.0, 0.0, 0.0, 0.0]) == 2.5


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_an_unknown_or_infinite_log_prob_is_no_success_and_starts_the_hold_anew(bad):
    settings = SuccessSettings(-1.0, window=1, hold=1.0, min_duration=0.0)
    assert latch_time(settings, [0.0, 0.0, bad, 0.0, 0.0, 0.0]) == 2.5
    assert latch_time(settings, [bad] * 20) is None
    windowed = SuccessSettings(-1.0, window=3, hold=0.0, min_duration=0.0)
    assert latch_time(windowed, [0.0, 0.0, bad, 0.0, 0.0]) is None
    assert latch_time(windowed, [0.0, 0.0, bad, 0.0, 0.0, 0.0]) == 2.5


@given(
    st.lists(st.tuples(value, st.booleans()), max_size=40),
    st.floats(-15.0, -1.0),
    st.integers(1, 4),
)
def test_what_latches_with_readings_missing_would_latch_with_all(readings, threshold, window):
    settings = SuccessSettings(threshold, window, hold=1.0, min_duration=2.0)
    detector, missing = SuccessDetector(settings), False
    success = False
    for index, (log_prob, scored) in enumerate(readings):
        if not scored:
            missing = True
            continue
        if missing:
            detector.interrupt()
        success, missing = detector.update(log_prob, index / 2).success, False
    log_probs, times = [one for one, _ in readings], [index / 2 for index in range(len(readings))]
    assert not success or latch_level(log_probs, times, settings) > threshold


def test_success_stays_once_it_is_there():
    settings = SuccessSettings(-1.0, window=1, hold=0.0, min_duration=0.0)
    states = run(settings, [-5.0, -0.1, -9.0, math.nan, -9.0])
    assert [state.success for state in states] == [False, True, True, True, True]
    assert {state.since for state in states[1:]} == {0.5}


@given(st.lists(value))
def test_without_a_threshold_there_is_a_score_but_never_a_success(log_probs):
    states = run(SuccessSettings(None, window=1, hold=0.0, min_duration=0.0), log_probs)
    assert not any(state.success for state in states)
    for state, log_prob in zip(states, log_probs, strict=True):
        assert state.score == log_prob or math.isnan(state.score)


@given(st.floats(-20.0, -0.1), st.integers(1, 40))
def test_a_constant_curve_below_the_threshold_is_never_a_success(level, count):
    assert not run(SuccessSettings(-0.05), [level] * count)[-1].success


@given(value, st.sampled_from([2, 3, 5]))
def test_a_single_frame_is_never_a_success_by_itself(log_prob, window):
    settings = SuccessSettings(-10.0, window=window, hold=0.0, min_duration=0.0)
    assert not run(settings, [log_prob])[-1].success


@given(st.lists(value, min_size=1, max_size=40), st.floats(-15.0, -1.0), st.floats(0.0, 3.0))
def test_a_higher_threshold_never_latches_earlier(log_probs, threshold, raised):
    low = latch_time(SuccessSettings(threshold), log_probs)
    high = latch_time(SuccessSettings(min(threshold + raised, 0.0)), log_probs)
    assert high is None or (low is not None and low <= high)


@given(st.lists(value, min_size=1, max_size=40), st.floats(1e-3, 1e9))
def test_only_differences_of_camera_time_count_for_the_hold(log_probs, start):
    settings = SuccessSettings(-10.0, min_duration=0.0)
    now = latch_time(settings, log_probs)
    later = latch_time(settings, log_probs, start=start)
    assert (now is None) == (later is None)
    if now is not None:
        assert later - start == pytest.approx(now, abs=1e-3)


def test_stamps_that_miss_full_seconds_by_rounding_cost_no_extra_reading():
    settings = SuccessSettings(-1.0, window=1, hold=1.0, min_duration=0.0)
    detector = SuccessDetector(settings)
    stamps = [0.0, 0.5, 0.9999998]
    assert [detector.update(0.0, stamp).success for stamp in stamps] == [False, False, True]


@pytest.mark.parametrize("stamp", [1.0, 0.5, math.nan, math.inf])
def test_time_that_does_not_advance_is_refused(stamp):
    detector = SuccessDetector(SuccessSettings())
    detector.update(-1.0, 1.0)
    with pytest.raises(SuccessError, match="time order"):
        detector.update(-1.0, stamp)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"threshold": math.nan}, "threshold"),
        ({"threshold": 0.5}, "threshold"),
        ({"threshold": -math.inf}, "threshold"),
        ({"window": 0}, "window"),
        ({"hold": -1.0}, "hold"),
        ({"hold": math.nan}, "hold"),
        ({"min_duration": math.inf}, "minimum duration"),
        ({"max_time": -1.0}, "time limit"),
    ],
)
def test_settings_that_make_no_sense_are_refused_by_name(settings, named):
    with pytest.raises(SuccessError, match=named):
        SuccessSettings(**settings)


STEPS = SuccessSettings(-1.0, window=3, hold=1.0, min_duration=0.0, max_step=0.75)


def states_at(settings, times, log_prob=-0.1, unseen=()):
    detector = SuccessDetector(settings)
    return [detector.update(log_prob, time, seen=time not in unseen) for time in times]


def test_window_and_hold_do_not_run_across_a_hole_in_the_cameras_time():
    # Window full and held from 1.0 s on; 3 s without a frame before the hold is over.
    states = states_at(STEPS, [0.0, 0.5, 1.0, 1.5, 4.5, 5.0, 5.5, 6.0, 6.5])
    assert [state.success for state in states] == [False] * 8 + [True]
    assert math.isnan(states[4].score) and math.isnan(states[5].score)
    # The same without the rule is the defect: success at the first reading after the hole.
    lax = replace(STEPS, max_step=None)
    assert states_at(lax, [0.0, 0.5, 1.0, 1.5, 4.5])[-1].success


def test_a_reading_of_pictures_that_nobody_saw_fills_neither_window_nor_hold():
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    states = states_at(STEPS, times, unseen=times[1:])
    assert not any(state.success for state in states)
    assert all(math.isnan(state.score) for state in states[1:])
    assert states_at(STEPS, times)[-1].success


def test_a_latched_success_holds_only_while_it_is_seen():
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    states = states_at(STEPS, times, unseen=[2.5])
    assert [state.success for state in states] == [False] * 4 + [True] * 6
    # Window full again at 4.0 s, held for another second.
    assert [state.holds for state in states] == [False] * 4 + [True] + [False] * 5
    assert states_at(STEPS, [*times, 5.0], unseen=[2.5])[-1].holds


def test_the_latch_level_is_the_best_of_the_lowest_scores_within_a_hold():
    settings = SuccessSettings(None, window=1, hold=1.0, min_duration=2.0)
    times = [0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0]
    # The peak of -1 up to 1.0 s is too early; then [-9 -9 -4], [-9 -4 -3], [-4 -3 -5].
    assert latch_level([-1.0, -1.0, -1.0, -9.0, -4.0, -3.0, -5.0], times, settings) == -5.0
    assert latch_level([-1.0, -1.0, -1.0], times[:3], settings) == -math.inf
    assert latch_level([], [], settings) == -math.inf


@given(
    st.lists(st.tuples(value, st.floats(0.01, 3.0), st.sampled_from([True] * 9 + [False])),
             max_size=30),
    st.floats(-20.0, 0.0),
    st.integers(1, 4),
    st.sampled_from([0.0, 0.5, 1.0, 2.5]),
    st.sampled_from([0.0, 2.0, 6.0]),
    st.sampled_from([None, 2.0, 9.0]),
    st.sampled_from([None, 0.75, 2.0]),
)  # fmt: skip
def test_success_latches_exactly_below_the_latch_level(
    readings, threshold, window, hold, duration, end, step
):
    settings = SuccessSettings(threshold, window, hold, duration, end, step)
    log_probs = [log_prob for log_prob, *_ in readings]
    times = [sum(gap for _, gap, _ in readings[: k + 1]) for k in range(len(readings))]
    seen = [here for *_, here in readings]

    def judge(detector):
        given = zip(log_probs, times, seen, strict=True)
        return [detector.update(log_prob, time, seen=here) for log_prob, time, here in given]

    states = judge(SuccessDetector(settings))
    level = latch_level(log_probs, times, settings, seen)
    assert (level > threshold) == (states[-1].success if states else False)
    if math.isfinite(level):
        at_level = SuccessDetector(replace(settings, threshold=min(level, 0.0)))
        below = SuccessDetector(replace(settings, threshold=min(level - 1e-6, 0.0)))
        assert not judge(at_level)[-1].success
        assert judge(below)[-1].success


def test_a_level_wants_one_time_per_log_prob():
    with pytest.raises(SuccessError, match="2 log-probs do not go with 1 times"):
        latch_level([-1.0, -2.0], [0.0], SuccessSettings())
