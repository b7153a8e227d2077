"""What a model said of one recorded episode."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.metrics import value_order_correlation
from topreward_ros.method.progress import DEFAULT_PREFIXES, prefix_lengths
from topreward_ros.offline.episodes.recorded_episode import Stage
from topreward_ros.offline.evaluation.gvl import GvlAnswer

WINDOW = 3
"""Log-probs in the paper's success score."""


@dataclass(frozen=True)
class ScoredEpisode:
    """One episode's log-probs.

    Attributes:
        name: of the episode in its source.
        instruction: its task.
        success: whether it was done at the end; None: nobody said.
        grade: 1 to 5 by people; None: nobody said.
        stages: annotated parts.
        times: (N,) s since the first frame.
        log_probs: (N,) nats of the prefixes that end there, under its own instruction.
        controls: (N,) nats by the name of a control, a video or a question.
        seen: (N,) whether each prefix ends with a new picture of every camera; empty: all do.
        answers: nat by instruction of the set: mean of the last log-probs of the whole video.
        gvl: what the same model wrote as GVL asks it; None where it was not asked.
        prefixes: evenly spaced ones, of which `voc` is.
    """

    name: str
    instruction: str
    success: bool | None
    grade: int | None
    stages: tuple[Stage, ...]
    times: NDArray[np.float64]
    log_probs: NDArray[np.float64]
    controls: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    answers: dict[str, float] = field(default_factory=dict)
    seen: tuple[bool, ...] = ()
    gvl: GvlAnswer | None = None
    prefixes: int = DEFAULT_PREFIXES

    @property
    def score(self) -> float:
        """The paper's success score: mean of the last log-probs, nat."""
        return last_mean(self.log_probs)

    @property
    def voc(self) -> float:
        """Value-order correlation over evenly spaced prefixes; see `prefix_voc`."""
        return prefix_voc(self.log_probs, self.prefixes)

    @property
    def gvl_voc(self) -> float:
        """Value-order correlation of GVL's percentages; NaN where it has none."""
        return float("nan") if self.gvl is None else self.gvl.voc

    @property
    def voc_of_all(self) -> float:
        """Value-order correlation over all prefixes; NaN where the curve is constant."""
        return value_order_correlation(self.log_probs)


def prefix_voc(log_probs: NDArray[np.float64], count: int) -> float:
    """Value-order correlation over evenly spaced prefixes; NaN where they are constant."""
    return value_order_correlation(log_probs[prefix_lengths(len(log_probs), count) - 1])


def last_mean(log_probs: NDArray[np.float64]) -> float:
    """Returns the mean of the last `WINDOW` log-probs, nat."""
    return float(np.mean(log_probs[-WINDOW:]))
