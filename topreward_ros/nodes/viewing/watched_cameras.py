"""The cameras that a viewing node shows: its own, or those of the reward node it watches."""

from __future__ import annotations

from collections.abc import Callable

from rcl_interfaces.srv import GetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.parameter import parameter_value_to_python
from rclpy.task import Future

from topreward_ros.nodes.camera_subscriptions import (
    CameraError,
    CameraSubscriptions,
    ImageCallback,
)

LOOK_UP_PERIOD = 1.0
"""s between looks at what the image topics carry, and at the reward node's parameters."""
SHARED = ("cameras", "transport", "layout")
"""Parameters that are the reward node's where none are given here."""


class WatchedCameras:
    """Subscriptions to them, which follow the reward node's parameters.

    Attributes:
        topics: as they are subscribed now.
        layout: how several become one picture.
    """

    def __init__(
        self,
        node: Node,
        reward_node: str,
        own: tuple[str, ...],
        transport: str,
        layout: str,
        on_image: ImageCallback,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """Subscribes.

        Args:
            node: which subscribes.
            reward_node: name of the node that is watched.
            own: image topics; empty: those of the reward node, with its transport and layout.
            transport: of `own`.
            layout: of `own`.
            on_image: called with the topic and the message.
            on_change: called where others are subscribed: what was seen is old.

        Raises:
            CameraError: a camera's topic cannot be subscribed.
        """
        self._node, self._own, self._on_image = node, own, on_image
        self._on_change = on_change
        self.topics: tuple[str, ...] = ()
        self.layout = layout
        self._watched: tuple[tuple[str, ...], str, str] = ((), "", "")
        self._cameras: CameraSubscriptions | None = None
        self._asked: Future | None = None
        self._client = node.create_client(GetParameters, f"{reward_node}/get_parameters")
        if own:
            self._watch(own, transport, layout)
        # A paused /clock stops no picture.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        node.create_timer(LOOK_UP_PERIOD, self._look_up, clock=steady)

    def _watch(self, topics: tuple[str, ...], transport: str, layout: str) -> None:
        """Subscribes the cameras, if they are not what is subscribed already."""
        if (topics, transport, layout) == self._watched:
            return
        if self._cameras is not None:
            self._cameras.destroy()
            self._cameras = None
        self._on_change()
        self._watched = (topics, transport, layout)
        self.topics, self.layout = topics, layout
        self._cameras = CameraSubscriptions(self._node, topics, transport, self._on_image)
        self._node.get_logger().info(f"Drawing over {', '.join(topics)}.")

    def _look_up(self) -> None:
        if self._cameras is not None:
            self._cameras.look_up()
        if self._own or not self._client.service_is_ready():
            return
        if self._asked is not None and not self._asked.done():
            # A reward node that was killed never answers.
            self._client.remove_pending_request(self._asked)
        self._asked = self._client.call_async(GetParameters.Request(names=list(SHARED)))
        self._asked.add_done_callback(self._on_parameters)

    def _on_parameters(self, answer: Future) -> None:
        if answer.result() is None:
            return
        values = [parameter_value_to_python(value) for value in answer.result().values]
        if len(values) != len(SHARED) or None in values:
            return
        topics, transport, layout = values
        try:
            self._watch(tuple(topics), transport, layout)
        except CameraError as error:
            self._node.get_logger().error(str(error))
