"""From an image message to a frame of the running episode, or to why it is none.

What is selected is decoded beside the executor, so that services answer whatever arrives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_ros.nodes.camera_health import CameraWatch
from topreward_ros.nodes.reward.live_episode import LiveEpisode
from topreward_ros.video.camera_clock import Order
from topreward_ros.video.intake import Frame, FrameIntake
from topreward_ros.video.picture_job import CameraImageError

Beside = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs a function on another thread while the executor goes on; gives what it returns or raises."""


class ImageTaking:
    """Takes images in, one after the other."""

    def __init__(self, beside: Beside, log: RcutilsLogger) -> None:
        """Has taken nothing in yet.

        Args:
            beside: decodes pictures.
            log: for people.
        """
        self._beside = beside
        self._log = log

    async def frame(
        self,
        episode: LiveEpisode | None,
        watch: CameraWatch,
        topic: str,
        stamp: float,
        message: Any,
        arrived: float | None,
    ) -> Frame | None:
        """Returns the frame that an image completes, if it does.

        Args:
            episode: the running one; None: images are heard, and nothing is made of them.
            watch: of the cameras.
            topic: of the camera.
            stamp: s of camera time.
            message: the image.
            arrived: s, when it came (see `CameraClock.judge`).

        Raises:
            ClockJump: the camera's time is another one now.
            ValueError: the image is none that a video can go on with.
        """
        if episode is None:
            return None
        intake = episode.intake
        camera = intake.cameras[topic]
        try:
            frame = await self._add(intake, topic, stamp, message, arrived)
        except CameraImageError as error:
            if error.camera == topic:
                raise
            frame = None
            self.refuse(watch, error.camera, str(error), counted=True)
        if camera.order is Order.REPEATED:
            raise ValueError(f"The stamp stands still at {stamp:.3f} s; is the camera frozen?")
        if camera.order is Order.OUTLIER:
            raise ValueError(
                f"The stamp {stamp:.3f} s does not go on from {camera.stamp:.3f} s; it is left out."
            )
        if frame is None and topic in intake.stale:
            raise ValueError(
                f"The stamp {stamp:.3f} s is more than camera_max_age behind another camera's."
            )
        return frame

    async def _add(
        self, intake: FrameIntake, topic: str, stamp: float, message: Any, arrived: float | None
    ) -> Frame | None:
        """Does what `FrameIntake.add` does."""
        job = intake.note(topic, stamp, message, arrived)
        if job is None:
            return None
        try:
            return intake.finish(await self._beside(job.make))
        except CameraImageError as error:
            intake.drop(error.camera)
            raise

    def refuse(self, watch: CameraWatch, topic: str, reason: str, *, counted: bool = False) -> None:
        """Notes an image that cannot be used, and says so where the reason is new."""
        if watch.refuse(topic, reason, counted=counted):
            self._log.warning(
                f"An image of {topic} is refused: {reason}", throttle_duration_sec=1.0
            )
