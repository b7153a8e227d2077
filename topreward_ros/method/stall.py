"""Whether progress goes on: who pushes in vain, who stands still, who has undone their work.

*Stalled*: pictures changed for `stall_time`, and progress rose by less than `min_progress` in it.
*Standstill*: nothing in the pictures changed for so long, and progress rose by less. *Regressed*:
progress has been more than `min_drop` below the best of before for `regress_time`. All of time is
the camera's. Each is said until the opposite is seen: a rise of `min_progress`, motion for the
standstill, for the regress half of the drop regained.

What counts is the median of the last three readings, so that one outlier is neither progress nor a
fall. Nothing is claimed from what was not seen: the times start anew at a reading of unknown
progress (NaN), of pictures that no camera took then (`NewFrames.seen`), and after a hole
(`max_step`). Nor is it where progress cannot rise by `min_progress` any more, or the task is done.
"""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass

from topreward_ros.method.success import TIME_TOLERANCE

MEDIAN_OF = 3
"""Readings."""
LULL = 2.0
"""s without a change in the pictures that still belong to a motion: slow ones pass the gate
seldom."""
ROUNDING = 1e-9
"""Of progress."""


class StallError(ValueError):
    """Settings or a time order with which the course of progress cannot be judged."""


@dataclass(frozen=True)
class StallSettings:
    """What it takes.

    Attributes:
        stall_time: s without progress; 0: stall and standstill are not looked for.
        min_progress: that counts, of 0..1.
        regress_time: s for which progress has to stay fallen; 0: regress is not looked for.
        min_drop: of progress that has to be exceeded, of 0..1.
        max_step: s between two frames, above which there is a hole; None: any.
    """

    stall_time: float = 0.0
    min_progress: float = 0.05
    regress_time: float = 0.0
    min_drop: float = 0.3
    max_step: float | None = None

    def __post_init__(self) -> None:
        """Refuses what could never, or always, be met."""
        for name in ("stall_time", "regress_time", "max_step"):
            value = getattr(self, name) or 0.0
            if not (math.isfinite(value) and value >= 0.0):
                raise StallError(f"The {name.replace('_', ' ')} is {value} s; expected 0 or more.")
        for name in ("min_progress", "min_drop"):
            if not 0.0 < getattr(self, name) <= 1.0:
                raise StallError(
                    f"The {name.replace('_', ' ')} is {getattr(self, name)}; expected a part of "
                    "progress above 0, at most 1."
                )


@dataclass
class NewFrames:
    """The frames since the last reading, and what is to be known of all of them.

    Attributes:
        count: of them.
        moved: whether pictures changed in them.
        seen: whether all of them show what a camera saw then.
        longest_step: s between two of them, or the first of them and the one before.
    """

    count: int = 0
    moved: bool = False
    seen: bool = True
    longest_step: float = 0.0

    def take(self, step: float, *, moved: bool, seen: bool) -> None:
        """Notes one; `step`: s since the one before, 0 for an episode's first."""
        self.count += 1
        self.moved |= moved
        self.seen &= seen
        self.longest_step = max(self.longest_step, step)


@dataclass(frozen=True)
class StallState:
    """What is known after a reading.

    Attributes:
        stalled: pictures change, and progress does not rise.
        standstill: neither pictures change nor progress rises.
        regressed: progress has fallen, and stayed there.
        quiet: s since the last progress, or since the times started anew.
        best: progress that was reached; NaN before it is known.
    """

    stalled: bool = False
    standstill: bool = False
    regressed: bool = False
    quiet: float = 0.0
    best: float = math.nan


class StallDetector:
    """Judges one baseline of an episode reading by reading; make a new one for the next."""

    def __init__(self, settings: StallSettings) -> None:
        """Starts an episode under these settings."""
        self.settings = settings
        self._recent: deque[float] = deque(maxlen=MEDIAN_OF)
        self._last_time = -math.inf
        self._since = -math.inf  # the last progress, or the first reading after an interruption
        self._changed_at = -math.inf  # the last change of the pictures; not before `_since`
        self._moving = 0.0  # s of motion since then
        self._low = math.inf  # what progress has to rise from
        self._best = -math.inf
        self._fallen_since: float | None = None
        self._stalled = self._standstill = self._regressed = False

    def update(
        self, progress: float, episode_time: float, frames: NewFrames, *, done: bool = False
    ) -> StallState:
        """Takes the next reading in.

        Args:
            progress: 0..1; NaN: unknown.
            episode_time: s since the episode's start, by the camera; it must advance.
            frames: since the last reading.
            done: whether the task counts as done now, so that no progress is to be expected.

        Raises:
            StallError: the time is not a number or does not advance.
        """
        if not (math.isfinite(episode_time) and episode_time > self._last_time):
            raise StallError(
                f"A reading at {episode_time} s follows one at {self._last_time} s; readings must "
                "be given in time order."
            )
        elapsed, self._last_time = episode_time - self._last_time, episode_time
        known = frames.seen and math.isfinite(progress)
        if not known or self._is_hole(frames.longest_step):
            self._recent.clear()
            self._fallen_since = None
        if frames.seen and frames.moved:
            self._standstill = False
        if known:
            self._take_time(episode_time, elapsed, frames.moved)
            self._recent.append(progress)
        if len(self._recent) == MEDIAN_OF:
            value = statistics.median(self._recent)
            self._judge_stall(value, episode_time, done)
            self._judge_regress(value, episode_time, done)
        return self._state(episode_time)

    def _is_hole(self, step: float) -> bool:
        longest = self.settings.max_step
        return longest is not None and step > longest + TIME_TOLERANCE

    def _take_time(self, now: float, elapsed: float, moved: bool) -> None:
        """Counts the time up to a known reading; from it on where there is nothing before it."""
        if not self._recent:
            self._since = self._changed_at = now
            self._moving = 0.0
            return
        if moved:
            pause = now - self._changed_at
            self._moving += pause if pause <= LULL else elapsed
            self._changed_at = now

    def _judge_stall(self, value: float, now: float, done: bool) -> None:
        least = self.settings.min_progress - ROUNDING
        if done or value >= self._low + least or value + least > 1.0:
            self._since = self._changed_at = now
            self._moving = 0.0
            self._low = value
            self._stalled = self._standstill = False
            return
        self._low = min(self._low, value)
        if not self.settings.stall_time:
            return
        enough = self.settings.stall_time - TIME_TOLERANCE
        self._standstill |= now - self._changed_at >= enough
        self._stalled |= self._moving >= enough

    def _judge_regress(self, value: float, now: float, done: bool) -> None:
        if not self.settings.regress_time:
            return
        self._best = max(self._best, value)
        fall = self._best - value
        if done or fall <= self.settings.min_drop + ROUNDING:
            self._fallen_since = None
            self._regressed &= not done and fall > self.settings.min_drop / 2
            return
        if self._fallen_since is None:
            self._fallen_since = now
        enough = self.settings.regress_time - TIME_TOLERANCE
        self._regressed |= now - self._fallen_since >= enough

    def _state(self, now: float) -> StallState:
        quiet = now - self._since if math.isfinite(self._since) else 0.0
        best = self._best if math.isfinite(self._best) else math.nan
        return StallState(self._stalled, self._standstill, self._regressed, quiet, best)
