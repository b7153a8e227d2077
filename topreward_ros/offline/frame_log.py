"""What the cameras showed in an episode, small enough to be kept."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import cv2
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

JPEG_QUALITY = 95


class FrameLog:
    """Pictures with their stamps, kept as JPEG: an hour of raw video would not fit into memory."""

    def __init__(self, max_rate: float = 15.0) -> None:
        """Keeps at most `max_rate` pictures a second of camera time."""
        self._period = 1.0 / max_rate
        self._stamps: list[float] = []
        self._encoded: list[NDArray[np.uint8]] = []
        self.seen = 0
        """Pictures that were offered, kept or not."""

    def __len__(self) -> int:
        """Returns how many pictures were kept."""
        return len(self._stamps)

    @property
    def stamps(self) -> list[float]:
        """(N,) s, of the pictures that were kept."""
        return list(self._stamps)

    def due(self, stamp: float) -> bool:
        """Counts a picture of this stamp, s, and says whether it is to be decoded and kept."""
        self.seen += 1
        # A tenth of the period is allowed for jitter: a 15 Hz camera at 15 Hz keeps every frame.
        return not self._stamps or stamp - self._stamps[-1] >= 0.9 * self._period

    def add(self, stamp: float, picture: NDArray[np.uint8]) -> None:
        """Keeps a picture, uint8 RGB (H, W, 3), with its stamp, s."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, encoded = cv2.imencode(".jpg", np.ascontiguousarray(picture[:, :, ::-1]), quality)
        self._stamps.append(stamp)
        self._encoded.append(encoded)

    def clear(self) -> None:
        """Forgets the pictures; the count goes on."""
        self._stamps.clear()
        self._encoded.clear()

    def picture(self, index: int) -> NDArray[np.uint8]:
        """Returns a kept picture, uint8 RGB (H, W, 3)."""
        picture = cv2.imdecode(self._encoded[index], cv2.IMREAD_COLOR)
        return np.ascontiguousarray(picture[:, :, ::-1])

    def __iter__(self) -> Iterator[tuple[float, NDArray[np.uint8]]]:
        """Yields (stamp in s, picture uint8 RGB (H, W, 3)) in order."""
        for index, stamp in enumerate(self._stamps):
            yield stamp, self.picture(index)
