"""The node that shows people what the reward node makes of the cameras' picture.

It runs in a process of its own and draws only while somebody looks, so that it never slows scoring.
"""

from __future__ import annotations

import sys
from array import array
from typing import Any

import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.camera_subscriptions import CameraError
from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.spinning import run_node
from topreward_ros.nodes.viewing.markers import episode_markers
from topreward_ros.nodes.viewing.overlay_parameters import declare_parameters
from topreward_ros.nodes.viewing.watched_cameras import WatchedCameras
from topreward_ros.nodes.viewing.watched_episode import WatchedEpisode
from topreward_ros.nodes.viewing.watching_parameters import KEPT_EVENTS
from topreward_ros.printable import printable
from topreward_ros.video.image import ImageError, decode
from topreward_ros.video.mosaic import Layout, LayoutError, tile
from topreward_ros.video.overlay import draw_overlay
from topreward_ros.video.resizing import within_width

QUEUE = 20


class OverlayNode(PrintableNode):
    """Node `overlay_node`: publishes ~/overlay (sensor_msgs/Image, rgb8) and ~/markers.

    Attributes:
        drawn: pictures published so far.
    """

    def __init__(self, **options: Any) -> None:
        """Subscribes.

        Args:
            options: as `rclpy.node.Node` takes them.

        Raises:
            ParameterError: a parameter has a value that is not allowed.
            CameraError: a camera's topic cannot be subscribed.
        """
        super().__init__("overlay_node", **{"namespace": "topreward", **options})
        self._given = declare_parameters(self)
        self._episode = WatchedEpisode()
        self._pictures: dict[str, Image | CompressedImage] = {}
        self.drawn = 0
        self._header = Header()  # of the newest picture
        self._changed = False
        self._overlay = self.create_publisher(Image, "~/overlay", 1)
        self._markers = self.create_publisher(MarkerArray, "~/markers", latched())
        given, source = self._given, self._given.source
        self.create_subscription(RewardStamped, f"{source}/reading", self._on_reading, QUEUE)
        # The newest event alone: an older one says nothing of what is to be shown now.
        self.create_subscription(EpisodeEvent, f"{source}/event", self._on_event, latched())
        self.create_subscription(
            EpisodeEvent, given.managers_events, self._on_managers_event, latched(KEPT_EVENTS)
        )
        self._cameras = WatchedCameras(
            self, source, given.own_cameras, given.transport, given.layout, self._on_image,
            on_change=self._pictures.clear,
        )  # fmt: skip
        steady = Clock(clock_type=ClockType.STEADY_TIME)  # a paused /clock stops no picture
        self.create_timer(1.0 / self._given.rate, self._draw, clock=steady)

    def _on_image(self, topic: str, message: Image | CompressedImage) -> None:
        self._pictures[topic] = message
        self._header = message.header
        self._changed = True

    def _on_reading(self, message: RewardStamped) -> None:
        self._episode.take_reading(message)
        self._show_markers()

    def _on_event(self, message: EpisodeEvent) -> None:
        self._episode.take_event(message)
        self._show_markers()

    def _on_managers_event(self, message: EpisodeEvent) -> None:
        self._episode.take_managers_event(message)
        self._show_markers()

    def _show_markers(self) -> None:
        self._changed = True
        given = self._given
        self._markers.publish(
            episode_markers(
                self._episode.state(), given.frame_id, given.position, given.text_height
            )
        )

    def _draw(self) -> None:
        """Publishes a picture if something is new and somebody looks."""
        if not self._changed or not self._overlay.get_subscription_count():
            return
        self._changed = False
        picture = self._picture()
        if picture is None:
            return
        drawn = draw_overlay(picture, self._episode.state())
        self._overlay.publish(image_message(drawn, self._header))
        self.drawn += 1

    def _picture(self) -> np.ndarray | None:
        """Returns the cameras' newest pictures in one, uint8 RGB (H, W, 3); None without any."""
        layout = self._cameras.layout
        pictures = []
        for topic in self._cameras.topics:
            if topic not in self._pictures:
                continue
            try:
                pictures.append(decode(self._pictures[topic]))
            except ImageError as error:
                del self._pictures[topic]
                self.get_logger().warning(f"Camera {topic}: {error}", throttle_duration_sec=5.0)
        if not pictures:
            return None
        if layout == Layout.MAIN_INSET:
            layout = Layout.GRID  # the curve lies where the insets would be
        try:
            picture = tile(pictures, layout)
        except LayoutError as error:
            self.get_logger().error(str(error), throttle_duration_sec=5.0)
            picture = pictures[0]
        return within_width(picture, self._given.max_width)


def image_message(picture: np.ndarray, header: Header) -> Image:
    """Returns a picture, uint8 RGB (H, W, 3), as sensor_msgs/Image of encoding rgb8."""
    height, width = picture.shape[:2]
    message = Image(header=header, height=height, width=width, encoding="rgb8", step=3 * width)
    message.data = array("B", picture.tobytes())
    return message


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0 after a signal, 1 with one sentence where it cannot start.
    """
    try:
        run_node(OverlayNode, Node.destroy_node, arguments)
    except (ParameterError, CameraError) as error:
        print(printable(f"overlay_node: {error}"), file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
