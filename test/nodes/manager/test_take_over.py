"""An episode that ran before the manager heard of it, and clocks that do not agree."""

from __future__ import annotations

import time

import pytest
from manager_stack import TASK, managed

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.manager.reward_events import standing_faults, unended

pytestmark = pytest.mark.usefixtures("context")


def left_alone(lab) -> float:
    """Ends the manager and starts an episode; returns when that was, s of the monotonic clock."""
    lab.end_manager()
    assert lab.change("activate")
    lab.wait(lambda: lab.named("started"))
    lab.told.clear()
    return time.monotonic()


def test_an_episode_that_is_taken_over_has_a_time_limit_and_its_whole_duration(model):
    with managed(model, instruction=TASK, manager={"time_limit": 30.0}) as lab:
        started = left_alone(lab)
        lab.wait(lambda: time.monotonic() - started > 2.0)
        lab.start_manager()
        taken = lab.await_event("recovered")
        assert taken.duration >= 2.0
        ended = lab.await_event("stopped", taken.episode_id)
        assert (ended.termination_reason, ended.outcome) == ("timeout", "failure")
        assert taken.duration <= ended.duration <= time.monotonic() - started + 1.0


def test_without_any_picture_an_episode_that_is_taken_over_ends_at_its_limit_too(model):
    manager = {"time_limit": 1.0, "camera_patience": 60.0}
    with managed(model, instruction=TASK, manager=manager) as lab:
        lab.film.silent.add(lab.topics[0])
        left_alone(lab)
        lab.start_manager()
        assert lab.await_event("stopped").termination_reason == "timeout"


def test_a_start_in_the_future_of_the_managers_clock_is_now(model, monkeypatch):
    from topreward_ros.nodes.manager.episode_manager import EpisodeManager

    with managed(model, instruction=TASK) as lab:
        left_alone(lab)
        monkeypatch.setattr(EpisodeManager, "_age", lambda *_: -3600.0)
        lab.start_manager()
        assert 0.0 <= lab.await_event("recovered").duration < 60.0


@pytest.mark.parametrize("back", [False, True], ids=["lost", "back"])
def test_a_camera_that_was_lost_before_the_manager_came_still_counts(model, back):
    manager = {"camera_patience": 1.0}
    with managed(model, instruction=TASK, camera_timeout=1.5, manager=manager) as lab:
        left_alone(lab)
        lab.wait(lambda: lab.readings)
        lab.film.silent.add(lab.topics[0])
        lab.wait(lambda: lab.named("fault"))
        if back:
            lab.film.silent.clear()
            lab.wait(lambda: lab.named("recovered"))
        lab.start_manager()
        taken = lab.await_event("recovered")
        if back:
            lab.linger(2.0)
            assert lab.manager.running() == taken.episode_id and not lab.happened("fault")
        else:
            assert lab.await_event("stopped").termination_reason == "camera_lost"
            assert lab.topics[0] in lab.happened("fault", taken.episode_id)[0].detail


def test_a_clock_that_is_an_hour_ahead_makes_no_manager_deaf(model, monkeypatch):
    with managed(model, instruction=TASK) as lab:
        lab.end_manager()
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() + 3600 * 10**9)
        lab.start_manager()
        lab.ready()
        answer = lab.begin()
        assert answer.success, answer.message
        lab.wait(lambda: lab.readings)
        assert lab.stop_it().success
        lab.wait(lambda: len(lab.told) == 2)
        assert lab.stories() == {answer.episode_id: ["started", "stopped"]}


def told(*story: str) -> list[EpisodeEvent]:
    """Events as `<event> <episode>`."""
    pairs = [one.split() for one in story]
    return [EpisodeEvent(event=event, episode_id=episode) for event, episode in pairs]


def test_what_is_told_of_an_episode_that_has_not_ended_is_found():
    assert unended([]) == unended(told("started a", "stopped a")) == []
    history = told("started a", "stopped a", "started b", "fault b", "recovered b", "fault b")
    assert unended(history) == history[2:]
    assert unended(history[3:]) == history[3:]  # of a long story only the last events are kept
    assert unended([*history, EpisodeEvent(event="fault")]) == history[2:]
    assert standing_faults(history) == history[-1:]
    assert standing_faults(history[:5]) == []
