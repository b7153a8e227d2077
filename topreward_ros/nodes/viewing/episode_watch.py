"""A node that watches a running reward node: its readings, its success flag, the camera."""

from __future__ import annotations

import math
import time
from functools import cached_property
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Bool

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.viewing.live_view import View
from topreward_ros.offline.frame_log import FrameLog
from topreward_ros.offline.report import LoggedReading
from topreward_ros.video.image import ImageError, decode, stamp_seconds

QUEUE = 100
NEAR = 0.7
"""S of camera time after the last reading within which no other one is to be expected."""
PATIENCE = 5.0
"""S without a picture or a reading after which none is awaited any more."""
LATCHED = QoSProfile(
    depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE, durability=DurabilityPolicy.TRANSIENT_LOCAL
)


class EpisodeWatch(PrintableNode):
    """Collects what a reward node publishes.

    Attributes:
        readings: of the current episode under its current instruction, in order.
        frames: the camera's pictures, once `watch_camera` was called.
        success: the flag as it was published last.
        events: what happened, in order.
        newest_stamp: s, of the newest picture, by the camera.
    """

    def __init__(self, name: str, reward_node: str, view: View, **options: Any) -> None:
        """Subscribes.

        Args:
            name: of this node.
            reward_node: full name of the node to watch.
            view: is told of each episode, reading and kept picture.
            options: as `rclpy.node.Node` takes them.
        """
        super().__init__(name, **options)
        self.readings: list[LoggedReading] = []
        self.frames = FrameLog()
        self.success = False
        self.events: list[EpisodeEvent] = []
        self.newest_stamp = -math.inf
        self._episode_id = ""
        self._instruction = ""
        self._heard_at = -math.inf
        self._view = view
        self._reward_node = reward_node
        self.create_subscription(RewardStamped, f"{reward_node}/reading", self._take, QUEUE)
        self.create_subscription(Bool, f"{reward_node}/success", self._take_success, LATCHED)
        self.create_subscription(EpisodeEvent, f"{reward_node}/event", self.events.append, LATCHED)

    @cached_property
    def lifecycle(self) -> Client:
        """Client of the reward node's transitions; whoever only looks on has none."""
        return self.create_client(ChangeState, f"{self._reward_node}/change_state")

    def watch_camera(self, topic: str) -> None:
        """Keeps the pictures of a topic.

        Args:
            topic: its name; it carries CompressedImage if that ends in `/compressed`, else Image.
        """

        def take(message: CompressedImage | Image) -> None:
            stamp = stamp_seconds(message)
            self.newest_stamp = max(self.newest_stamp, stamp)
            self._heard_at = time.monotonic()
            if not self.frames.due(stamp):
                return
            try:
                picture = decode(message)
            except ImageError as error:
                self.get_logger().warning(str(error))
                return
            self.frames.add(stamp, picture)
            self._view.show_picture(picture)

        kind = CompressedImage if topic.endswith("/compressed") else Image
        self.create_subscription(kind, topic, take, QUEUE)

    def change_state(self, label: str) -> Future:
        """Asks the reward node for a transition, `configure` or `activate`; returns the answer."""
        number = {
            "configure": Transition.TRANSITION_CONFIGURE,
            "activate": Transition.TRANSITION_ACTIVATE,
        }[label]
        return self.lifecycle.call_async(
            ChangeState.Request(transition=Transition(id=number, label=label))
        )

    def settled(self, pictures: int) -> bool:
        """Says whether everything has been seen and scored, as far as can be told.

        Args:
            pictures: how many are to come in all.
        """
        if not self.readings:
            return False
        last = self.readings[-1]
        if last.pending_frames or self.success != last.success:
            return False
        if self.frames.seen >= pictures and self.newest_stamp - last.stamp < NEAR:
            return True
        # Pictures may be lost, and models may look more rarely than twice a second; a slow one is
        # given its time.
        return time.monotonic() - self._heard_at > max(PATIENCE, 3 * last.model_time)

    def _take(self, message: RewardStamped) -> None:
        if (message.episode_id, message.instruction) != (self._episode_id, self._instruction):
            self._episode_id, self._instruction = message.episode_id, message.instruction
            self.readings.clear()
            self._view.begin(message.instruction)
        reading = logged(message)
        self.readings.append(reading)
        self._heard_at = time.monotonic()
        self._view.show_reading(reading)

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
        censored=message.censored,
        stage=message.stage,
        stage_progress=message.stage_progress,
    )
