"""A node that watches a running reward node: its readings, its success flag, the camera."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage
from std_msgs.msg import Bool

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.offline.report import FrameLog, LoggedReading
from topreward_ros.video.image import ImageError, decode, stamp_seconds

QUEUE = 100
LATCHED = QoSProfile(
    depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class EpisodeWatch(Node):
    """Collects what a reward node publishes.

    Attributes:
        readings: of the current episode, in order.
        frames: the camera's pictures, once `watch_camera` was called.
        success: the flag as it was published last.
        events: what happened, in order.
        newest_stamp: s, of the newest picture, by the camera.
    """

    def __init__(self, name: str, reward_node: str, on_reading: Callable[[LoggedReading], None],
                 **options: Any) -> None:  # fmt: skip
        """Subscribes.

        Args:
            name: of this node.
            reward_node: full name of the node to watch.
            on_reading: is told of each reading.
            options: as `rclpy.node.Node` takes them.
        """
        super().__init__(name, **options)
        self.readings: list[LoggedReading] = []
        self.frames = FrameLog()
        self.success = False
        self.events: list[EpisodeEvent] = []
        self.newest_stamp = -math.inf
        self._episode_id = ""
        self._on_reading = on_reading
        self._reward_node = reward_node
        self.create_subscription(RewardStamped, f"{reward_node}/reading", self._take, QUEUE)
        self.create_subscription(Bool, f"{reward_node}/success", self._take_success, LATCHED)
        self.create_subscription(EpisodeEvent, f"{reward_node}/event", self.events.append, LATCHED)
        self.lifecycle = self.create_client(ChangeState, f"{reward_node}/change_state")

    def watch_camera(self, topic: str, show: Callable[[Any], None]) -> None:
        """Keeps the pictures of a topic of type CompressedImage.

        Args:
            topic: its name.
            show: is told of each picture that is kept, uint8 RGB (H, W, 3).
        """

        def take(message: CompressedImage) -> None:
            stamp = stamp_seconds(message)
            self.newest_stamp = max(self.newest_stamp, stamp)
            if not self.frames.due(stamp):
                return
            try:
                picture = decode(message)
            except ImageError as error:
                self.get_logger().warning(str(error))
                return
            self.frames.add(stamp, picture)
            show(picture)

        self.create_subscription(CompressedImage, topic, take, QUEUE)

    def change_state(self, label: str) -> Future:
        """Asks the reward node for a transition, `configure` or `activate`; returns the answer."""
        number = {
            "configure": Transition.TRANSITION_CONFIGURE,
            "activate": Transition.TRANSITION_ACTIVATE,
        }[label]
        return self.lifecycle.call_async(
            ChangeState.Request(transition=Transition(id=number, label=label))
        )

    def settled(self, patience: float) -> bool:
        """Says whether everything that was seen has been scored.

        Args:
            patience: s of camera time by which the last reading may be older than the last picture.
        """
        if not self.readings:
            return False
        last = self.readings[-1]
        scored = last.pending_frames == 0 and self.newest_stamp - last.stamp < patience
        return scored and self.success == last.success

    def _take(self, message: RewardStamped) -> None:
        if message.episode_id != self._episode_id:
            # Another episode: one report is about one.
            self._episode_id = message.episode_id
            self.readings.clear()
        reading = logged(message)
        self.readings.append(reading)
        self._on_reading(reading)

    def _take_success(self, message: Bool) -> None:
        self.success = message.data


def logged(message: RewardStamped) -> LoggedReading:
    """Returns a published reading without ROS's types."""
    return LoggedReading(
        stamp=stamp_seconds(message),
        episode_time=message.episode_time,
        frames=message.frames,
        log_prob=message.log_prob,
        progress=message.progress,
        reward=message.reward,
        success_score=message.success_score,
        success_threshold=message.success_threshold,
        success=message.success,
        latency=message.latency,
        model_time=message.model_time,
        pending_frames=message.pending_frames,
        progress_source=message.progress_source,
        reward_form=message.reward_form,
    )
