"""The monitor shows what any reward node on the graph publishes."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
import time

import rclpy
from rclpy.node import Node

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.viewing.episode_watch import logged
from topreward_ros.nodes.viewing.live_view import PlainView
from topreward_ros.nodes.viewing.monitor import Monitor, parse
from topreward_ros.nodes.viewing.watched_episode import WatchedEpisode

DEADLINE = 60.0


def test_readings_are_shown_under_their_instruction_as_they_come() -> None:
    """One line each; SIGINT ends it with exit code 0."""
    rclpy.init()
    node = Node("reward_node", namespace="arm")
    publisher = node.create_publisher(RewardStamped, "~/reading", 10)
    monitor = subprocess.Popen(
        [sys.executable, "-m", "topreward_ros.nodes.programs", "monitor", "--plain", "--node",
         "/arm/reward_node"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    lines: list[str] = []
    try:
        end = time.monotonic() + DEADLINE
        while not publisher.get_subscription_count():
            assert time.monotonic() < end
            time.sleep(0.02)
        threading.Thread(target=lambda: lines.extend(monitor.stdout), daemon=True).start()
        while not any("SUCCESS" in line for line in list(lines)):
            assert time.monotonic() < end, lines
            # Repeated, for the other side may not know the publisher yet.
            message = RewardStamped(instruction="put it there", episode_id="1", progress=0.25)
            message.header.stamp.sec = 5
            message.log_prob, message.success = -1.5, True
            publisher.publish(message)
            time.sleep(0.05)
    finally:
        monitor.terminate()
        code = monitor.wait(DEADLINE)
        node.destroy_node()
        rclpy.shutdown()
    assert code == 0, monitor.stderr.read()
    assert any("put it there" in line for line in lines)
    (shown, *_) = [line for line in lines if "SUCCESS" in line]
    assert "progress 0.25" in shown and "-1.500 nat" in shown


def test_an_endless_run_keeps_only_the_newest_reading_and_event() -> None:
    rclpy.init()
    try:
        monitor = Monitor(parse([]), PlainView("monitor", "", io.StringIO()))
        for number in range(50):
            monitor.events.append(EpisodeEvent(event=EpisodeEvent.STARTED, detail=str(number)))
            reading = RewardStamped(episode_id="1", instruction="lift")
            reading.header.stamp.sec = 1 + number
            monitor._take(reading)
            monitor._refresh()
            assert [event.detail for event in monitor.events] == [str(number)]
            assert [one.stamp for one in monitor.readings] == [1 + number]
        monitor.destroy_node()
    finally:
        rclpy.shutdown()


def test_what_is_censored_stays_so_on_its_way_to_monitor_and_overlay():
    message = RewardStamped(episode_id="a", log_prob=float("nan"), progress=float("nan"))
    message.header.stamp.sec = 1_700_000_000
    watched = WatchedEpisode()
    for message.censored in (True, False):
        watched.take_reading(message)
        assert logged(message).censored is watched.state().censored is message.censored


def test_stages_come_to_monitor_and_overlay_in_their_order():
    watched = WatchedEpisode()
    for index, stage in enumerate(["grasp", "grasp", "place", ""]):
        message = RewardStamped(episode_id="a", stage=stage, stage_progress=0.25)
        message.header.stamp.sec = 1_700_000_000 + index
        message.episode_time = float(index)
        watched.take_reading(message)
        assert (logged(message).stage, logged(message).stage_progress) == (stage, 0.25)
    assert watched.state().stages == (("grasp", 0.0), ("place", 2.0), ("", 3.0))
    watched.take_reading(RewardStamped(episode_id="b"))
    assert watched.state().stages == ()
