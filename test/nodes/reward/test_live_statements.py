"""The live node asks statements beside the task; a real client asks a scripted server."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

pytest.importorskip("openai", reason="needs the extra `apis`")

from calibration_files import write_calibration
from chat_api_server import KEY, answer, chat_api
from reward_stack import stack, write_checkpoint

from topreward_msgs.msg import Statements

TASK = "put the red cube on the disc"
GRASP = "grasp | stage | -2 | the gripper holds the red cube"
PLACE = "place | stage | -2 | the red cube lies on the disc"
DROPPED = "dropped | failure | -1.5 | the red cube lies on the floor"
SETTINGS = {
    "device": "auto",
    "prompt_form": "chat",
    "frame_size": [24, 32],
    "success_window": 1,
    "success_min_duration": 0.0,
    "motion_gate": False,
    "camera_timeout": 60.0,
}
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def script(monkeypatch):
    """Log-probs by a part of the question and number of pictures; the last one stays."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_api() as api:
        values = {"": [-4.0]}

        def log_prob(asked) -> float:
            text = " ".join(part for part in asked.parts if isinstance(part, str))
            course = next(v for key, v in reversed(values.items()) if key in text)
            return course[min(asked.pictures, len(course)) - 1]

        api.always = answer(log_prob)
        yield SimpleNamespace(values=values, model=api.openai())


@pytest.fixture
def live(script):
    with stack(script.model, statements=[GRASP, PLACE, DROPPED], **SETTINGS) as live:
        live.statements = []
        live.subscriptions.append(
            live._listen(Statements, "statements", live.statements.append, 100)
        )
        yield live


def play(live, first: int, last: int) -> list[Statements]:
    before = len(live.statements)
    live.play(first, last)
    live.wait(lambda: len(live.statements) >= before + last - first + 1)
    return live.statements[before:]


def held(message: Statements) -> list[str]:
    return [one.name for one in message.statements if one.held]


def test_each_reading_tells_all_statements_and_the_running_stage(script, live):
    script.values["the gripper holds"] = [-5.0, -4.0, -1.0]
    script.values["cube lies on the disc"] = [-6.0, -6.0, -6.0, -6.0, -6.0, -4.0, -1.0]
    live.up(TASK)
    told = play(live, 0, 9)
    assert [one.header for one in told] == [one.header for one in live.readings]
    assert [one.index for one in told] == list(range(10))
    assert {one.episode_id for one in told} == {live.readings[0].episode_id}
    first = told[0].statements
    assert [(one.name, one.role, one.text) for one in first][:1] == [
        ("grasp", "stage", "the gripper holds the red cube")
    ]
    assert [one.log_prob for one in first] == pytest.approx([-5.0, -6.0, -4.0])
    assert [one.threshold for one in first] == [-2.0, -2.0, -1.5]
    assert [held(one) for one in told] == [[]] * 4 + [["grasp"]] * 4 + [["grasp", "place"]] * 2
    stages = ["grasp"] * 4 + ["place"] * 4 + [""] * 2
    assert [one.stage for one in told] == [one.stage for one in live.readings] == stages
    assert told[5].stage_progress == pytest.approx(0.5)  # from -6 up to its threshold, -2
    assert math.isnan(live.readings[-1].stage_progress)
    assert {event.event for event in live.events} == {"started"}


def test_a_failure_that_holds_is_told_once_with_its_name(tmp_path):
    model = write_checkpoint(tmp_path / "tiny")
    text = "the red cube lies on the floor"
    file = write_calibration(model, tmp_path / "it.yaml", [TASK, text], threshold=-100.0)
    given = {"statements": [f"dropped | failure | {text}"], "calibration_file": file}
    with stack(model, **given) as live:
        live.up(TASK)
        live.play(0, 9)
        live.wait(lambda: live.named("fault"))
        live.linger(0.2)
        (fault,) = live.named("fault")
    assert fault.termination_reason == "failure"
    assert fault.detail.startswith(f"The failure 'dropped' holds, \"{text}\": its score -")
    assert fault.detail.endswith(" nat stayed above -100.00.")


def test_a_failure_with_a_threshold_that_nobody_calibrated_is_published_and_ends_nothing(
    script, live
):
    script.values["on the floor"] = [-1.0]
    live.up(TASK)
    assert held(play(live, 0, 5)[-1]) == ["dropped"]
    live.linger(0.2)
    assert not live.named("fault")


def test_a_stage_that_holds_before_its_turn_is_told_and_the_order_is_kept(script, live):
    script.values["cube lies on the disc"] = [-1.0]
    live.up(TASK)
    told = play(live, 0, 5)
    live.wait(lambda: live.named("stage"))
    (event,) = live.named("stage")
    assert event.detail == (
        "The stage 'place' has held before 'grasp'; the order is kept, and 'grasp' is the running "
        "one."
    )
    assert held(told[-1]) == ["place"] and told[-1].stage == "grasp"


def test_statements_of_one_episode_are_gone_with_it_whoever_gave_them(script, live):
    # A manager that is killed cannot take back what it has given.
    live.set(episode_statements=[PLACE])
    live.up(TASK)
    assert [one.name for one in play(live, 0, 0)[-1].statements] == ["place"]
    assert live.reset().success
    assert [one.name for one in play(live, 1, 1)[-1].statements] == ["grasp", "place", "dropped"]
    assert not live.named("changed")


def test_other_statements_are_for_the_next_episode_and_bad_ones_refused(script, live):
    live.up(TASK)
    assert [one.name for one in play(live, 0, 1)[-1].statements] == ["grasp", "place", "dropped"]
    assert live.set(statements=[PLACE]) == []
    live.wait(lambda: live.named("changed"))
    assert "and the next one takes" in live.named("changed")[0].detail
    assert len(play(live, 2, 2)[-1].statements) == 3
    assert live.reset().success
    assert [one.name for one in play(live, 3, 3)[-1].statements] == ["place"]
    (why,) = live.set(statements=[PLACE, PLACE])
    assert "Two statements have the name 'place'" in why and "\n" not in why
    assert live.set(statements=[""]) == [] and live.reset().success
    before = len(live.statements)
    live.play(4, 5)
    live.linger(0.2)
    assert len(live.statements) == before
    assert live.readings[-1].stage == "" and math.isnan(live.readings[-1].stage_progress)


def test_a_failure_without_a_threshold_is_told_of_at_configure_and_ends_nothing(script, capfd):
    script.values[""] = [-0.01]
    free = "dropped | failure | the red cube lies on the floor"
    with stack(script.model, statements=[free], **SETTINGS) as live:
        live.up(TASK)
        live.play(0, 6)
        live.linger(0.2)
        assert not live.named("fault")
        live.reset()
        live.play(7, 8)
    said = capfd.readouterr()
    assert (said.err + said.out).count("The failure 'dropped' has no calibrated threshold") == 1
