"""Which part of a bag is meant: by when messages were recorded, or by the pictures' stamps."""

from __future__ import annotations

import math
from dataclasses import dataclass

from topreward_ros.video.selection import STAMP_TOLERANCE

LATEST = 2**63 - 1
"""ns that no clock has reached."""


@dataclass(frozen=True)
class BagPart:
    """A part of a bag; what is on its end belongs to what follows.

    Attributes:
        received_from: ns of the recorder's clock.
        received_to: ns of the recorder's clock.
        start: s of the pictures' stamps.
        end: s of the pictures' stamps.
    """

    received_from: int = 0
    received_to: int = LATEST
    start: float = -math.inf
    end: float = math.inf

    def holds(self, received: int, stamp: float) -> bool:
        """Says whether a picture belongs to it.

        Args:
            received: ns of the recorder's clock.
            stamp: s, the picture's.
        """
        return (
            self.received_from <= received < self.received_to
            and self.start - STAMP_TOLERANCE <= stamp < self.end - STAMP_TOLERANCE
        )


WHOLE = BagPart()
