"""A stalled episode is told of, and ended where `end_on` says so; nothing else ends by it."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from manager_stack import NEVER, TASK, managed, succeeded
from rclpy.parameter import Parameter

ACTIONS = {
    "stop_actions": ["arm", "other"],
    "arm.type": "trigger",
    "arm.target": "/stall/arm",
    "arm.when": ["stalled", "standstill"],
    "other.type": "trigger",
    "other.target": "/stall/other",
    "other.when": ["regressed", "success"],
}
STALLS = {"stall_time": 3.0, "stall_min_progress": 0.5}
"""A random model's log-probs lie near each other: far from half the way up to 0."""
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def shared(model):
    settings = {"success_threshold": NEVER, "frozen_check": False, **STALLS}
    with managed(model, instruction=TASK, manager=ACTIONS, **settings) as stack:
        stack.robot.trigger("/stall/arm")
        stack.robot.trigger("/stall/other")
        yield stack


@pytest.fixture
def lab(shared):
    shared.wait(lambda: not shared.manager.control.busy)
    shared.film.still.clear()
    shared.tune(end_on=[""])
    shared.robot.calls.clear()
    shared.linger(0.1)
    shared.told.clear()
    return shared


def test_a_stall_is_told_once_and_ends_nothing_by_default(lab):
    _, result = lab.run_one(time_limit=12.0)
    assert (result.termination_reason, result.outcome) == ("timeout", "failure")
    (fault,) = lab.happened("fault", result.episode_id)
    assert fault.termination_reason == "stalled" and "(running, " in fault.detail
    assert not lab.robot.calls


@pytest.mark.parametrize("reason", ["stalled", "standstill"])
def test_it_ends_the_episode_where_that_is_said_and_runs_the_actions_that_name_it(lab, reason):
    lab.tune(end_on=[reason])
    if reason == "standstill":
        lab.film.still.add(lab.topics[0])
    status, result = lab.run_one(time_limit=600.0)
    assert succeeded(status)
    assert (result.termination_reason, result.outcome) == (reason, "unlabelled")
    assert result.stop_actions_done
    lab.wait(lambda: lab.happened("stop_action", result.episode_id))
    assert lab.robot.calls == [("/stall/arm", None)]
    told = [event.event for event in lab.told if event.episode_id == result.episode_id]
    assert told == ["started", "fault", "stopped", "stop_action"]
    fault, stopped = lab.happened("fault")[0], lab.happened("stopped")[0]
    assert stopped.termination_reason == reason and stopped.detail == fault.detail
    assert result.duration < 600.0
    lab.wait(lambda: lab.state() == "inactive")


def test_an_end_by_another_of_them_is_not_asked_for(lab):
    lab.tune(end_on=["regressed", "standstill"])
    _, result = lab.run_one(time_limit=12.0)
    assert result.termination_reason == "timeout"
    assert [e.termination_reason for e in lab.happened("fault")] == ["stalled"]


@pytest.mark.parametrize("value", [["timeout"], ["stalled", "stuck"], ["camera_lost"]])
def test_nothing_else_can_be_named(lab, value):
    (answer,) = lab.manager.set_parameters([Parameter("end_on", value=value)])
    assert not answer.successful
    assert "expected reasons among stalled, standstill, regressed" in answer.reason


def test_a_manager_that_comes_later_ends_what_has_stalled_before(lab):
    lab.end_manager()
    try:
        assert lab.change("activate")
        lab.wait(lambda: any(e.termination_reason == "stalled" for e in lab.events[-1:]))
    finally:
        lab._manager_parameters = {**ACTIONS, "end_on": ["stalled"]}
        lab.start_manager()
    episode = lab.events[-1].episode_id
    assert lab.await_event("stopped", episode).termination_reason == "stalled"
    lab.wait(lambda: lab.robot.calls == [("/stall/arm", None)])
