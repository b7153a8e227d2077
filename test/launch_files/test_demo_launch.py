"""`ros2 launch topreward_ros demo.launch.py` plays an episode through the reward node.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import pytest

launch_pytest = pytest.importorskip("launch_pytest")
rclpy = pytest.importorskip("rclpy")

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_pytest.actions import ReadyToTest

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import latched

PATIENCE = 240.0


@launch_pytest.fixture
def started():
    path = f"{get_package_share_directory('topreward_ros')}/launch/demo.launch.py"
    source = PythonLaunchDescriptionSource(path)
    arguments = {"episode": "success"}
    return LaunchDescription(
        [IncludeLaunchDescription(source, launch_arguments=arguments.items()), ReadyToTest()]
    )


@pytest.mark.launch(fixture=started)
def test_the_shipped_episode_is_read_by_the_demo_model_and_its_end_is_no_fault():
    rclpy.init()
    node = rclpy.create_node("observer")
    enough = rclpy.task.Future()
    readings, events = [], []

    def keep(reading):
        readings.append(reading)

    def end(event):
        events.append(event)
        if event.event == EpisodeEvent.STOPPED and not enough.done():
            enough.set_result(None)

    node.create_subscription(EpisodeEvent, "/topreward/reward_node/event", end, latched(10))
    node.create_subscription(RewardStamped, "/topreward/reward_node/reading", keep, 10)
    rclpy.spin_until_future_complete(node, enough, timeout_sec=PATIENCE)
    node.destroy_node()
    rclpy.shutdown()
    assert enough.done(), f"{len(readings)} readings"
    assert [event.event for event in events] == [EpisodeEvent.STARTED, EpisodeEvent.STOPPED]
    # A busy machine merges updates: it gives fewer readings, and leaves no frame out.
    assert readings[-1].frames >= 14 and readings[-1].success
    assert {reading.model for reading in readings} == {"demo"}
    assert all(reading.log_prob < 0.0 for reading in readings)
    times = [reading.episode_time for reading in readings]
    assert times == sorted(set(times))
