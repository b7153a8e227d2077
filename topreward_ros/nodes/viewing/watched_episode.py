"""What one episode has shown so far, as a picture or markers show it."""

from __future__ import annotations

import math

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import ending
from topreward_ros.offline.report import note_stage
from topreward_ros.video.overlay import OverlayState

MAX_POINTS = 4000
"""Points of the curve; with more, every second one goes."""


class WatchedEpisode:
    """Follows a reward node's readings and events, one episode after the other."""

    def __init__(self) -> None:
        """Starts without an episode."""
        self._begin("", "")

    def take_reading(self, message: RewardStamped) -> None:
        """Takes a reading in; one of another episode or instruction starts a new curve."""
        if (message.episode_id, message.instruction) != (self._id, self._instruction):
            self._begin(message.episode_id, message.instruction)
        if len(self._times) >= MAX_POINTS:
            del self._times[1::2], self._progress[1::2]
        self._times.append(message.episode_time)
        self._progress.append(message.progress)
        note_stage(self._stages, message.stage, message.episode_time)
        self._last = message
        self._ended = ""
        if message.success and self._success_time is None:
            self._success_time = message.episode_time

    def take_event(self, message: EpisodeEvent) -> None:
        """Takes an event of the reward node in: a start clears the curve, an end is noted."""
        if message.event == EpisodeEvent.STARTED and message.episode_id != self._id:
            self._begin(message.episode_id, message.instruction)
        elif message.event == EpisodeEvent.STOPPED and message.episode_id == self._id:
            self._ended = ending(message)

    def take_managers_event(self, message: EpisodeEvent) -> None:
        """Takes an event of the manager in, whose word on an end counts more than the node's."""
        if message.event == EpisodeEvent.STOPPED and message.episode_id == self._id:
            self._concluded = ending(message)

    def state(self) -> OverlayState:
        """Returns what is to be shown now."""
        last = self._last
        note = last.model.rstrip("/").rsplit("/", 1)[-1] if last else ""
        if ended := self._concluded or self._ended:
            note = f"ended: {ended}"
        return OverlayState(
            instruction=self._instruction,
            times=self._times,
            progress=self._progress,
            log_prob=_finite(last.log_prob) if last else None,
            reward=_finite(last.reward) if last else None,
            success=bool(last and last.success),
            success_time=self._success_time,
            model=note,
            censored=bool(last and last.censored),
            stages=tuple(self._stages),
        )

    def _begin(self, episode_id: str, instruction: str) -> None:
        self._id = episode_id
        self._instruction = instruction
        self._times: list[float] = []
        self._progress: list[float] = []
        self._stages: list[tuple[str, float]] = []
        self._last: RewardStamped | None = None
        self._success_time: float | None = None
        self._ended = self._concluded = ""


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
