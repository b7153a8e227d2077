"""Rules of progress: after an episode, with a calibration, and while it runs."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.progress import (
    CalibratedProgress,
    ProgressError,
    RunningProgress,
    episode_progress,
    prefix_lengths,
)

log_prob = st.floats(min_value=-60.0, max_value=0.0)
any_value = st.one_of(log_prob, st.sampled_from([math.nan, math.inf, -math.inf]))


def test_an_episode_runs_from_zero_at_its_minimum_to_one_at_its_maximum():
    progress = episode_progress([-4.0, -8.0, -6.0, 0.0])
    np.testing.assert_allclose(progress.values, [0.5, 0.0, 0.25, 1.0], atol=1e-8)
    assert not progress.degenerate


def test_epsilon_stays_in_the_quotient():
    assert episode_progress([-1.0, 0.0]).values[1] == 1.0 / (1.0 + 1e-8) < 1.0


@pytest.mark.parametrize("curve", [[-3.0] * 5, [-3.0], [0.0], [-3.0, -3.0 + 1e-9]])
def test_a_constant_curve_or_a_single_sample_is_no_progress_rather_than_full_progress(curve):
    progress = episode_progress(curve)
    assert progress.degenerate
    np.testing.assert_array_equal(progress.values, np.zeros(len(curve)))


def test_an_unknown_sample_stays_unknown_and_leaves_the_others_as_they_are():
    with_gap = episode_progress([-4.0, math.nan, -2.0, math.inf])
    np.testing.assert_allclose(with_gap.values, [0.0, math.nan, 1.0, math.nan], atol=1e-8)
    assert episode_progress([math.nan, math.nan]).degenerate


def test_minus_infinity_is_no_progress_and_does_not_flatten_the_rest():
    values = episode_progress([-math.inf, -4.0, -3.0, -2.0]).values
    np.testing.assert_allclose(values, [0.0, 0.0, 0.5, 1.0], atol=1e-8)


@pytest.mark.parametrize("curve", [[], [[-1.0, -2.0]], -1.0])
def test_a_curve_that_is_not_one_value_per_prefix_is_refused(curve):
    with pytest.raises(ProgressError, match="one value per prefix"):
        episode_progress(curve)


@given(st.lists(log_prob, min_size=2), st.floats(0.5, 20.0), st.floats(-10.0, 10.0))
def test_episode_progress_does_not_depend_on_scale_or_offset(curve, scale, offset):
    values = np.array(curve)
    progress, moved = episode_progress(values), episode_progress(values * scale + offset)
    if np.ptp(values) > 1e-3:
        np.testing.assert_allclose(moved.values, progress.values, atol=1e-4)


@given(st.lists(any_value, min_size=1))
def test_episode_progress_lies_in_its_bounds_and_keeps_the_order(curve):
    values = episode_progress(curve).values
    known = ~np.isnan(values)
    assert np.all((values[known] >= 0.0) & (values[known] <= 1.0))
    order = np.argsort(np.array(curve)[known], kind="stable")
    assert np.all(np.diff(values[known][order]) >= 0.0)


def test_prefixes_are_the_authors_fifteen_uniformly_spaced_ones():
    lengths = prefix_lengths(29)
    np.testing.assert_array_equal(lengths, np.arange(1, 30, 2))
    assert len(lengths) == 15
    # 1 + 19 / 14 k, rounded to the nearest frame.
    rounded = [1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 15, 16, 17, 19, 20]
    np.testing.assert_array_equal(prefix_lengths(20), rounded)


@given(st.integers(1, 2000), st.integers(1, 60))
def test_prefixes_are_distinct_and_end_with_the_whole_episode(frames, count):
    lengths = prefix_lengths(frames, count)
    assert len(lengths) == min(frames, count)
    assert lengths[-1] == frames
    assert lengths[0] >= 1
    assert np.all(np.diff(lengths) >= 1)
    if len(lengths) > 1:
        assert np.ptp(np.diff(lengths)) <= 1


@pytest.mark.parametrize(("frames", "count"), [(0, 15), (10, 0), (-1, -1)])
def test_prefixes_of_nothing_are_refused(frames, count):
    with pytest.raises(ProgressError, match="at least 1"):
        prefix_lengths(frames, count)


def test_calibrated_progress_is_the_clipped_fraction_between_floor_and_ceiling():
    progress = CalibratedProgress(floor=-9.0, ceiling=-1.0)
    assert [progress.update(value) for value in (-20.0, -9.0, -5.0, -1.0, -0.1)] == [
        0.0,
        0.0,
        0.5,
        1.0,
        1.0,
    ]
    assert progress.source == "calibrated"


@pytest.mark.parametrize(
    ("floor", "ceiling"), [(-1.0, -1.0), (-1.0, -9.0), (math.nan, -1.0), (-math.inf, -1.0)]
)
def test_a_calibrated_range_that_is_empty_or_not_finite_is_refused(floor, ceiling):
    with pytest.raises(ProgressError, match="floor"):
        CalibratedProgress(floor, ceiling)


def test_running_progress_against_a_hand_computed_episode():
    running = RunningProgress(ceiling_hint=-2.0)
    # floor: -6, -6, -10, -10, -10; ceiling: -2 until -1 exceeds it.
    values = [running.update(value) for value in (-6.0, -4.0, -10.0, -1.0, -2.0)]
    assert values == pytest.approx([0.0, 0.5, 0.0, 1.0, 8.0 / 9.0])
    assert running.source == "running"


@given(log_prob, st.one_of(st.none(), log_prob))
def test_the_first_sample_is_never_progress(value, hint):
    assert RunningProgress(hint).update(value) == 0.0


@given(log_prob, st.integers(2, 20), st.one_of(st.none(), log_prob))
def test_a_constant_window_is_never_progress(value, count, hint):
    running = RunningProgress(hint)
    assert [running.update(value) for _ in range(count)] == [0.0] * count


@given(st.lists(st.floats(-60.0, -1.0), min_size=1), st.floats(-0.9, 0.0))
def test_a_new_maximum_below_the_threshold_is_not_full_progress(curve, threshold):
    for hint in (threshold, None):
        running = RunningProgress(hint)
        assert all(running.update(value) < 1.0 for value in curve)


@given(st.lists(any_value), any_value)
def test_the_past_does_not_change_when_a_new_value_arrives(curve, new):
    first, second = RunningProgress(-1.0), RunningProgress(-1.0)
    before = [first.update(value) for value in curve]
    after = [second.update(value) for value in [*curve, new]]
    np.testing.assert_array_equal(after[:-1], before)


@given(st.lists(any_value), st.one_of(st.none(), log_prob))
def test_running_progress_lies_in_its_bounds_and_is_unknown_only_where_the_log_prob_is(curve, hint):
    running = RunningProgress(hint)
    for value in curve:
        progress = running.update(value)
        assert math.isnan(progress) == (math.isnan(value) or value == math.inf)
        assert math.isnan(progress) or 0.0 <= progress <= 1.0


def test_an_infinite_or_unknown_value_does_not_move_the_running_range():
    running = RunningProgress(ceiling_hint=0.0)
    values = [running.update(value) for value in (-8.0, -math.inf, math.nan, math.inf, -4.0)]
    np.testing.assert_array_equal(values, [0.0, 0.0, math.nan, math.nan, 0.5])


@pytest.mark.parametrize("hint", [math.nan, math.inf, -math.inf])
def test_a_ceiling_hint_that_is_not_a_number_of_nats_is_refused(hint):
    with pytest.raises(ProgressError, match="hint"):
        RunningProgress(hint)
