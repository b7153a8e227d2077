"""What is told of cameras that are silent, frozen, or not alone on their topic."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.camera_health import CameraWatch

Tell = Callable[[str, str, str], None]
"""Publishes an event: which, its reason, and one sentence."""


class CameraFaults:
    """Tells each fault of a camera once, and once that it is over."""

    def __init__(self, tell: Tell, log: RcutilsLogger) -> None:
        """Knows of no fault.

        Args:
            tell: publishes.
            log: for people.
        """
        self._publish = tell
        self._log = log

    def watch(
        self,
        watch: CameraWatch,
        problems: Mapping[str, str],
        conflicts: Mapping[str, str],
        timeout: float,
    ) -> None:
        """Looks for cameras that have gone silent, and for topics with several publishers.

        Args:
            watch: of the cameras.
            problems: by camera, what is known to be wrong with its topic.
            conflicts: by camera, who publishes on its topic, where that are several.
            timeout: s of silence.
        """
        for topic in watch.newly_lost(time.monotonic(), timeout):
            why = problems.get(topic) or watch.cameras[topic].refusal or "no image arrives."
            self._fault(
                EpisodeEvent.REASON_CAMERA_LOST,
                f"The camera {topic} gave no usable image for {timeout:g} s: {why}",
            )
        for topic, camera in watch.cameras.items():
            now = conflicts.get(topic, "")
            if now and not camera.conflict:
                self._fault(EpisodeEvent.REASON_CAMERA_CONFLICT, now)
            elif camera.conflict and not now:
                self._over(
                    EpisodeEvent.REASON_CAMERA_CONFLICT, f"One node alone publishes on {topic}."
                )
            camera.conflict = now

    def heard_again(self, topic: str) -> None:
        """Tells that a camera which was silent is heard."""
        self._over(EpisodeEvent.REASON_CAMERA_LOST, f"The camera {topic} is heard again.")

    def shown(self, watch: CameraWatch, frozen: Sequence[str]) -> None:
        """Takes in which cameras had no new picture in the newest frame."""
        for topic in watch.newly_frozen(frozen):
            self._fault(
                EpisodeEvent.REASON_CAMERA_FROZEN,
                f"The camera {topic} sends one picture again and again, with new stamps; no "
                "success is claimed on it. Restart the camera; for a simulator, which may send "
                "equal pictures, set frozen_check to false.",
            )
        for topic in watch.newly_alive(frozen):
            self._over(
                EpisodeEvent.REASON_CAMERA_FROZEN, f"The camera {topic} sends new pictures again."
            )

    def _fault(self, reason: str, detail: str) -> None:
        self._log.error(detail)
        self._publish(EpisodeEvent.FAULT, reason, detail)

    def _over(self, reason: str, detail: str) -> None:
        self._log.info(detail)
        self._publish(EpisodeEvent.RECOVERED, reason, detail)
