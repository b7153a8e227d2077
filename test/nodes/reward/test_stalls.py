"""The live node tells of progress that does not go on; a real client asks a scripted server."""

from __future__ import annotations

import math
from types import SimpleNamespace

import pytest

pytest.importorskip("openai", reason="needs the extra `apis`")

from chat_api_server import KEY, answer, chat_api
from rclpy.logging import get_logger
from reward_stack import START, image, stack

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.method.stall import StallState
from topreward_ros.nodes.reward.parameters import RewardParameters
from topreward_ros.nodes.reward.stall_faults import StallFaults

TASK = "put the red cube on the disc"
SETTINGS = {
    "device": "auto",
    "prompt_form": "chat",
    "frame_size": [24, 32],
    "success_threshold": 0.0,
    "camera_timeout": 60.0,
    "stall_time": 4.0,
    "stall_min_progress": 0.1,
    "regress_time": 1.0,
    "regress_min_drop": 0.3,
}
pytestmark = pytest.mark.usefixtures("context")


@pytest.fixture
def script(monkeypatch):
    """Log-probs by number of pictures; the last one stays."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with chat_api() as api:
        values = [-10.0]
        api.always = answer(lambda asked: values[min(asked.pictures, len(values)) - 1])
        yield SimpleNamespace(values=values, model=api.openai())


class Course:
    """A camera at 2 Hz, each picture awaited."""

    def __init__(self, live) -> None:
        self.live = live
        self.shown = self.scene = 0
        self.missed = 0.0

    def move(self, count: int) -> None:
        """Shows pictures that differ."""
        for _ in range(count):
            self._show(self.shown)

    def wait(self, count: int) -> None:
        """Shows a still scene, as a sensor with noise sees it."""
        for _ in range(count):
            self._show(self.scene, noise=True)

    def freeze(self, count: int) -> None:
        """Shows the same picture bit for bit, with new stamps."""
        for _ in range(count):
            self._show(self.scene)

    def _show(self, seed: int, noise: bool = False) -> None:
        self.scene = seed
        shot = image(START + self.missed + self.shown / 2, seed=seed)
        if noise:
            shot.data[self.shown] ^= 1
        self.shown += 1
        self.live.cameras[0].publish(shot)
        self.live.wait(lambda: len(self.live.readings) >= self.shown)


def told(live) -> list[tuple[str, str]]:
    return [(event.event, event.termination_reason) for event in live.events]


def test_pushing_in_vain_dropping_and_going_on_are_told_once_each(script):
    rise = [-10.0 + k for k in range(7)]  # to -4: progress 0.6, between -10 and 0
    script.values[:] = [*rise, *[-4.0] * 12, *[-8.5] * 6, *[-8.5 + k for k in range(1, 8)]]
    with stack(script.model, **SETTINGS) as live:
        live.up(TASK)
        course = Course(live)
        course.move(len(script.values))
        expected = [
            ("started", ""),
            ("fault", "stalled"),
            ("fault", "regressed"),
            ("recovered", "stalled"),
            ("recovered", "regressed"),
        ]
        live.wait(lambda: len(live.events) >= len(expected))
        assert told(live) == expected
        stalled, regressed = live.named("fault")
        assert stalled.detail == (
            "Stalled: progress is 0.60 (running, measured against what this episode has shown so "
            "far), without a rise of 0.1 or more in 4.0 s, in 4 s of which pictures changed."
        )
        assert "0.15 (running" in regressed.detail and "after 0.60" in regressed.detail
        assert (stalled.progress, regressed.progress) == pytest.approx((0.6, 0.15))
        assert live.named("recovered")[1].detail.startswith("Regressed no longer: progress is 0.")


def test_standing_still_is_another_reason_and_motion_ends_it(script):
    with stack(script.model, **SETTINGS) as live:
        live.up(TASK)
        course = Course(live)
        course.move(3)
        course.wait(12)
        live.wait(lambda: live.named("fault"))
        assert "nothing in the pictures has changed for 4 s" in live.named("fault")[0].detail
        course.move(2)
        live.wait(lambda: live.named("recovered"))
        assert told(live)[1:] == [("fault", "standstill"), ("recovered", "standstill")]


def test_nothing_is_claimed_over_a_hole_a_frozen_camera_or_censored_readings(script):
    script.values[:] = [*[-9.0] * 20, None, -9.0]
    with stack(script.model, **SETTINGS) as live:
        live.reward_node.runner._now = lambda: None  # its clock would have to wait for the hole
        live.up(TASK)
        course = Course(live)
        course.move(7)
        course.freeze(3)
        course.move(7)
        course.missed = 3.0
        course.move(14)
        assert any(reading.censored for reading in live.readings)
        live.linger(0.3)
        assert {reason for _, reason in told(live)} <= {"", "camera_frozen"}


def test_it_is_off_by_default_and_ends_with_the_task_it_was_told_of(script):
    script.values[:] = [-9.0]
    on = {name: SETTINGS[name] for name in ("stall_time", "regress_time")}
    rest = {name: value for name, value in SETTINGS.items() if name not in on}
    with stack(script.model, **rest) as live:
        live.up(TASK)
        course = Course(live)
        course.move(14)
        live.linger(0.3)
        assert told(live) == [("started", "")]
        assert live.set(**on) == [] and live.reset().success
        before = len(live.readings)
        course.live, course.shown = live, before
        course.move(12)
        live.wait(lambda: live.named("fault"))
        live.set(instruction="put the blue cube on the disc")
        course.move(2)
        live.wait(lambda: live.named("recovered"))
        assert live.named("recovered")[-1].detail == "Stalled no longer: the task is another now."


@pytest.mark.parametrize(("source", "words"), [("calibrated", "(calibrated)"), ("running", "(run")])
def test_the_sentence_says_which_progress_is_meant(source, words):
    said = []
    faults = StallFaults(lambda *event: said.append(event), get_logger("stalls"))
    episode = SimpleNamespace(parameters=RewardParameters(motion_gate=False), stalls={})
    state = StallState(stalled=True, regressed=True, quiet=21.0, best=0.8)
    reading = SimpleNamespace(stall=state, progress=0.4, progress_source=source, instruction=TASK)
    for _ in range(2):
        faults.take(episode, reading)
    assert [reason for _, reason, _ in said] == ["regressed", "stalled"]
    assert all(f"progress is 0.40 {words}" in detail for _, _, detail in said)
    assert "not known whether anything moved" in said[1][2]
    reading.stall, reading.progress = StallState(), math.nan
    faults.take(episode, reading)
    assert [event for event, _, _ in said[2:]] == [EpisodeEvent.RECOVERED] * 2
    assert f"progress is unknown {words}" in said[2][2]
