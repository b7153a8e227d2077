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
        frozen: whether its pictures were not new, and have not been for long enough since.
        alive: frames since then in which its picture was new.
        conflict: who publishes on its topic, where that are several; empty where it is one.
    """

    last_heard: float
    received: int = 0
    refused: int = 0
    refusal: str = ""
    lost: bool = False
    frozen: bool = False
    alive: int = 0
    conflict: str = ""


ALIVE = 3
"""Frames with a new picture after which a camera that was frozen is not any more. One that sends
each picture twice stays so, and is told of once."""


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
            camera.lost = camera.frozen = False
            camera.conflict = ""  # to be told in the new episode too

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

    def newly_frozen(self, frozen: Sequence[str]) -> list[str]:
        """Returns those of a frame's frozen cameras that were not frozen before."""
        new = [topic for topic in frozen if not self.cameras[topic].frozen]
        for topic in frozen:
            self.cameras[topic].frozen, self.cameras[topic].alive = True, 0
        return new

    def newly_alive(self, frozen: Sequence[str]) -> list[str]:
        """Returns the cameras that were frozen and have had new pictures for long enough.

        Args:
            frozen: cameras whose picture in the newest frame is not new.
        """
        recovered = []
        for topic, camera in self.cameras.items():
            if camera.frozen and topic not in frozen:
                camera.alive += 1
                if camera.alive == ALIVE:
                    camera.frozen = False
                    recovered.append(topic)
        return recovered
