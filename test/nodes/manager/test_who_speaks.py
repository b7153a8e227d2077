"""The graph is open: what anyone may do to an episode, and what is said of it."""

from __future__ import annotations

import math

import pytest
from manager_stack import ALWAYS, NEVER, TASK, managed
from rclpy.node import Node

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_msgs.srv import StopEpisode
from topreward_ros.nodes.messages import latched

pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def shared(model):
    with managed(model, success_threshold=NEVER) as made:
        yield made


@pytest.fixture
def lab(shared):
    """The shared stack at rest, without success."""
    if shared.manager.control.current is not None:
        shared.stop_it()
    shared.wait(lambda: not shared.manager.control.busy)
    shared.set(success_threshold=NEVER)
    shared.told.clear()
    shared.events.clear()
    return shared


@pytest.fixture
def stranger(lab):
    """Another node in the tester's process."""
    node = Node("stranger", context=lab.node.context, use_global_arguments=False)
    yield node
    node.destroy_node()


def begun(lab):
    """A goal whose episode has readings; returns its handle and the episode."""
    handle = lab.goal(TASK)
    lab.wait(lambda: lab.manager.control.current is not None)
    episode = lab.manager.control.current
    lab.wait(lambda: episode.readings > 2)
    return handle, episode


def forged(episode) -> RewardStamped:
    """The success that the model has not claimed, as the next reading of the episode."""
    return RewardStamped(
        episode_id=episode.episode_id,
        instruction=episode.instruction,
        index=episode.readings,
        episode_time=episode.last.episode_time + 1.0,
        log_prob=-0.1,
        success_score=-0.1,
        success_threshold=-5.0,
        success=True,
    )


def faults_of(lab, words: str) -> list[EpisodeEvent]:
    return [event for event in lab.happened(EpisodeEvent.FAULT) if words in event.detail]


def test_a_strangers_reading_is_no_success_and_its_publisher_a_fault_said_once(lab, stranger):
    handle, episode = begun(lab)
    publisher = stranger.create_publisher(RewardStamped, f"{lab._name}/reading", 10)
    lab.wait(lambda: publisher.get_subscription_count() >= 2)
    for _ in range(5):
        publisher.publish(forged(episode))
        lab.linger(0.05)
    _, result = lab.result(handle)
    assert (result.termination_reason, result.outcome) == ("model_error", "unlabelled")
    assert "/stranger" in result.detail and "reading" in result.detail
    lab.linger(1.5)
    assert len(faults_of(lab, "/stranger")) == 1
    refused = lab.begin(TASK)
    assert not refused.success and "/stranger" in refused.message
    stranger.destroy_publisher(publisher)
    lab.wait(lambda: any("alone" in e.detail for e in lab.happened(EpisodeEvent.RECOVERED)))
    assert lab.begin(TASK).success


def test_a_strangers_event_ends_and_begins_nothing(lab, stranger):
    _, episode = begun(lab)
    publisher = stranger.create_publisher(EpisodeEvent, f"{lab._name}/event", latched(10))
    publisher.publish(
        EpisodeEvent(event=EpisodeEvent.STARTED, episode_id="theirs", instruction="do harm")
    )
    lab.wait(lambda: episode.finished.done())
    assert (episode.reason, episode.outcome) == ("model_error", "unlabelled")
    assert "/stranger" in episode.detail
    lab.linger(1.0)
    assert "theirs" not in lab.stories()
    assert len(faults_of(lab, "/stranger")) == 1
    stranger.destroy_publisher(publisher)
    lab.wait(lambda: any("alone" in e.detail for e in lab.happened(EpisodeEvent.RECOVERED)))


def test_a_threshold_set_in_mid_episode_waits_for_the_next_one_and_is_told(lab):
    _, episode = begun(lab)
    assert not lab.set(success_threshold=ALWAYS)
    told = lab.await_event(EpisodeEvent.CHANGED, episode.episode_id)
    assert told.detail == (
        "success_threshold was set to -1000.0 while the episode runs; it keeps nan, and the next "
        "one takes -1000.0."
    )
    assert told.episode_id in {e.episode_id for e in lab.named(EpisodeEvent.CHANGED)}
    seen = episode.readings
    lab.wait(lambda: episode.readings > seen + 8)  # 4 s of camera time
    assert not episode.reason and math.isnan(episode.last.success_threshold)
    lab.stop_it()


def test_between_episodes_a_threshold_is_set_without_an_event(lab):
    assert not lab.set(success_threshold=-3.0)
    lab.linger(0.5)
    assert not lab.named(EpisodeEvent.CHANGED)


@pytest.mark.parametrize("detail", ["", "I saw it."])
def test_an_outcome_that_a_caller_gives_is_told_as_the_callers(lab, detail):
    handle, _ = begun(lab)
    lab.ask(StopEpisode, outcome=EpisodeEvent.OUTCOME_SUCCESS, detail=detail)
    _, result = lab.result(handle)
    assert (result.termination_reason, result.outcome) == ("stopped", "success")
    said = "Somebody asked for the stop and called the episode a success; the model had claimed"
    assert result.detail.startswith(f"{said} no success.")
    assert result.detail.endswith(detail)
    assert lab.await_event(EpisodeEvent.STOPPED, result.episode_id).detail == result.detail
