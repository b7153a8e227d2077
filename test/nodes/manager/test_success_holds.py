"""Success ends an episode only while it is true: a latched flag alone stops no robot."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from manager_stack import TASK, managed
from reward_stack import ros, write_checkpoint

THRESHOLD, LOW, HIGH = -4.0, -9.0, -1.0
MIN_DURATION = 12.0


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
