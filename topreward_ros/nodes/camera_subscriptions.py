"""Image topics of either type, subscribed as what they turn out to carry."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CompressedImage, Image

from topreward_ros.nodes.publishers import NOBODY, full_name

TYPES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
TRANSPORTS = {"raw": Image, "compressed": CompressedImage}
COMPRESSED_SUFFIX = "/compressed"
ImageCallback = Callable[[str, "Image | CompressedImage"], "Awaitable[None] | None"]


def camera_qos() -> QoSProfile:
    """Returns the quality of service that matches reliable and best-effort cameras alike.

    A new one each time: rclpy writes overrides into it.
    """
    return QoSProfile(
        history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.BEST_EFFORT
    )


class CameraError(ValueError):
    """Image topics that cannot be subscribed; the sentence says why."""


@dataclass
class _Camera:
    topic: str
    type: type
    subscription: Subscription | None = field(default=None)
    problem: str = ""
    conflict: str = ""
    twins_since: float | None = None


TWIN_LEASE = 30.0
"""s for which a driver that was killed may still be seen beside the one that was started anew."""


class CameraSubscriptions:
    """Subscriptions to cameras, kept while the node is configured.

    With transport `auto` a topic is taken as what its publishers say. Before there is one, a name
    that ends in `/compressed` counts as CompressedImage, any other as Image.
    """

    def __init__(
        self, node: Node, topics: Sequence[str], transport: str, on_image: ImageCallback
    ) -> None:
        """Subscribes.

        Args:
            node: which subscribes.
            topics: names, relative ones in the node's namespace.
            transport: `auto`, `raw` or `compressed`.
            on_image: called with the topic as given, and the message; one after the other, also
                where it is a coroutine: until its end the images stay in their topics' queues.

        Raises:
            CameraError: a QoS override is not valid. No topic is subscribed then.
        """
        self._node = node
        self._transport = transport
        self._on_image = on_image
        self._group = MutuallyExclusiveCallbackGroup()
        self._cameras = [_Camera(topic, self._expected(topic)) for topic in topics]
        try:
            for camera in self._cameras:
                self._subscribe(camera)
        except Exception:
            self.destroy()  # nobody has this object yet, so nobody else can
            raise

    @property
    def problems(self) -> dict[str, str]:
        """By topic, one sentence on why it cannot be read."""
        return {camera.topic: camera.problem for camera in self._cameras if camera.problem}

    @property
    def conflicts(self) -> dict[str, str]:
        """By topic, one sentence on who publishes there, where that are several."""
        return {camera.topic: camera.conflict for camera in self._cameras if camera.conflict}

    def look_up(self) -> None:
        """Compares with what is published now; call it every now and then."""
        for camera in self._cameras:
            self._look_for_others(camera)
            published = self._published(camera.topic)
            if published and camera.type not in map(TYPES.get, published):
                self._settle(camera, published)
            else:
                self._note(camera, "")

    def destroy(self) -> None:
        """Unsubscribes."""
        for camera in self._cameras:
            if camera.subscription is not None:
                self._node.destroy_subscription(camera.subscription)
        self._cameras = []

    def _expected(self, topic: str) -> type:
        if self._transport in TRANSPORTS:
            return TRANSPORTS[self._transport]
        published = next((TYPES[name] for name in self._published(topic) if name in TYPES), None)
        if published is not None:
            return published
        return CompressedImage if topic.endswith(COMPRESSED_SUFFIX) else Image

    def _published(self, topic: str) -> list[str]:
        return sorted({info.topic_type for info in self._node.get_publishers_info_by_topic(topic)})

    def _look_for_others(self, camera: _Camera) -> None:
        publishers = self._node.get_publishers_info_by_topic(camera.topic)
        names = [full_name(publisher) for publisher in publishers]
        if len(names) < 2:
            camera.conflict, camera.twins_since = "", None
            return
        if camera.twins_since is None:
            camera.twins_since = time.monotonic()
        # One without a name was found a moment ago, or its process was killed.
        if len({*names} - {NOBODY}) > 1 or time.monotonic() - camera.twins_since > TWIN_LEASE:
            camera.conflict = (
                f"{len(names)} publishers are on the camera topic {camera.topic}: "
                f"{' and '.join(sorted(names))}; their pictures cannot be told apart, so stop all "
                "but one, or remap it."
            )

    def _settle(self, camera: _Camera, published: list[str]) -> None:
        readable = next((TYPES[name] for name in published if name in TYPES), None)
        if readable is None:
            self._note(
                camera,
                f"Camera topic {camera.topic} carries {', '.join(published)}; expected "
                f"{' or '.join(TYPES)}: correct the parameter cameras.",
            )
        elif self._transport != "auto":
            self._note(
                camera,
                f"Camera topic {camera.topic} carries {', '.join(published)}, and transport is "
                f"{self._transport}; set transport to auto.",
            )
        else:
            self._change_type(camera, readable)

    def _change_type(self, camera: _Camera, new: type) -> None:
        if camera.subscription is not None:
            self._node.destroy_subscription(camera.subscription)
            camera.subscription = None
        try:
            self._subscribe(camera, new)
        except CameraError as error:  # the next look tries again
            self._note(camera, str(error))
        else:
            camera.type = new
            self._note(camera, "")

    def _note(self, camera: _Camera, problem: str) -> None:
        if problem and problem != camera.problem:
            self._node.get_logger().error(problem)
        camera.problem = problem

    def _subscribe(self, camera: _Camera, kind: type | None = None) -> None:
        try:
            camera.subscription = self._node.create_subscription(
                kind or camera.type,
                camera.topic,
                partial(self._on_image, camera.topic),
                camera_qos(),
                callback_group=self._group,
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )
        except (RuntimeError, ValueError, TypeError) as error:
            raise CameraError(
                f"Camera topic {camera.topic} cannot be subscribed: {error}"
            ) from None
