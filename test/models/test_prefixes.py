"""Prefixes scored together have the numbers that a session gives one after the other."""

from __future__ import annotations

import numpy as np
import pytest
from test_streaming import SIZE, TASKS, TOLERANCE, episode, load, prefixes

from topreward_ros.models.checkpoints.loading import score_prefixes
from topreward_ros.models.streaming import prefixes as prefixes_module


def test_all_prefixes_equal_the_session(small):
    scorer = load(small)
    expected = prefixes(scorer, 12, TASKS[:1])[:, 0]
    actual = score_prefixes(scorer, *episode(12), TASKS[0], range(1, 13))
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_float64_prefixes_equal_the_session_to_the_last_digits(small):
    scorer = load(small, dtype="float64")
    expected = prefixes(scorer, 9, TASKS[:1])[:, 0]
    actual = score_prefixes(scorer, *episode(9), TASKS[0], range(1, 10))
    assert np.abs(actual - expected).max() <= TOLERANCE["float64"]


def test_prefixes_come_back_in_the_order_they_were_asked_for(small):
    scorer = load(small)
    expected = prefixes(scorer, 9, TASKS[:1])[:, 0]
    actual = score_prefixes(scorer, *episode(9), TASKS[0], [9, 2, 5, 2])
    assert np.abs(actual - expected[[8, 1, 4, 1]]).max() <= TOLERANCE["float32"]


@pytest.mark.parametrize(
    ("limit", "value"),
    [("MASK_ELEMENTS", 12_000), ("QUESTION_STEP_TOKENS", 150), ("VIDEO_STEP_TOKENS", 30)],
)
def test_a_smaller_step_means_more_steps_and_the_same_numbers(small, monkeypatch, limit, value):
    scorer = load(small)
    hidden, steps = scorer.backbone.hidden, []
    monkeypatch.setattr(
        scorer.backbone, "hidden", lambda *given: steps.append(given) or hidden(*given)
    )
    expected = score_prefixes(scorer, *episode(12), TASKS[0], range(1, 13))
    usual = len(steps)
    monkeypatch.setattr(prefixes_module, limit, value)
    actual = score_prefixes(scorer, *episode(12), TASKS[0], range(1, 13))
    assert len(steps) > 2 * usual + 1
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_a_video_that_must_be_thinned_is_scored_as_the_session_scores_it(small):
    scorer = load(small, max_pairs=4)
    expected = prefixes(scorer, 21, TASKS[:1])[:, 0]
    actual = score_prefixes(scorer, *episode(21), TASKS[0], range(1, 22))
    assert np.abs(actual - expected).max() <= TOLERANCE["float32"]


def test_a_prefix_that_sees_one_pair_too_many_is_noticed(small, monkeypatch):
    scorer = load(small)
    expected = score_prefixes(scorer, *episode(8), TASKS[0], [2, 4, 6])
    branch = prefixes_module.Branch
    monkeypatch.setattr(prefixes_module, "Branch", lambda length, sees: branch(length, sees + 10))
    actual = score_prefixes(scorer, *episode(8), TASKS[0], [2, 4, 6])
    assert np.abs(actual - expected).max() > 1e-3


@pytest.mark.parametrize("lengths", [[0], [9], [-1, 3]])
def test_a_prefix_that_the_video_does_not_have_is_refused(small, lengths):
    with pytest.raises(ValueError, match="1 to 8 frames"):
        score_prefixes(load(small), *episode(8), TASKS[0], lengths)


def test_no_prefixes_give_no_numbers(small):
    assert score_prefixes(load(small), *episode(3), TASKS[0], []).shape == (0,)


def test_frames_have_the_size_that_was_set(small):
    assert load(small).frame_size == SIZE
