"""What is told of progress that does not go on, and how it is put."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.reward.parameters import RewardParameters

if TYPE_CHECKING:
    from topreward_ros.episode import Reading
    from topreward_ros.nodes.reward.live_episode import LiveEpisode

SCALES = {
    RewardStamped.PROGRESS_CALIBRATED: "calibrated",
    RewardStamped.PROGRESS_RUNNING: "running, measured against what this episode has shown so far",
}
"""How progress was normalised, in words."""
NAMES = {
    EpisodeEvent.REASON_STALLED: "Stalled",
    EpisodeEvent.REASON_STANDSTILL: "At a standstill",
    EpisodeEvent.REASON_REGRESSED: "Regressed",
}


class StallFaults:
    """Tells each once, and once that it is over."""

    def __init__(self, tell: Callable[[str, str, str], None], log: RcutilsLogger) -> None:
        """Keeps nothing; what stands is noted in the episode.

        Args:
            tell: publishes an event: which, its reason, and one sentence.
            log: for people.
        """
        self._publish = tell
        self._log = log

    def take(self, episode: LiveEpisode, reading: Reading) -> None:
        """Takes in what a reading says of it."""
        now = dict(_said(reading, episode.parameters))
        stood = {r for r, asked in episode.stalls.items() if asked == reading.instruction}
        for reason in sorted(episode.stalls.keys() - (now.keys() & stood)):
            detail = _over(reason, reading, other_task=reason not in stood)
            self._log.info(detail)
            self._publish(EpisodeEvent.RECOVERED, reason, detail)
        for reason in sorted(now.keys() - stood):
            self._log.warning(now[reason])
            self._publish(EpisodeEvent.FAULT, reason, now[reason])
        episode.stalls = dict.fromkeys(now, reading.instruction)


def _said(reading: Reading, parameters: RewardParameters) -> Iterator[tuple[str, str]]:
    stall, level = reading.stall, _level(reading)
    rise = f"a rise of {parameters.stall_min_progress:g} or more in {stall.quiet:.1f} s"
    if stall.stalled:
        moved = (
            f"in {parameters.stall_time:g} s of which pictures changed"
            if parameters.motion_gate
            else "and without motion_gate it is not known whether anything moved"
        )
        yield EpisodeEvent.REASON_STALLED, f"Stalled: progress is {level}, without {rise}, {moved}."
    if stall.standstill:
        yield (
            EpisodeEvent.REASON_STANDSTILL,
            f"At a standstill: progress is {level}, without {rise}, and nothing in the pictures "
            f"has changed for {parameters.stall_time:g} s.",
        )
    if stall.regressed:
        yield (
            EpisodeEvent.REASON_REGRESSED,
            f"Regressed: progress is {level}, after {stall.best:.2f}, and has been more than "
            f"{parameters.regress_min_drop:g} below that for {parameters.regress_time:g} s.",
        )


def _over(reason: str, reading: Reading, *, other_task: bool) -> str:
    why = "the task is another now" if other_task else f"progress is {_level(reading)}"
    return f"{NAMES[reason]} no longer: {why}."


def _level(reading: Reading) -> str:
    value = "unknown" if math.isnan(reading.progress) else f"{reading.progress:.2f}"
    return f"{value} ({SCALES[reading.progress_source]})"
