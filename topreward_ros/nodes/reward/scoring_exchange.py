"""What the scoring thread is given and what it gives back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from topreward_ros.episode import Reading


@dataclass(frozen=True)
class QueuedFrame:
    """A selected frame on its way to the model.

    Attributes:
        image: (height, width, 3) uint8 RGB of the scorer's frame size, or None: nothing moved.
        stamp: s, the camera's time.
        arrived: s, steady clock, when its message was received.
        made: s, steady clock, when its picture was decoded, tiled and resized.
        header: `std_msgs/Header` of the reading that it leads to.
        seen: whether every camera's picture in it is a new one.
    """

    image: NDArray[np.uint8] | None
    stamp: float
    arrived: float
    made: float
    header: Any
    seen: bool = True


@dataclass(frozen=True)
class Scored:
    """A reading, with the newest frame that it saw.

    Attributes:
        episode_id: which episode's.
        baseline: how often the episode's instruction had been changed for it. A text that comes
            back is a new baseline too, so it cannot tell.
        reading: what the model says.
        newest: frame that it saw.
    """

    episode_id: str
    baseline: int
    reading: Reading
    newest: QueuedFrame


@dataclass(frozen=True)
class Failed:
    """An episode that ended because scoring it raised.

    Attributes:
        episode_id: which one.
        kind: class of the exception. The exception itself would keep the model's memory alive.
        message: its words.
        trace: its trace, as text.
    """

    episode_id: str
    kind: type[Exception]
    message: str
    trace: str
