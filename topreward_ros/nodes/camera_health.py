"""Whether each camera is heard, by the steady clock, and what was wrong with its images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass
class CameraHealth:
    """What is known of one camera since the episode's start or since it was subscribed.

    Attributes:
        last_heard: s, steady clock; the start of the watch before the first image.
        received: images so far.
        refused: of them, those that could not be used.
        refusal: why the last of those was refused; empty when an image since then was good.
        lost: whether it was silent for longer than allowed.
    """

    last_heard: float
    received: int = 0
    refused: int = 0
    refusal: str = ""
    lost: bool = False


class CameraWatch:
    """Watches several cameras. An image that cannot be used does not count as heard."""

    def __init__(self, topics: Sequence[str], now: float) -> None:
        """Starts the watch.

        Args:
            topics: names of the cameras.
            now: s, steady clock.
        """
        self.cameras = {topic: CameraHealth(now) for topic in topics}

    @property
    def lost(self) -> list[str]:
        """Cameras that are silent for too long."""
        return [topic for topic, camera in self.cameras.items() if camera.lost]

    def restart(self, now: float) -> None:
        """Gives every camera its full time again; nothing is lost any more."""
        for camera in self.cameras.values():
            camera.last_heard = now
            camera.lost = False

    def heard(self, topic: str, now: float) -> bool:
        """Notes a good image; True when the camera was lost before."""
        camera = self.cameras[topic]
        camera.received += 1
        camera.last_heard = now
        camera.refusal = ""
        recovered, camera.lost = camera.lost, False
        return recovered

    def refuse(self, topic: str, reason: str, *, counted: bool = False) -> bool:
        """Notes an image that cannot be used; True when the reason is a new one.

        Args:
            topic: of its camera.
            reason: one sentence.
            counted: whether it was noted as heard before; it was not looked at then.
        """
        camera = self.cameras[topic]
        camera.received += not counted
        camera.refused += 1
        new, camera.refusal = reason != camera.refusal, reason
        return new

    def newly_lost(self, now: float, timeout: float) -> list[str]:
        """Returns the cameras that have just passed `timeout` seconds of silence."""
        late = [
            topic
            for topic, camera in self.cameras.items()
            if not camera.lost and now - camera.last_heard > timeout
        ]
        for topic in late:
            self.cameras[topic].lost = True
        return late
