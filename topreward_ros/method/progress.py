"""Log-probabilities to progress in 0..1: after an episode, live with a calibration, live without.

After an episode the paper's min-max over the whole curve holds (arXiv 2602.19313, section 3). Live
it does not: the first sample would always be 1.0 and every new value would rescale the past. A
log-prob that is NaN (or plus infinity, which no log-probability is) means "unknown" and gives NaN
progress; minus infinity is a certain "no" and gives 0.0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

EPSILON = 1e-8
"""Nat. Keeps the paper's quotient finite; a curve that spans no more than this is constant."""
DEFAULT_PREFIXES = 15
"""Prefixes of an episode that the authors score."""


class ProgressError(ValueError):
    """A curve, a range or a number of prefixes from which no progress can be computed."""


@dataclass(frozen=True)
class EpisodeProgress:
    """Progress of one whole episode.

    Attributes:
        values: (K,) float64 in 0..1; NaN where the log-prob is unknown.
        degenerate: the curve says nothing (constant, or a single sample); then `values` are 0.0.
    """

    values: NDArray[np.float64]
    degenerate: bool


def episode_progress(log_probs: ArrayLike) -> EpisodeProgress:
    """Min-max progress of a finished episode (the paper's s_k, with its epsilon).

    Args:
        log_probs: (K,) log p(True) of K uniformly spaced prefixes, in nats, in time order.

    Raises:
        ProgressError: `log_probs` is empty or not one-dimensional.
    """
    curve = np.asarray(log_probs, dtype=np.float64)
    if curve.ndim != 1 or curve.size == 0:
        raise ProgressError(
            f"The log-prob curve has shape {curve.shape}; "
            "expected one value per prefix, at least one."
        )
    unknown = np.isnan(curve) | (curve == np.inf)
    finite = curve[np.isfinite(curve)]
    span = float(finite.max() - finite.min()) if finite.size else 0.0
    if span <= EPSILON:
        return EpisodeProgress(np.where(unknown, np.nan, 0.0), degenerate=True)
    values = np.clip((curve - finite.min()) / (span + EPSILON), 0.0, 1.0)
    return EpisodeProgress(np.where(unknown, np.nan, values), degenerate=False)


def prefix_lengths(frames: int, count: int = DEFAULT_PREFIXES) -> NDArray[np.int64]:
    """Lengths of uniformly spaced prefixes, `linspace(1, frames, count)` rounded, as the authors'.

    Args:
        frames: frames in the episode.
        count: prefixes wanted. An episode with fewer frames gets one prefix per frame.

    Returns:
        (min(count, frames),) strictly increasing lengths; the last one is `frames`.

    Raises:
        ProgressError: there is no frame, or no prefix is wanted.
    """
    if frames < 1 or count < 1:
        raise ProgressError(
            f"{count} prefixes of {frames} frames were asked for; both must be at least 1."
        )
    if count == 1:
        return np.array([frames], dtype=np.int64)
    lengths = np.linspace(1, frames, min(count, frames)).round().astype(np.int64)
    return np.unique(lengths)


@dataclass(frozen=True)
class CalibratedProgress:
    """Live progress between a floor and a ceiling that were measured beforehand.

    Attributes:
        floor: nat, the log-prob of "nothing done yet".
        ceiling: nat, the log-prob of "done".
    """

    floor: float
    ceiling: float
    source: ClassVar[str] = "calibrated"

    def __post_init__(self) -> None:
        """Refuses a range that is empty or not finite."""
        if not (math.isfinite(self.floor) and math.isfinite(self.ceiling)):
            raise ProgressError(
                f"The progress floor {self.floor} and ceiling {self.ceiling} are not both finite; "
                "expected numbers of nats."
            )
        if self.ceiling - self.floor <= EPSILON:
            raise ProgressError(
                f"The progress floor {self.floor} must lie below the ceiling {self.ceiling} (nat)."
            )

    def update(self, log_prob: float) -> float:
        """Progress in 0..1 of one log-prob (nat); NaN when it is unknown."""
        return _fraction(log_prob, self.floor, self.ceiling)


class RunningProgress:
    """Live progress without a calibration, from what the episode has shown so far.

    The floor is the running minimum. The ceiling is the larger of the running maximum and a hint
    from outside the curve, so that neither a first sample, nor a constant stretch, nor a new
    maximum below the hint is 1.0 by itself.
    """

    source: ClassVar[str] = "running"

    def __init__(self, ceiling_hint: float | None = None) -> None:
        """Starts an episode.

        Args:
            ceiling_hint: nat, the success threshold. None: none is known, and 0 nat, the upper
                bound of every log-probability, stands in.

        Raises:
            ProgressError: the hint is not a finite number.
        """
        hint = 0.0 if ceiling_hint is None else ceiling_hint
        if not math.isfinite(hint):
            raise ProgressError(
                f"The ceiling hint is {hint}; expected a finite number of nats, or None."
            )
        self._floor = math.inf
        self._ceiling = hint

    def update(self, log_prob: float) -> float:
        """Takes the next log-prob (nat) in; returns its progress in 0..1, NaN when unknown."""
        if math.isfinite(log_prob):
            self._floor = min(self._floor, log_prob)
            self._ceiling = max(self._ceiling, log_prob)
        return _fraction(log_prob, self._floor, self._ceiling)


def _fraction(log_prob: float, floor: float, ceiling: float) -> float:
    if math.isnan(log_prob) or log_prob == math.inf:
        return math.nan
    if log_prob == -math.inf or ceiling - floor <= EPSILON:
        return 0.0
    return min(max((log_prob - floor) / (ceiling - floor), 0.0), 1.0)
