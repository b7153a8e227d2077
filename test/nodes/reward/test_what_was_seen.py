"""Success is claimed only on pictures that a camera took, one after the other, in time's order."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy")
pytest.importorskip("torch")

from diagnostic_msgs.msg import DiagnosticStatus
from reward_stack import START, image, stack

from topreward_msgs.msg import EpisodeEvent

ALWAYS = -1000.0
DETECTOR = {
    "success_threshold": ALWAYS,
    "success_min_duration": 0.0,
    "success_hold": 1.0,
    "camera_timeout": 60.0,
}


@pytest.fixture(scope="module", autouse=True)
def _context(context):
    """ROS, for all of them."""


def send(live, seconds: float, seed: int, camera: int = 0) -> None:
    live.cameras[camera].publish(image(START + seconds, seed=seed))


def readings_after(live, count: int):
    live.wait(lambda: len(live.readings) >= count)
    return live.readings


def told_of(live) -> DiagnosticStatus:
    return live.status(f"camera {live.topics[0]}") or DiagnosticStatus()


def counted(live, name: str) -> str:
    return next((item.value for item in told_of(live).values if item.key == name), "")


def test_a_frozen_camera_is_a_fault_and_no_success_until_it_lives_again(model):
    with stack(model, **DETECTOR) as live:
        live.up()
        live.play(0, 2)
        for k in range(3, 12):
            send(live, k / 2, seed=2)
            readings_after(live, k + 1)
        live.wait(lambda: live.named("fault"))
        (fault,) = live.named("fault")
        assert fault.termination_reason == EpisodeEvent.REASON_CAMERA_FROZEN
        assert live.topics[0] in fault.detail and "frozen_check" in fault.detail
        assert not any(reading.success for reading in live.readings)
        assert all(r.success_score != r.success_score for r in live.readings[3:])  # none
        live.wait(lambda: "Frozen" in told_of(live).message)
        last = live.play(12, 17)[-1]
        assert last.success
        live.wait(lambda: live.named("recovered"))
        assert [e.termination_reason for e in live.named("recovered")] == ["camera_frozen"]


def test_equal_pictures_of_a_simulator_count_where_that_is_said(model):
    with stack(model, frozen_check=False, **DETECTOR) as live:
        live.up()
        for k in range(8):
            send(live, k / 2, seed=1)
            readings_after(live, k + 1)
        assert live.readings[-1].success and not live.named("fault")


def test_still_but_alive_goes_on_holding(model):
    with stack(model, **DETECTOR) as live:
        live.up()
        for k in range(8):
            shot = image(START + k / 2, seed=1)
            shot.data[k] ^= 1  # a sensor has noise
            live.cameras[0].publish(shot)
            readings_after(live, k + 1)
        assert live.readings[-1].frames == 1 and live.readings[-1].success


def test_a_hole_of_three_seconds_starts_the_hold_anew_and_is_told(model):
    with stack(model, **DETECTOR) as live:
        live.reward_node.runner._now = lambda: None  # its clock would have to wait three seconds
        live.up()
        live.play(0, 3)
        after = live.play(10, 15)
        assert [reading.success for reading in after] == [False] * 4 + [True] * 2
        live.wait(lambda: live.status("episode") and "held anew" in live.status("episode").message)
        assert live.values("episode").get("holes") == "1"


def test_one_message_of_another_time_changes_nothing(model):
    with stack(model, **DETECTOR) as live:
        live.up()
        live.play(0, 2)
        for far in (30.0, 3600.0, -3600.0):
            send(live, far, seed=99)
        live.play(3, 4)
        assert [round(r.episode_time, 3) for r in live.readings] == [0.0, 0.5, 1.0, 1.5, 2.0]
        assert not live.named("stopped") and live.readings[-1].success
        live.wait(lambda: counted(live, "outlying") == "3")


@pytest.mark.parametrize("jump", [10.0, 3600.0])
def test_a_clock_that_jumps_ahead_ends_the_episode_once_and_claims_nothing(model, jump):
    with stack(model, **DETECTOR) as live:
        live.up()
        live.play(0, 2)
        for k in range(3, 9):  # the first one is not believed
            send(live, jump + k / 2, seed=k)
            live.wait(lambda n=k: live.received() > n)
        live.wait(lambda: live.readings[-1].frames == 5)  # of the new episode, however merged
        assert len(live.named("started")) == 2
        (stopped,) = live.named("stopped")
        assert stopped.termination_reason == EpisodeEvent.REASON_CLOCK_JUMP
        assert "jumped ahead" in stopped.detail
        assert not any(r.success for r in live.readings if r.episode_id == stopped.episode_id)


def test_frames_in_exchanged_order_restart_nothing(model):
    with stack(model, **DETECTOR) as live:
        live.up()
        order = [k / 12 for k in range(102)]
        for k in range(14, 100, 15):
            order[k], order[k + 1] = order[k + 1], order[k]
        for number, time in enumerate(order, start=1):
            send(live, time, seed=round(12 * time))
            live.wait(lambda n=number: live.received() >= n)
            readings_after(live, int(2 * max(order[:number])) + 1)  # none is merged
        assert len(live.readings) == 17
        assert not live.named("stopped") and live.readings[-1].success
        live.wait(lambda: counted(live, "late") == "6")


def test_two_nodes_on_one_camera_topic_are_both_named_once(model):
    with stack(model, **DETECTOR) as live, stack(model) as other:
        live.up()
        live.play(0, 2)
        bag = other.camera(live.topics[0])
        live.wait(lambda: bag.get_subscription_count())

        def both() -> bool:
            both.index += 1
            send(live, 1.0 + both.index / 50, seed=both.index)
            bag.publish(image(START - 5000.0 + both.index / 50, seed=3))
            return len(live.named("fault")) > 0 and both.index > 300

        both.index = 0
        live.wait(both)
        (fault,) = live.named("fault")
        assert fault.termination_reason == EpisodeEvent.REASON_CAMERA_CONFLICT
        assert live.node.get_name() in fault.detail and other.node.get_name() in fault.detail
        assert not live.named("stopped")
        other.node.destroy_publisher(bag)
        live.wait(lambda: live.named("recovered"))
