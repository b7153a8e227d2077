"""Success ends an episode only while it is true: a latched flag alone stops no robot."""

from __future__ import annotations

import math

import pytest
from manager_stack import TASK, managed
from reward_stack import ros, write_checkpoint

from topreward_msgs.msg import RewardStamped
from topreward_ros.nodes.manager.success_claim import SuccessClaim

THRESHOLD = -0.5
HIGH, LOW = -0.1, -9.0
MIN_DURATION = 10.0


def take(claim: SuccessClaim, scores: list[float], latched: int, first: int = 0) -> list[bool]:
    """Gives readings of 2 Hz, whose flag is latched from reading `latched` on."""
    return [
        claim.take(
            RewardStamped(
                index=index,
                episode_time=index / 2,
                success_score=score,
                success_threshold=THRESHOLD,
                success=index >= latched,
            )
        )
        for index, score in enumerate(scores, start=first)
    ]


def test_a_success_that_holds_is_true_from_the_reading_that_claims_it():
    assert take(SuccessClaim(), [LOW, HIGH, HIGH, HIGH, HIGH], 3) == [False] * 3 + [True] * 2


def test_a_success_that_fell_is_true_again_only_after_the_hold():
    scores = [HIGH, HIGH, HIGH, LOW, math.nan, HIGH, HIGH, HIGH, LOW]
    says = take(SuccessClaim(), scores, 2)
    assert says == [False, False, True, False, False, False, False, True, False]
    says = take(SuccessClaim(hold=0.0), scores, 2)
    assert says == [False, False, True, False, False, True, True, True, False]


def test_what_was_latched_before_the_first_reading_that_was_heard_needs_the_hold():
    assert take(SuccessClaim(), [HIGH] * 4, 2, first=7) == [False, False, True, True]


def test_a_missed_reading_may_have_been_a_low_one():
    claim = SuccessClaim()
    assert take(claim, [HIGH, HIGH, HIGH], 2) == [False, False, True]
    assert take(claim, [HIGH, HIGH, HIGH], 2, first=4) == [False, False, True]


def curve(time: float) -> float:
    """Rises early, falls, and rises again after the minimum duration."""
    return LOW if 6.0 <= time < 14.0 else HIGH


@pytest.mark.parametrize("hold", [1.0, 3.0])
def test_a_success_that_fell_before_the_minimum_duration_stops_nothing(tmp_path, hold, monkeypatch):
    model = write_checkpoint(tmp_path / "tiny")
    settings = {"success_threshold": THRESHOLD, "success_hold": hold, "success_window": 1}
    with ros(), managed(model, instruction=TASK, **settings) as lab:
        scorer = lab.reward_node.runner.equipment.scorer
        start = scorer.start

        def scripted():
            session, stamps = start(), []
            append = session.append

            def note(frame, stamp):
                stamps.append(stamp)
                append(frame, stamp)

            session.append = note
            session.log_prob = lambda _: curve(stamps[-1])
            return session

        monkeypatch.setattr(scorer, "start", scripted)
        _, result = lab.run_one(min_duration=MIN_DURATION, time_limit=60.0)
        assert result.termination_reason == "success"
        lab.wait(lambda: len(lab.feedback) == result.readings)
    assert any(r.success and r.episode_time < MIN_DURATION for r in lab.feedback)
    *before, last = lab.feedback
    assert last.episode_time >= 14.0 + hold - 1e-3
    assert all(not (r.episode_time >= 14.0 + hold + 1e-3) for r in before)
    assert last.success_score > THRESHOLD
    assert f"{last.success_score:.2f} nat stayed above" in result.detail
