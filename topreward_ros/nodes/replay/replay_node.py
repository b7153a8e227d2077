"""Plays a recorded episode on camera topics: a rosbag2 or a video file.

Whatever was recorded goes through the live path this way. Pictures leave by a steady clock at the
time of their cue; a picture that was late does not delay the next.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import rclpy
from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.event_handler import PublisherEventCallbacks
from rclpy.exceptions import ParameterException
from rclpy.publisher import Publisher
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.task import Future
from rclpy.time import Time
from rclpy.timer import Timer
from rosgraph_msgs.msg import Clock as ClockMessage
from sensor_msgs.msg import CompressedImage, Image

from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.replay.parameters import declare_parameters
from topreward_ros.nodes.replay.playback import NANO, Cue, Playback, Stamps, how_far
from topreward_ros.nodes.spinning import run_node
from topreward_ros.printable import printable
from topreward_ros.video.image import ImageMessage, decode
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import Recording

if TYPE_CHECKING:
    from numpy.typing import NDArray

REPORT_PERIOD = 5.0
"""S between two lines about how far the playback is."""
CLOCK_PERIOD = 0.02
"""S between two messages on /clock."""
LAST_WORDS = 2.0
"""S that reliable subscribers get to acknowledge the last pictures."""
LINGER = 0.3
"""S that the node stays after the last picture: best-effort subscribers acknowledge nothing."""
QUEUE = 50
"""Pictures kept for subscribers that are late; the clock has the same."""


class ReplayNode(PrintableNode):
    """Publishes a recording's pictures. `done` completes at the end, or with what went wrong."""

    def __init__(self, **options: Any) -> None:
        """Opens the recording and waits for subscribers as far as asked.

        Args:
            options: as `rclpy.node.Node` takes them.

        Raises:
            ValueError: a parameter or the recording is of no use; one sentence.
        """
        super().__init__("replay_node", **options)
        self.done: Future = Future()
        self._parameters = declare_parameters(self)
        self._recording = self._open()
        self._topics = self._chosen()
        self._playback = Playback(
            partial(self._recording.images, self._topics),
            rate=self._parameters.rate,
            loop=self._parameters.loop,
            stamps=Stamps(self._parameters.stamps),
        )
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._cues: Iterator[Cue] = iter(())
        self._cue: Cue | None = None  # the next one
        self._last: Cue | None = None
        self._started = 0
        self._published = 0
        self._begun = False
        self._timer: Timer | None = None
        self._clock_out = (
            self.create_publisher(ClockMessage, "/clock", QUEUE)
            if self._parameters.publish_clock
            else None
        )
        self._out = {topic: self._publisher(topic) for topic in self._topics}
        self._begin_when_matched()
        if not self._begun:
            names = ", ".join(self._names())
            self.get_logger().info(
                f"Waiting for {self._parameters.wait_for_subscribers} subscriber(s) on {names}."
            )

    def _open(self) -> Recording:
        path = self._parameters.path
        if not path:
            raise ValueError("The parameter path is empty; name a rosbag2 or a video file.")
        return open_recording(path, fps=self._parameters.fps or None)

    def _chosen(self) -> list[str]:
        there = list(self._recording.topics)
        wanted = [topic for topic in self._parameters.topics if topic]
        unknown = sorted(set(wanted) - set(there))
        if unknown:
            raise ValueError(
                f"The recording has no images on {', '.join(unknown)}; it has them on "
                f"{', '.join(there)}."
            )
        return wanted or there

    def _publisher(self, topic: str) -> Publisher:
        compressed = self._recording.topics[topic].type.endswith("CompressedImage")
        encode = self._parameters.quality > 0 and not compressed
        return self.create_publisher(
            CompressedImage if compressed or encode else Image,
            f"{topic}/compressed" if encode else topic,
            QoSProfile(
                depth=QUEUE, reliability=ReliabilityPolicy[self._parameters.reliability.upper()]
            ),
            event_callbacks=PublisherEventCallbacks(matched=lambda _: self._begin_when_matched()),
        )

    def _names(self) -> list[str]:
        return [publisher.topic_name for publisher in self._out.values()]

    def _begin_when_matched(self) -> None:
        counts = [publisher.get_subscription_count() for publisher in self._out.values()]
        if self._begun or min(counts) < self._parameters.wait_for_subscribers:
            return
        self._begun = True
        self._timer = self.create_timer(
            self._parameters.start_delay, self._begin, clock=self._steady
        )

    def _begin(self) -> None:
        # With /clock published from here, the node's own clock would wait for itself.
        clock = Clock() if self._clock_out else self.get_clock()
        self.get_logger().info(
            f"Playing on {', '.join(self._names())} at {self._parameters.rate:g} x."
        )
        self._cues = self._playback.cues(clock.now().nanoseconds)
        self._started = self._steady.now().nanoseconds
        self._after(0.0, self._play)
        self.create_timer(REPORT_PERIOD, self._report, clock=self._steady)
        if self._clock_out:
            self.create_timer(CLOCK_PERIOD, self._tell_time, clock=self._steady)

    def _after(self, seconds: float, act: Callable[[], None]) -> None:
        """Lets the one timer act next, once the time has come."""
        if self._timer:
            self.destroy_timer(self._timer)
        self._timer = self.create_timer(max(seconds, 0.0), act, clock=self._steady)

    def _elapsed(self) -> float:
        return (self._steady.now().nanoseconds - self._started) / NANO

    def _play(self) -> None:
        """Publishes the picture whose time has come, and waits for the next one's."""
        try:
            if self._cue:
                self._publish(self._cue)
            self._cue = next(self._cues, None)
        except Exception as error:  # whatever it is, it ends the playback and not only this call
            self._timer.cancel()
            self.done.set_exception(error)
            return
        if self._cue is None:
            self._finish()
            return
        # Always from the start of the playback, so that delays do not add up.
        # A timer with a period of 0 may never be called again.
        self._timer.timer_period_ns = max(1, round((self._cue.due - self._elapsed()) * NANO))
        self._timer.reset()

    def _publish(self, cue: Cue) -> None:
        if self._clock_out:
            self._clock_out.publish(ClockMessage(clock=Time(nanoseconds=cue.stamp).to_msg()))
        self._out[cue.topic].publish(to_ros(cue.message, cue.stamp, self._parameters.quality))
        self._last = cue
        self._published += 1

    def _tell_time(self) -> None:
        """Lets /clock run on between two pictures, never past the next one."""
        if not (self._last and self._cue):
            return
        passed = max(0.0, self._elapsed() - self._last.due) * self._parameters.rate
        stamp = self._last.stamp + round(passed * NANO)
        if self._cue.stamp > self._last.stamp:
            stamp = min(stamp, self._cue.stamp)
        self._clock_out.publish(ClockMessage(clock=Time(nanoseconds=stamp).to_msg()))

    def _report(self) -> None:
        if self._cue and self._last:
            self.get_logger().info(how_far(self._last, self._recording.duration, self._published))

    def _finish(self) -> None:
        for publisher in self._out.values():
            publisher.wait_for_all_acked(Duration(seconds=LAST_WORDS))
        self.get_logger().info(f"Played {self._published} pictures in {self._elapsed():.1f} s.")
        if self._parameters.shutdown_when_done:
            self._after(LINGER, partial(self.done.set_result, None))
        else:
            self._timer.cancel()


def to_ros(message: ImageMessage, stamp: int, quality: int) -> Image | CompressedImage:
    """Returns a recorded image message as one that can be published.

    Args:
        message: fields of `sensor_msgs/Image` or `sensor_msgs/CompressedImage`.
        stamp: ns, for its header.
        quality: 1 to 100: a raw picture becomes a JPEG of this quality; 0: it stays raw.

    Raises:
        ImageError: a raw picture that is to be encoded cannot be read.
    """
    if hasattr(message, "format"):
        result = CompressedImage(format=message.format, data=_bytes(message.data))
    elif quality:
        picture = np.ascontiguousarray(decode(message)[:, :, ::-1])
        _, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
        result = CompressedImage(format="rgb8; jpeg compressed bgr8", data=_bytes(encoded))
    else:
        result = Image(
            height=int(message.height),
            width=int(message.width),
            encoding=message.encoding,
            is_bigendian=int(message.is_bigendian),
            step=int(message.step),
            data=_bytes(message.data),
        )
    result.header.stamp = Time(nanoseconds=stamp).to_msg()
    result.header.frame_id = message.header.frame_id
    return result


def _bytes(data: NDArray[np.uint8]) -> array:
    # rclpy takes this type as it is, and looks at every element of any other.
    return array("B", data.tobytes())


def main(arguments: Sequence[str] | None = None) -> int:
    """Plays until the end or a signal.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0 at the end or after a signal, 1 with one sentence if it cannot play.
    """
    playing: list[ReplayNode] = []

    def create() -> ReplayNode:
        node = ReplayNode()
        node.done.add_done_callback(lambda _: rclpy.try_shutdown())
        playing.append(node)
        return node

    try:
        run_node(create, ReplayNode.destroy_node, arguments)
        if playing[0].done.done():
            playing[0].done.result()
    except (ValueError, ParameterException) as error:
        print(printable(f"replay_node: {error}"), file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()
    return 0


if __name__ == "__main__":
    sys.exit(main())
