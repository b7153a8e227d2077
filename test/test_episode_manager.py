"""The manager over a real reward node and DDS: how episodes start, are watched, and end."""

from __future__ import annotations

import math

import pytest
from action_msgs.msg import GoalStatus
from manager_stack import ALWAYS, NEVER, TASK, managed, succeeded
from reward_stack import ros, write_checkpoint
from std_srvs.srv import Trigger
from topreward_msgs.msg import EpisodeEvent

OTHER_TASK = "open the drawer"


@pytest.fixture(scope="module", autouse=True)
def context():
    with ros():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("models") / "tiny")


def test_a_goal_ends_with_success_after_hold_and_minimum_duration(model):
    with managed(model, success_threshold=ALWAYS) as lab:
        status, result = lab.run_one(min_duration=4.0)
        assert succeeded(status)
        assert (result.termination_reason, result.outcome) == ("success", "success")
        assert lab.feedback[-1].episode_time >= 4.0 - 1e-3
        assert all(r.episode_id == result.episode_id for r in lab.feedback)
        assert len(lab.feedback) == result.readings
        assert result.log_prob == lab.feedback[-1].log_prob
        assert result.stop_actions_done


def test_an_episode_without_success_ends_at_its_time_limit_as_failure(model):
    with managed(model, success_threshold=NEVER) as lab:
        status, result = lab.run_one(time_limit=3.0)
        assert succeeded(status)
        assert (result.termination_reason, result.outcome) == ("timeout", "failure")
        lab.wait(lambda: lab.done_flags == [False, True])
