"""One running episode as the ROS side sees it."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from topreward_ros.video.intake import FrameIntake

if TYPE_CHECKING:
    from topreward_msgs.msg import RewardStamped


def new_episode_id() -> str:
    """Returns an id that no other episode has."""
    return uuid.uuid4().hex[:12]


@dataclass
class LiveEpisode:
    """A running episode.

    Attributes:
        instruction: the task that is asked about now.
        intake: turns messages into frames.
        inbox_size: frames that may wait for scoring.
        started: s, steady clock.
        warning: what is to be known of it; empty if nothing.
        episode_id: its name.
        last: its last reading.
    """

    instruction: str
    intake: FrameIntake
    inbox_size: int
    started: float
    warning: str = ""
    episode_id: str = field(default_factory=new_episode_id)
    last: RewardStamped | None = None
