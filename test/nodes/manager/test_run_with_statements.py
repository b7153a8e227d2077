"""A goal brings statements of its own; a failure that holds ends the episode as one."""

from __future__ import annotations

import math

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from calibration_files import write_calibration
from manager_stack import NEVER, TASK, managed, succeeded

from topreward_msgs.action import RunEpisode
from topreward_msgs.srv import StartEpisode

HELD = "-999"
"""nat; a threshold that a random model's log-probs exceed: held after hold and least duration."""
GRASP = f"grasp | stage | {HELD} | the gripper holds the red cube"
REACH = "reach | stage | the gripper is at the red cube"
PLACE = "place | stage | the red cube lies on the disc"
FLOOR = "the red cube lies on the floor"
DROPPED = f"dropped | failure | {FLOOR}"
FREE = f"dropped | failure | {HELD} | the red cube lies under the table"
ACTIONS = {
    "stop_actions": ["arm", "other"],
    "arm.type": "trigger",
    "arm.target": "/statements/arm",
    "arm.when": ["failure"],
    "other.type": "trigger",
    "other.target": "/statements/other",
    "other.when": ["success", "timeout"],
}
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture(scope="module")
def shared(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrations") / "it.yaml"
    file = write_calibration(
        model, path, ["something else", FLOOR], threshold=float(HELD), longest_failure=900.0
    )
    settings = {
        "success_threshold": NEVER, "frozen_check": False, "statements": [PLACE],
        "calibration_file": file,
    }  # fmt: skip
    with managed(model, instruction=TASK, manager=ACTIONS, **settings) as stack:
        stack.robot.trigger("/statements/arm")
        stack.robot.trigger("/statements/other")
        yield stack


@pytest.fixture
def lab(shared):
    shared.wait(lambda: not shared.manager.control.busy)
    shared.robot.calls.clear()
    shared.linger(0.1)
    shared.told.clear()
    shared.feedback.clear()
    return shared


def run(lab, *statements: str, time_limit: float = 600.0):
    sent = lab.action.send_goal_async(
        RunEpisode.Goal(
            instruction=TASK, time_limit=time_limit, min_duration=-1.0, statements=statements
        ),
        feedback_callback=lambda message: lab.feedback.append(message.feedback.reading),
    )
    lab.wait(sent.done)
    return lab.result(sent.result())


def own(lab) -> list[str]:
    return list(lab.reward_node.get_parameter("statements").value)


def left(lab) -> list[str]:
    return list(lab.reward_node.get_parameter("episode_statements").value)


def test_a_failure_that_holds_ends_the_episode_as_failure_and_says_which(lab):
    status, result = run(lab, GRASP, DROPPED)
    assert succeeded(status)
    assert (result.termination_reason, result.outcome) == ("failure", "failure")
    assert result.detail.startswith("The failure 'dropped' holds, \"the red cube lies on the floor")
    assert result.stop_actions_done
    stopped = lab.await_event("stopped", result.episode_id)
    assert (stopped.termination_reason, stopped.outcome) == ("failure", "failure")
    assert stopped.detail == result.detail
    lab.wait(lambda: lab.happened("stop_action", result.episode_id))
    assert lab.robot.calls == [("/statements/arm", None)]
    assert lab.truncated_flags[-1] is False


def test_feedback_and_result_tell_the_running_stage_and_how_far_it_is(lab):
    _, result = run(lab, GRASP, PLACE, time_limit=12.0)
    assert result.termination_reason == "timeout"
    stages = [reading.stage for reading in lab.feedback]
    assert stages == sorted(stages) and {"grasp", "place"} == set(stages)
    assert result.stage == "place" and 0.0 <= result.stage_progress <= 1.0
    assert result.stage_progress == lab.feedback[-1].stage_progress


def test_the_next_episode_has_the_reward_nodes_own_statements_again(lab):
    _, result = run(lab, REACH, time_limit=3.0)
    assert result.stage == "reach" and own(lab) == [PLACE] and left(lab) == [""]
    _, result = run(lab, time_limit=3.0)
    assert result.stage == "place" and own(lab) == [PLACE]
    assert not lab.happened("changed")


def test_without_a_calibrated_threshold_a_failure_ends_nothing(lab):
    _, result = run(lab, FREE, time_limit=12.0)
    assert (result.termination_reason, result.stage) == ("timeout", "")
    assert math.isnan(result.stage_progress)
    assert not lab.happened("fault") and lab.robot.calls == [("/statements/other", None)]


def test_a_stage_out_of_order_is_told_by_the_manager_too(lab):
    later = PLACE.replace("stage |", f"stage | {HELD} |")
    _, result = run(lab, GRASP.replace(HELD, "-0.001"), later, time_limit=12.0)
    (told,) = lab.happened("stage", result.episode_id)
    assert "'place' has held before 'grasp'" in told.detail
    assert result.stage == "grasp"


@pytest.mark.parametrize("entries", [["nothing"], [GRASP, GRASP], ["a | goal | go"]])
def test_a_goal_with_statements_that_cannot_be_asked_is_rejected(lab, entries, capfd):
    sent = lab.action.send_goal_async(RunEpisode.Goal(instruction=TASK, statements=entries))
    lab.wait(sent.done)
    assert not sent.result().accepted
    lab.linger(0.1)
    assert "A goal is rejected: " in capfd.readouterr().err


def begun(lab, *statements: str):
    return lab.ask(StartEpisode, instruction=TASK, min_duration=-1.0, statements=statements)


def test_an_episode_that_is_started_by_hand_brings_its_own_too(lab):
    answer = begun(lab, REACH)
    assert answer.success
    lab.wait(lambda: lab.readings and lab.readings[-1].episode_id == answer.episode_id)
    assert lab.readings[-1].stage == "reach"
    assert lab.stop_it().success
    assert not begun(lab, "nothing").success
    assert own(lab) == [PLACE] and left(lab) == [""]


def test_what_a_start_that_was_given_up_has_left_is_not_of_the_next_episode(lab):
    lab.set(episode_statements=[GRASP])
    _, result = run(lab, time_limit=3.0)
    assert result.stage == "place"
