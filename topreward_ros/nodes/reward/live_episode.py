"""One running episode as the ROS side sees it, and what it runs with."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from topreward_ros.nodes.camera_health import CameraWatch
from topreward_ros.nodes.reward.parameters import RULES, Change, RewardParameters
from topreward_ros.video.intake import FrameIntake

if TYPE_CHECKING:
    from topreward_msgs.msg import RewardStamped
    from topreward_ros.method.calibration import Calibration
    from topreward_ros.models.contract import VideoScorer


@dataclass(frozen=True)
class Equipment:
    """What a configured node runs episodes with.

    Attributes:
        scorer: the model; here only its plain attributes are read.
        calibration: or None.
        watch: of the cameras.
    """

    scorer: VideoScorer
    calibration: Calibration | None
    watch: CameraWatch


def new_episode_id() -> str:
    """Returns an id that no other episode has."""
    return uuid.uuid4().hex[:12]


@dataclass
class LiveEpisode:
    """A running episode.

    Attributes:
        intake: turns messages into frames.
        started: s, steady clock.
        parameters: those it was begun with.
        warning: what is to be known of it; empty if nothing.
        episode_id: its name.
        baseline: number of the one that readings must have been made under (see `Scored`).
        last: its last reading.
        stalls: what was told of its progress and is not over (see `StallFaults`): by reason, of
            which instruction.
        told: what was told of its statements (see `told_first`).
    """

    intake: FrameIntake
    started: float
    parameters: RewardParameters
    warning: str = ""
    episode_id: str = field(default_factory=new_episode_id)
    baseline: int = 0
    last: RewardStamped | None = None
    stalls: dict[str, str] = field(default_factory=dict)
    told: set[tuple[str, ...]] = field(default_factory=set)

    def told_first(self, *what: str) -> bool:
        """Notes that something is told; says whether it is for the first time."""
        first = what not in self.told
        self.told.add(what)
        return first

    def keeps(self, name: str, value: object) -> str:
        """Returns what is to be said of a parameter that was set while the episode runs.

        Args:
            name: of the parameter.
            value: what it was set to.

        Returns:
            One sentence; empty where the new value holds at once.
        """
        if RULES[name].metadata["change"] is not Change.EPISODE:
            return ""
        return (
            f"{name} was set to {value} while the episode runs; it keeps "
            f"{getattr(self.parameters, name)}, and the next one takes {value}."
        )
