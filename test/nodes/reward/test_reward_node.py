"""The live node from camera message to published reading, over real DDS."""

from __future__ import annotations

import logging
import math

import numpy as np
import pytest
from rcl_interfaces.msg import Log
from rclpy.logging import LoggingSeverity
from reward_stack import START, image, picture, stack, write_checkpoint

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.episode import Episode
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.scorer import LocalScorer
from topreward_ros.nodes.messages import time_message
from topreward_ros.video.resizing import resize

TASK = "put the red cube on the disc"
ALWAYS = -1000.0
"""nat; a threshold that every log-prob exceeds."""
pytestmark = pytest.mark.usefixtures("context")


def test_readings_equal_what_the_episode_says_of_the_same_frames(model):
    with stack(model) as live:
        live.up(TASK)
        readings = live.play(0, 6)
    episode = Episode(load_scorer(str(model), device="cpu", prompt="raw"), TASK)
    for index, message in enumerate(readings):
        episode.add_frame(resize(picture(index), (64, 64)), START + index / 2)
        reading = episode.update()
        assert message.log_prob == pytest.approx(reading.log_prob, abs=1e-5)
        assert message.progress == pytest.approx(reading.progress, abs=1e-5)
        assert message.reward == pytest.approx(reading.reward, abs=1e-5)
        assert (message.index, message.frames) == (index, index + 1)
        assert message.episode_time == pytest.approx(index / 2, abs=1e-6)
        assert message.instruction == TASK and message.model == str(model)


def test_a_reading_carries_the_cameras_stamp_to_the_nanosecond(model):
    with stack(model) as live:
        live.up()
        message = image(START)
        message.header.stamp.nanosec = 123_456_789
        live.cameras[0].publish(message)
        live.wait(lambda: live.readings)
        assert live.readings[0].header == message.header
        assert live.readings[0].latency >= live.readings[0].model_time > 0


def test_plain_mirrors_repeat_the_reading(model):
    with stack(model) as live:
        live.up()
        readings = live.play(0, 3)
        live.wait(lambda: len(live.progress) == len(live.rewards) == 4)
        assert [m.data for m in live.rewards] == [r.reward for r in readings]
        assert [m.data for m in live.progress] == pytest.approx([r.progress for r in readings])


def test_frames_are_taken_at_the_sample_rate_of_camera_time(model):
    with stack(model) as live:
        live.up()
        for tick in range(31):  # 3 s at 10 Hz
            live.cameras[0].publish(image(START + tick / 10, seed=tick))
            live.wait(lambda t=tick: live.received() == t + 1)
        live.wait(lambda: live.readings and live.readings[-1].frames == 7)
        assert live.readings[-1].episode_time == pytest.approx(3.0, abs=1e-3)


def test_frames_that_arrive_while_a_score_is_computed_are_kept_and_merged(model):
    with stack(model) as live:
        live.up()
        with live.busy():
            for index in range(5):
                live.show(index)
            live.wait(lambda: live.reward_node.scoring.pending == 5)
        live.wait(lambda: live.readings and live.readings[-1].frames == 5)
        assert len(live.readings) == 1


def test_merged_readings_start_a_success_anew_and_are_said_to(model):
    with stack(model, success_threshold=ALWAYS) as live:
        live.up()
        live.play(0, 2)
        with live.busy():
            live.show(3)
            live.show(4)
            live.wait(lambda: live.reward_node.scoring.pending == 2)
        live.wait(lambda: len(live.readings) == 4)
        live.wait(lambda: (status := live.status("episode")) and "merged" in status.message)
        assert live.status("episode").level == b"\1"
        assert live.values("episode").get("merged_frames") == "1"
        # The window of 3 is full again at 6, and the hold of 1 s is over at 8.
        assert [reading.success for reading in live.play(5, 8)] == [False] * 3 + [True]
        live.wait(lambda: live.values("episode").get("merged_frames") == "0")


def test_success_is_false_at_the_start_and_latches_after_hold_and_minimum_duration(model):
    with stack(model, success_threshold=ALWAYS, success_min_duration=3.0) as live:
        live.up()
        live.wait(lambda: live.successes == [False])
        readings = live.play(0, 8)
        assert [r.success for r in readings] == [False] * 6 + [True] * 3
        live.wait(lambda: len(live.successes) == 10)
        assert live.successes == [False] * 7 + [True] * 3


def test_without_a_threshold_success_is_never_claimed(model):
    with stack(model) as live:
        live.up()
        readings = live.play(0, 8)
        assert not any(r.success for r in readings)
        assert all(math.isnan(r.success_threshold) for r in readings)


def test_a_checkpoints_own_threshold_is_used(tmp_path):
    own = write_checkpoint(tmp_path / "own", success_threshold=ALWAYS)
    with stack(own) as live:
        live.up()
        assert live.play(0, 5)[-1].success_threshold == ALWAYS


def test_a_reset_starts_a_new_episode_in_place(model):
    with stack(model, success_threshold=ALWAYS) as live:
        live.up()
        first = live.play(0, 6)
        assert first[-1].success
        assert live.reset().success
        live.wait(lambda: live.successes[-1] is False)
        second = live.play(7, 9)
        assert second[0].index == 0 and second[0].frames == 1 and not second[0].success
        assert second[0].episode_id != first[0].episode_id
        live.wait(lambda: len(live.events) == 3)
        assert [e.event for e in live.events] == ["started", "stopped", "started"]
        assert live.events[1].termination_reason == EpisodeEvent.REASON_RESET
        assert live.events[1].readings == 7


def test_configure_runs_updates_before_the_first_episode_does(model, monkeypatch):
    rehearse, rehearsed = LocalScorer.rehearse, []

    def noting(scorer):
        rehearse(scorer)
        rehearsed.append(scorer.name)

    monkeypatch.setattr(LocalScorer, "rehearse", noting)
    with stack(model) as live:
        assert live.change("configure")
        assert rehearsed == [str(model)]


def test_a_reset_of_an_inactive_node_is_refused_with_a_sentence(model):
    with stack(model) as live:
        answer = live.reset()
        assert not answer.success and "activate it first" in answer.message


def test_an_active_node_without_instruction_waits_and_says_so(model):
    with stack(model) as live:
        live.up("")
        live.show(0)
        live.wait(lambda: live.status("episode") and "Waiting for an instruction" in
                  live.status("episode").message)  # fmt: skip
        assert not live.readings
        live.instructions.publish(data(TASK))
        live.wait(lambda: live.named("started"))
        assert live.play(1, 1)[0].instruction == TASK


def test_an_instruction_that_was_published_before_the_node_came_is_heard(model):
    with stack(model) as live:
        live.instructions.publish(data("open the drawer"))
        live.up("")
        live.wait(lambda: live.named("started"))
        assert live.play(0, 0)[0].instruction == "open the drawer"


def test_a_new_instruction_keeps_the_video_and_starts_a_new_baseline(model):
    with stack(model, success_threshold=ALWAYS) as live:
        live.up(TASK)
        assert live.play(0, 6)[-1].success
        live.instructions.publish(data("open the drawer"))
        live.wait(lambda: live.successes[-1] is False)
        later = live.play(7, 8)
        assert later[-1].instruction == "open the drawer"
        assert later[-1].frames == 9 and not later[-1].success
        assert later[0].episode_id == live.readings[0].episode_id


def test_a_score_from_before_the_instruction_was_changed_and_changed_back_is_not_published(model):
    with stack(model, success_threshold=ALWAYS) as live:
        live.up(TASK)
        before = live.play(0, 3)
        assert not before[-1].success
        with live.busy():
            live.show(4)  # under the first baseline this one is a success
            live.wait(lambda: live.reward_node.scoring.pending == 1)
            assert not live.set(instruction="open the drawer")
            assert not live.set(instruction=TASK)
        after = live.play(5, 5)
        live.wait(lambda: len(live.successes) == 8)
        assert live.successes == [False] * 8
        assert (after[0].frames, after[0].instruction, after[0].success) == (6, TASK, False)
        assert len(live.readings) == len(before) + 1


def test_time_that_goes_back_ends_the_episode_and_starts_another(model):
    with stack(model) as live:
        live.up()
        first = live.play(14, 18)
        live.show(0)  # one alone is not believed
        second = live.play(1, 3)
        live.wait(lambda: len(live.events) == 3)
        assert live.events[1].termination_reason == EpisodeEvent.REASON_CLOCK_JUMP
        assert second[0].index == 0 and second[0].episode_id != first[0].episode_id


def test_time_that_goes_back_ends_the_episode_for_good_if_asked_to(model):
    with stack(model, on_clock_jump="stop") as live:
        live.up()
        live.play(14, 18)
        live.show(0)
        live.show(1)
        live.wait(lambda: live.named("stopped"))
        live.show(2)
        live.wait(lambda: live.status("episode") and "went back" in live.status("episode").message)
        assert len(live.readings) == 5 and live.state() == "active"
        assert live.reset().success
        assert live.play(3, 3)[0].index == 0


def test_a_silent_camera_is_a_fault_and_recovers(model):
    with stack(model, camera_timeout=0.3) as live:
        live.up()
        live.play(0, 1)
        live.wait(lambda: live.named("fault"))
        assert live.named("fault")[0].termination_reason == EpisodeEvent.REASON_CAMERA_LOST
        assert live.topics[0] in live.named("fault")[0].detail
        live.wait(lambda: (status := live.status("episode")) and status.level == b"\2")
        live.show(2)
        live.wait(lambda: live.named("recovered"))
        assert not live.named("stopped")


def test_one_lost_camera_of_two_stops_the_readings_not_the_episode(model):
    with stack(model, cameras=2, camera_timeout=0.5) as live:
        live.up()
        live.show(0, camera=0)
        live.show(0, camera=1)
        live.wait(lambda: len(live.readings) == 1)

        def first_goes_on() -> bool:
            first_goes_on.index += 1
            live.cameras[0].publish(image(START + 1.0 + first_goes_on.index / 50))
            return bool(live.named("fault"))

        first_goes_on.index = 0
        live.wait(first_goes_on)
        assert live.topics[1] in live.named("fault")[0].detail
        count = len(live.readings)
        live.wait(lambda: first_goes_on() and first_goes_on.index > 200)
        assert len(live.readings) == count


def test_cameras_of_different_sizes_share_a_frame(model):
    with stack(model, cameras=2, layout="main_inset") as live:
        live.up()
        small = image(START)
        small.height, small.data = 24, small.data[: 24 * small.step]
        live.show(0, camera=0)
        live.cameras[1].publish(small)
        live.wait(lambda: live.readings)
        assert live.readings[0].header.frame_id == "lens"


def test_a_full_inbox_ends_the_episode_as_model_error(model):
    with stack(model, inbox_size=3) as live:
        live.up()
        with live.busy():
            for index in range(4):
                live.show(index)
            live.wait(lambda: live.named("stopped"))
        assert live.named("stopped")[0].termination_reason == EpisodeEvent.REASON_MODEL_ERROR
        assert "inbox_size" in live.named("stopped")[0].detail
        assert live.state() == "active"
        assert live.reset().success
        assert live.play(5, 5)[0].frames == 1


def test_diagnostics_tell_rates_latency_memory_and_cameras(model):
    with stack(model) as live:
        live.up()
        live.play(0, 4)
        live.wait(lambda: live.values("episode").get("readings") == "5")
        told = live.values("episode")
        latency, *parts = (
            float(told[f"{part}_ms_p95"]) for part in ("latency", "picture", "overhead")
        )
        assert latency > max(parts) and min(parts) > 0
        assert float(live.values("model")["memory_mib"]) > 50
        assert live.values("model").get("state") == "active"
        assert live.values(live.topics[0]).get("received") == "5"


def test_no_reading_is_published_after_deactivation(model):
    with stack(model) as live:
        live.up()
        live.play(0, 1)
        assert live.change("deactivate")
        live.show(2)
        live.linger(0.5)
        assert len(live.readings) == 2
        assert live.named("stopped")[0].termination_reason == EpisodeEvent.REASON_DEACTIVATED


def data(text: str):
    from std_msgs.msg import String

    return String(data=text)


def test_header_times_are_exact_to_the_nanosecond():
    assert time_message(12.5).nanosec == 500_000_000
    assert time_message(np.nextafter(2.0, 0.0)).sec == 2


def test_what_the_models_warn_of_is_in_the_nodes_log_while_the_node_lives(model):
    library = logging.getLogger("topreward_ros")
    with stack(model) as live:
        said = []
        live.node.create_subscription(Log, "/rosout", said.append, 100)

        def told() -> list[str]:
            # Again and again: the first ones may come before the publisher knows of us.
            library.getChild("models.fixed_updates").warning("Updates run %s.", "as they come")
            return [log.name for log in said if log.msg == "Updates run as they come."]

        live.wait(told)
        assert told()[0].endswith("reward_node")
    assert not library.handlers


def test_success_is_said_once_an_episode_also_where_no_manager_listens(model):
    with stack(model, success_threshold=ALWAYS) as live:
        said = []
        live.node.create_subscription(Log, "/rosout", said.append, 100)
        name = live.reward_node.get_logger().name

        def told() -> list[Log]:
            return [log for log in said if log.msg.startswith("Success at ") and log.name == name]

        live.up()
        live.play(0, 8)
        live.wait(told)
        live.reset()
        live.play(9, 17)
        live.wait(lambda: len(told()) == 2)
        live.linger(0.3)
        first, _ = told()
        assert first.level == LoggingSeverity.INFO and len(told()) == 2
        assert "put the red cube on the disc" in first.msg
