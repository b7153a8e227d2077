"""Rules of the dense reward."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.reward import DenseReward, RewardForm, dense_rewards

progress = st.floats(0.0, 1.0)


def test_the_difference_form_is_the_change_of_progress():
    rewards = dense_rewards([0.1, 0.4, 0.3], RewardForm.DIFFERENCE)
    np.testing.assert_allclose(rewards, [0.0, 0.3, -0.1])


def test_the_paper_form_is_the_clipped_exponential_of_the_change():
    rewards = dense_rewards([0.0, 0.5, 0.0, 1.0, 0.0])
    expected = [2.0, 2.0, 2.0 * math.exp(-0.5), 2.0, 2.0 * math.exp(-1.0)]
    np.testing.assert_allclose(rewards, expected)


def test_other_constants_of_the_paper_form_show_more_than_one_bit():
    reward = DenseReward(RewardForm.EXP_CLIP, tau=1.0, delta_max=2.0)
    values = [reward.step(value) for value in (0.0, 0.25, 0.75, 0.75)]
    np.testing.assert_allclose(values, [1.0, math.exp(0.25), math.exp(0.5), 1.0])


@given(st.lists(progress, min_size=1))
def test_differences_sum_to_the_progress_made(curve):
    total = dense_rewards(curve, "difference").sum()
    assert total == pytest.approx(curve[-1] - curve[0], abs=1e-9)


@given(st.lists(st.one_of(progress, st.just(math.nan))))
def test_unknown_progress_gives_an_unknown_reward_and_loses_nothing(curve):
    rewards = dense_rewards(curve, "difference")
    np.testing.assert_array_equal(np.isnan(rewards), np.isnan(np.array(curve, dtype=float)))
    known = [value for value in curve if not math.isnan(value)]
    if known:
        assert np.nansum(rewards) == pytest.approx(known[-1] - known[0], abs=1e-9)


@given(st.lists(progress, min_size=1))
def test_the_paper_form_stays_in_its_bounds_and_clips_every_step_that_does_not_go_back(curve):
    rewards = dense_rewards(curve, "exp_clip")
    assert np.all((rewards >= 2.0 * math.exp(-1.0)) & (rewards <= 2.0))
    assert np.all(rewards[1:][np.diff(curve) >= 0.0] == 2.0)


@given(st.lists(progress), st.sampled_from(list(RewardForm)))
def test_the_stream_and_the_whole_episode_give_the_same_numbers(curve, form):
    reward = DenseReward(form)
    np.testing.assert_array_equal(
        [reward.step(value) for value in curve], dense_rewards(curve, form)
    )


def test_an_unknown_form_is_refused_with_the_names_of_the_known_ones():
    with pytest.raises(ValueError, match="difference, exp_clip"):
        DenseReward("exponential")


@pytest.mark.parametrize("constants", [{"tau": 0.0}, {"delta_max": -1.0}, {"tau": math.nan}])
def test_constants_that_are_not_positive_are_refused(constants):
    with pytest.raises(ValueError, match="positive"):
        DenseReward(RewardForm.EXP_CLIP, **constants)
