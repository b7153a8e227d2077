"""The node that shows episodes in Rerun: cameras, curves, task, success and events, live.

It runs in a process of its own, and its viewer in another, so that neither can slow scoring.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import rclpy
from rclpy.clock import Clock, ClockType
from sensor_msgs.msg import CompressedImage, Image

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.camera_subscriptions import CameraError
from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.spinning import leave, run_node
from topreward_ros.nodes.viewing.drawing_thread import DrawingThread, Picture
from topreward_ros.nodes.viewing.rerun_parameters import declare_parameters
from topreward_ros.nodes.viewing.rerun_viewer import Viewer
from topreward_ros.nodes.viewing.watched_cameras import WatchedCameras
from topreward_ros.nodes.viewing.watching_parameters import KEPT_EVENTS
from topreward_ros.offline.rerun_drawing import JITTER, RerunMissing
from topreward_ros.printable import printable
from topreward_ros.video.image import StampError, stamp_seconds

QUEUE = 100
PROBLEM_PERIOD = 0.5
"""s between looks at whether the viewer still runs."""
CLOSE_PATIENCE = 3.0
"""s for the last episode to be drawn; a viewer that hangs gets none of it."""
NICENESS = 10
"""Of the node and its viewer: where a machine is short of time, scoring goes first."""


class RerunNode(PrintableNode):
    """Node `rerun_node`: publishes nothing.

    Attributes:
        drawing: what draws.
    """

    def __init__(self, **options: Any) -> None:
        """Starts the viewer and subscribes.

        Args:
            options: as `rclpy.node.Node` takes them.

        Raises:
            ParameterError: a parameter has a value that is not allowed.
            RerunMissing: Rerun is not installed.
            CameraError: a camera's topic cannot be subscribed.
            OSError: a port or the folder cannot be had.
        """
        super().__init__("rerun_node", **{"namespace": "topreward", **options})
        self._given = given = declare_parameters(self)
        self._viewer = Viewer(given)
        self._ended = False
        self._newest: dict[str, float] = {}
        self.drawing = DrawingThread(self._viewer, given.max_width, self.get_logger().warning)
        source, take = given.source, self.drawing.take
        self.create_subscription(RewardStamped, f"{source}/reading", take, QUEUE)
        self.create_subscription(EpisodeEvent, f"{source}/event", take, latched(KEPT_EVENTS))
        self.create_subscription(EpisodeEvent, given.managers_events, take, latched(KEPT_EVENTS))
        WatchedCameras(self, source, given.own_cameras, given.transport, "row", self._on_image)
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(PROBLEM_PERIOD, self._look_after_viewer, clock=steady)
        self.get_logger().info(self._viewer.told)

    def close(self) -> None:
        """Ends the last episode and the viewer, and destroys the node."""
        if not self.drawing.close(CLOSE_PATIENCE):
            self.get_logger().warning("The viewer takes nothing; what waits is not drawn.")
        self._viewer.stop()
        self.destroy_node()

    def _on_image(self, topic: str, message: Image | CompressedImage) -> None:
        try:
            stamp = stamp_seconds(message)
        except StampError as error:
            self.get_logger().warning(f"Camera {topic}: {error}", throttle_duration_sec=5.0)
            return
        # Also due after a jump back: what becomes of the episode is the reward node's to say.
        if 0.0 <= stamp - self._newest.get(topic, -1e18) < JITTER / self._given.rate:
            return
        self._newest[topic] = stamp
        self.drawing.take(Picture(topic, message))

    def _look_after_viewer(self) -> None:
        problem = self._viewer.problem()
        if problem and not self._ended:
            self._ended = True
            self.leave(problem)


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0 after a signal, 1 with one sentence where it cannot start or its viewer
        has ended.
    """
    os.nice(NICENESS)
    try:
        code = run_node(RerunNode, RerunNode.close, arguments)
    except (ParameterError, CameraError, RerunMissing, OSError) as error:
        print(printable(f"rerun_node: {error}"), file=sys.stderr)
        code = 1
    finally:
        rclpy.try_shutdown()
    # Rerun's threads may still wait for a viewer that hangs.
    leave(code)


if __name__ == "__main__":
    sys.exit(main())
