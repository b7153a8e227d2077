"""What an intake knows of one camera, and whether its picture is a new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topreward_ros.video.camera_clock import CameraClock, Order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from topreward_ros.video.image import ImageMessage


@dataclass
class CameraState:
    """What is known of one camera.

    Attributes:
        clock: its time.
        message: its newest message, if it can be used.
        shown: the message of which its picture in the last frame was made.
        order: what the last message was in its time.
        received: messages so far.
        bad: of them, those that could not be decoded.
        late: those that came after a newer one, and were left out.
        outlying: those whose stamp was not believed.
        frozen: frames in which its picture was not new.
    """

    clock: CameraClock
    message: ImageMessage | None = None
    shown: ImageMessage | None = None
    order: Order = Order.NEWER
    received: int = 0
    bad: int = 0
    late: int = 0
    outlying: int = 0
    frozen: int = 0

    @property
    def stamp(self) -> float:
        """S, of its newest message; minus infinity before the first."""
        return self.clock.stamp

    def is_frozen(self) -> bool:
        """Whether its newest picture is bit for bit the one that was shown, with a newer stamp."""
        before, now = self.shown, self.message
        if before is None or now is before:
            return False
        return np.array_equal(_bytes(before), _bytes(now))


def _bytes(message: ImageMessage) -> NDArray[np.uint8]:
    return np.frombuffer(message.data, np.uint8)
