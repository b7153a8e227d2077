"""Starts that take a while: whatever happens meanwhile, each episode has one start and one end."""

from __future__ import annotations

import signal

import pytest
from action_msgs.msg import GoalStatus
from manager_processes import processes
from manager_stack import NEVER, TASK, managed

from topreward_msgs.srv import StartEpisode
from topreward_ros.nodes.manager.reward_client import RewardClient
from topreward_ros.nodes.manager.start import EpisodeStarter

SLOW = 2.0
"""s that the stop action takes, and with it a start that has to wait for it."""
pytestmark = pytest.mark.usefixtures("context")


def slow_end(*when: str, seconds: float = SLOW) -> dict[str, object]:
    """A stop action that costs its timeout."""
    return {
        "stop_actions": ["absent"],
        "absent.type": "trigger",
        "absent.target": "/gone/stop",
        "absent.timeout": seconds,
        "absent.retries": 0,
        "absent.when": list(when),
    }


def whole(lab) -> None:
    """Every episode that was told of has one start and one end."""

    def told() -> list[list[str]]:
        return [
            [name for name in story if name != "stop_action"] for story in lab.stories().values()
        ]

    lab.wait(lambda: all(story[-1] == "stopped" for story in told()))
    assert all(story == ["started", "stopped"] for story in told()), lab.stories()


def test_an_episode_that_the_reward_node_starts_while_another_waits_has_its_end(model):
    manager = {"manage_lifecycle": False, **slow_end("reset")}
    with managed(model, up=False, instruction=TASK, manager=manager) as lab:
        assert lab.change("configure") and lab.change("activate")
        lab.wait(lambda: lab.manager.client.state == "active")
        first = lab.begin()
        lab.wait(lambda: lab.readings and lab.readings[-1].episode_id == first.episode_id)
        asked = _ask_for_start(lab)
        lab.await_event("stopped", first.episode_id)
        lab.film.offset -= 1000.0  # the reward node goes on with another episode by itself
        lab.wait(asked.done)
        second = asked.result()
        assert second.success and lab.manager.running() == second.episode_id
        assert lab.stop_it().success
        lab.await_event("stopped", second.episode_id)
        whole(lab)
        episodes = list(lab.stories())
        assert episodes.index(second.episode_id) == episodes.index(first.episode_id) + 2


def test_a_signal_ends_a_goal_that_waits_and_one_that_starts(model):
    with managed(model, instruction=TASK, manager=slow_end("preempted")) as lab:
        first = lab.goal()
        lab.wait(lambda: lab.feedback)
        waiting, queued = lab.goal(), lab.goal()
        answers = [handle.get_result_async() for handle in (first, waiting, queued)]
        lab.await_event("stopped")
        lab.end_manager()
        lab.wait(lambda: all(answer.done() for answer in answers))
        reasons = [answer.result().result.termination_reason for answer in answers]
        assert reasons == ["preempted", "shutdown", "shutdown"]
        whole(lab)
        assert len(lab.stories()) == 1 and lab.state() == "inactive"


def test_a_signal_while_the_reward_node_starts_an_episode_ends_it_too(model, monkeypatch):
    with managed(model, instruction=TASK) as lab:
        real = RewardClient.change

        async def change(client, transition, *seconds):
            if transition == "activate":
                lab._manager_stop.ask()
                await client._waiting.pause(0.5)  # the manager has begun to go
            await real(client, transition, *seconds)

        monkeypatch.setattr(RewardClient, "change", change)
        asked = _ask_for_start(lab)
        lab.wait(lambda: not lab._manager_thread.is_alive())
        lab.end_manager()
        assert asked.done() and asked.result().success
        whole(lab)
        assert lab.await_event("stopped").termination_reason == "shutdown"
        assert lab.state() == "inactive"


@pytest.mark.parametrize("delay", [0.0, 0.3])
def test_a_signal_to_a_process_leaves_no_episode_behind(model, tmp_path, delay):
    with processes(model, tmp_path, manager=slow_end("preempted", seconds=1.0)) as lab:
        lab.goal()
        lab.wait(lambda: lab.feedback)
        lab.goal()
        lab.linger(delay)
        assert lab.end("episode_manager", signal.SIGTERM) == 0
        whole(lab)
        lab.wait(lambda: lab.state() == "inactive")


def test_refuse_holds_also_while_a_start_is_under_way(model):
    manager = {"on_second_goal": "refuse", **slow_end("reset")}
    with managed(model, instruction=TASK, manager=manager) as lab:
        lab.begin()
        asked = _ask_for_start(lab)
        lab.await_event("stopped")
        assert not lab.goal().accepted
        lab.wait(asked.done)
        assert asked.result().success
        assert not lab.happened("stopped", asked.result().episode_id)
        lab.stop_it()
        assert lab.goal(time_limit=1.0).accepted


def test_a_goal_that_is_canceled_while_it_waits_preempts_and_starts_nothing(model):
    with managed(model, instruction=TASK, manager=slow_end("reset")) as lab:
        lab.begin()
        asked = _ask_for_start(lab)  # waits for the stop action
        lab.await_event("stopped")
        handle = lab.goal()  # waits for that start
        lab.cancel(handle)
        status, result = lab.result(handle)
        assert status == GoalStatus.STATUS_CANCELED
        assert (result.termination_reason, result.episode_id) == ("canceled", "")
        lab.wait(asked.done)
        lab.linger(0.5)
        assert lab.manager.running() == asked.result().episode_id
        assert len(lab.happened("started")) == 2


def test_a_goal_that_is_canceled_while_the_stop_actions_run_starts_nothing(model):
    with managed(model, instruction=TASK, manager=slow_end("preempted")) as lab:
        lab.goal()
        lab.wait(lambda: lab.feedback)
        second = lab.goal()
        lab.await_event("stopped")
        lab.cancel(second)
        assert lab.result(second)[1].termination_reason == "canceled"
        assert len(lab.happened("started")) == 1 and not lab.manager.control.busy


def test_the_scoring_is_stopped_also_where_the_state_is_not_known(model, monkeypatch):
    with managed(model, instruction=TASK, success_threshold=NEVER) as lab:
        assert lab.begin().success
        monkeypatch.setattr(RewardClient, "up", property(lambda _: False))
        assert lab.stop_it().success
        assert lab.state() == "inactive"


def test_scoring_that_could_not_be_stopped_is_warned_of(model, monkeypatch, capfd):
    with managed(model, instruction=TASK) as lab:
        assert lab.begin().success
        monkeypatch.setattr("topreward_ros.nodes.lifecycle_client.GOALS", {"deactivate": "gone"})
        lab.reward_node.deactivate = _refuse
        lab.stop_it()
        assert "The reward node may go on scoring: " in capfd.readouterr().err


async def _refuse() -> None:
    from topreward_ros.nodes.lifecycle import TransitionRefused

    raise TransitionRefused("not now")


@pytest.mark.parametrize("instruction", [TASK, ""])
def test_a_start_that_nothing_is_told_of_is_no_missing_instruction(model, instruction, monkeypatch):
    with managed(model, instruction=TASK) as lab:
        monkeypatch.setattr(lab.reward_node._outputs, "event", lambda *_: None)
        answer = lab.begin(instruction=instruction)
        assert not answer.success and "told of no start within 2 s" in answer.message
        assert "no instruction" not in answer.message
        assert lab.state() == "inactive"


def test_readings_that_come_before_the_word_of_their_start_count(model, monkeypatch):
    word = EpisodeStarter._word

    async def late(starter, *given):
        event = await word(starter, *given)
        await starter._waiting.pause(0.5)
        return event

    monkeypatch.setattr(EpisodeStarter, "_word", late)
    with managed(model, instruction=TASK, success_threshold=NEVER) as lab:
        handle = lab.goal()
        lab.wait(lambda: len(lab.readings) > 12)
        published = len(lab.readings)
        assert lab.stop_it().success
        assert lab.result(handle)[1].readings >= published
        assert lab.feedback[0].index == 0


def _ask_for_start(lab):
    client = lab._services[StartEpisode]
    lab.wait(client.service_is_ready)
    return client.call_async(StartEpisode.Request(instruction=TASK, min_duration=-1.0))
