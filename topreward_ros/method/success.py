"""When an episode counts as done: a score that is held above a threshold long enough.

The score is the mean of the last k log-probs (the paper's success score, k = 3). One sample above
a threshold stops robots wrongly, so the score has to stay there for a while, and not too early. All
of time is the camera's, since the episode's start.

A log-prob that is NaN (or plus infinity, which no log-probability is) is unknown and makes the
score NaN as long as it is in the window; minus infinity makes it minus infinity. Neither is above
any threshold, so both start the hold anew. A success that latched before stays.

Every frame counts, each with its reading: fewer readings are a laxer detector, because the dips
between them go unseen. Where some are missing (`interrupt`), window and hold start anew. They do so
too where the camera's time steps over more than `max_step`, and at a reading of pictures that
nobody saw (`seen`): what a hold rests on lies on both sides of every moment in it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

TIME_TOLERANCE = 1e-3
"""Seconds by which a hold may fall short: stamps of 2 Hz cameras do not add up to exact seconds."""


class SuccessError(ValueError):
    """Settings or a time order with which success cannot be judged."""


@dataclass(frozen=True)
class SuccessSettings:
    """What it takes to count as success.

    Attributes:
        threshold: nat; the score must lie above it. None: no threshold, never a success.
        window: log-probs in the score's mean; without a full window there is no score.
        hold: s during which every score must lie above the threshold.
        min_duration: s from the episode's start before which success is never claimed.
        max_time: s from the episode's start after which no success latches any more; None: no end.
        max_step: s between two readings, above which neither window nor hold runs on; None: any.
    """

    threshold: float | None = None
    window: int = 3
    hold: float = 1.0
    min_duration: float = 2.0
    max_time: float | None = None
    max_step: float | None = None

    def __post_init__(self) -> None:
        """Refuses settings that could never, or always, be met."""
        if self.threshold is not None and not (-math.inf < self.threshold <= 0.0):
            raise SuccessError(
                f"The success threshold is {self.threshold} nat; expected a finite number of at "
                "most 0 (log-probabilities are negative), or none."
            )
        if self.window < 1:
            raise SuccessError(f"The success window is {self.window}; expected at least 1 reading.")
        times = {
            "hold": self.hold,
            "minimum duration": self.min_duration,
            "time limit": 0.0 if self.max_time is None else self.max_time,
            "longest step": 0.0 if self.max_step is None else self.max_step,
        }
        for name, value in times.items():
            if not (math.isfinite(value) and value >= 0.0):
                raise SuccessError(f"The success {name} is {value} s; expected 0 or more.")


@dataclass(frozen=True)
class SuccessState:
    """What the detector knows after a reading.

    Attributes:
        score: nat, mean of the last `window` log-probs; NaN where there are not so many.
        success: latched: it stays true once it is.
        since: s, episode time of the reading at which success latched; None before.
        holds: whether success has latched, and every score within the hold that ends here lies
            above the threshold. Who acts later than at the latch must not act without it.
    """

    score: float
    success: bool
    since: float | None
    holds: bool


class SuccessDetector:
    """Judges one baseline of an episode reading by reading; make a new one for the next."""

    def __init__(self, settings: SuccessSettings) -> None:
        """Starts an episode under these settings."""
        self.settings = settings
        self._recent: deque[float] = deque(maxlen=settings.window)
        self._last_time = -math.inf
        self._above_since: float | None = None
        self._since: float | None = None

    def update(self, log_prob: float, episode_time: float, *, seen: bool = True) -> SuccessState:
        """Takes the next reading in.

        Args:
            log_prob: nat.
            episode_time: s since the episode's start, by the camera; it must advance.
            seen: whether it is of pictures that a camera took then. One that is not fills neither
                window nor hold, and has no score.

        Raises:
            SuccessError: the time is not a number or does not advance.
        """
        if not (math.isfinite(episode_time) and episode_time > self._last_time):
            raise SuccessError(
                f"A reading at {episode_time} s follows one at {self._last_time} s; readings must "
                "be given in time order."
            )
        if not seen or exceeds_step(episode_time - self._last_time, self.settings):
            self._forget()
        self._last_time = episode_time
        if seen:
            self._recent.append(math.nan if log_prob == math.inf else log_prob)
        score = self._score()
        threshold = self.settings.threshold
        if threshold is None or not score > threshold:
            self._above_since = None
        elif self._above_since is None:
            self._above_since = episode_time
        held = self._held(episode_time)
        if self._since is None and held and _may_latch(episode_time, self.settings):
            self._since = episode_time
        latched = self._since is not None
        return SuccessState(score, latched, self._since, latched and held)

    def interrupt(self) -> None:
        """Starts window and hold anew, for readings are missing before the next one.

        What latches after it would have latched with the missing readings too. A success that has
        latched already needs no window, and keeps its score.
        """
        if self._since is None:
            self._forget()

    def _forget(self) -> None:
        self._recent.clear()
        self._above_since = None

    def _score(self) -> float:
        if len(self._recent) < self.settings.window:
            return math.nan
        return math.fsum(self._recent) / len(self._recent)

    def _held(self, now: float) -> bool:
        since = self._above_since
        return since is not None and _long_enough(now - since, self.settings.hold)


def success_scores(log_probs: Sequence[float], window: int = 3) -> list[float]:
    """The score at each reading of a whole episode; NaN before the window is full.

    Args:
        log_probs: (N,) nats in time order.
        window: log-probs in the mean.
    """
    detector = SuccessDetector(SuccessSettings(window=window))
    return [detector.update(float(value), time).score for time, value in enumerate(log_probs)]


def latch_level(
    log_probs: Sequence[float],
    episode_times: Sequence[float],
    settings: SuccessSettings,
    seen: Sequence[bool] | None = None,
) -> float:
    """The level that decides an episode: success would latch under exactly the thresholds below it.

    That is the maximum over the readings from `min_duration` to `max_time` of the lowest score
    within the hold that ends there, so it counts what the live detector counts, over the whole
    attempt.

    Args:
        log_probs: (N,) nats in time order.
        episode_times: (N,) s since the episode's start, increasing.
        settings: of the detector; the threshold is not used.
        seen: (N,) whether each reading is of pictures that a camera took then; None: all are.

    Returns:
        nat; minus infinity where no threshold would latch.

    Raises:
        SuccessError: the lengths differ, or the times do not advance.
    """
    if len(log_probs) != len(episode_times):
        raise SuccessError(
            f"{len(log_probs)} log-probs do not go with {len(episode_times)} times; expected one "
            "time per log-prob."
        )
    detector = SuccessDetector(settings)
    scores: list[float] = []
    level = -math.inf
    first = 0
    for index, (log_prob, now) in enumerate(zip(log_probs, episode_times, strict=True)):
        here = seen is None or bool(seen[index])
        score = detector.update(float(log_prob), float(now), seen=here).score
        scores.append(-math.inf if math.isnan(score) else score)
        if index and exceeds_step(now - episode_times[index - 1], settings):
            first = index
        while first < index and _long_enough(now - episode_times[first + 1], settings.hold):
            first += 1
        held = _long_enough(now - episode_times[first], settings.hold)
        if held and _may_latch(now, settings):
            level = max(level, min(scores[first:]))
    return level


def exceeds_step(seconds: float, settings: SuccessSettings) -> bool:
    """Whether so much of the camera's time between two readings is a hole in the evidence."""
    # Before the first reading it is infinite, and there is nothing to forget.
    return settings.max_step is not None and seconds > settings.max_step + TIME_TOLERANCE


def _may_latch(now: float, settings: SuccessSettings) -> bool:
    too_late = settings.max_time is not None and now > settings.max_time + TIME_TOLERANCE
    return not too_late and _long_enough(now, settings.min_duration)


def _long_enough(seconds: float, least: float) -> bool:
    return seconds + TIME_TOLERANCE >= least
