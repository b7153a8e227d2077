"""How a model's curve goes with the annotated parts of a task."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from topreward_ros.method.metrics import value_order_correlation
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode


@dataclass(frozen=True)
class StageFigures:
    """Figures of one episode.

    Attributes:
        within: -1..1, by stage: VOC of the log-probs within it; NaN where fewer than two prefixes
            end in it, or its curve is constant.
        order: -1..1, rank correlation of the stages' mean log-probs with their order; NaN with
            fewer than two stages.
        furthest: the stage in which the log-prob was highest: where a failure stopped.
    """

    within: dict[str, float]
    order: float
    furthest: str


def stage_figures(episode: ScoredEpisode) -> StageFigures | None:
    """Returns the figures of an episode; None where no prefix ends in an annotated stage."""
    parts = {}
    for number, stage in enumerate(episode.stages, start=1):
        inside = (episode.times >= stage.start) & (episode.times < stage.end)
        if stage is episode.stages[-1]:
            inside |= episode.times >= stage.end
        if inside.any():
            parts[f"{number}. {stage.name}"] = episode.log_probs[inside]
    if not parts:
        return None
    means = [float(np.mean(values)) for values in parts.values()]
    peaks = {name: float(np.max(values)) for name, values in parts.items()}
    return StageFigures(
        {name: value_order_correlation(values) for name, values in parts.items()},
        value_order_correlation(means),
        max(peaks, key=peaks.__getitem__),
    )
