"""The result of an evaluation: episodes, variants, and their figures as plain values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from topreward_ros.method.success import SuccessSettings
from topreward_ros.offline.evaluation.figures import SetFigures, set_figures
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode
from topreward_ros.offline.evaluation.stage_figures import stage_figures


@dataclass(frozen=True)
class Variant:
    """One way of scoring, all else being equal.

    Attributes:
        name: of the way; "as given" for the one that the options name.
        model: as it was asked for.
        episodes: what it said.
        detector: with the threshold that holds for it, if there is one.
        failed: sentences on the episodes that could not be scored.
        minutes: of scoring.
        gvl_seed: of the order in which GVL showed frames; None where it was not asked.
        unknown: a sentence on log-probs that are no number; "" where all are.
    """

    name: str
    model: str
    episodes: tuple[ScoredEpisode, ...]
    detector: SuccessSettings
    failed: tuple[str, ...] = ()
    minutes: float = 0.0
    gvl_seed: int | None = None
    unknown: str = ""


@dataclass(frozen=True)
class Evaluation:
    """What the report is made of.

    Attributes:
        source: path and kind of the recorded episodes.
        variants: at least one, with at least one episode.
        settings: what was asked for, by the names of the options.
        confidence: of all intervals, two-sided.
    """

    source: str
    variants: tuple[Variant, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    confidence: float = 0.95

    def figures(self, variant: Variant) -> SetFigures:
        """Returns the figures of all episodes of a variant."""
        return set_figures(variant.episodes, variant.detector, self.confidence)

    def by_task(self, variant: Variant) -> dict[str, SetFigures]:
        """Returns the figures of each task."""
        tasks = dict.fromkeys(each.instruction for each in variant.episodes)
        return {
            task: set_figures(
                [each for each in variant.episodes if each.instruction == task],
                variant.detector,
                self.confidence,
            )
            for task in tasks
        }

    def as_json(self) -> dict[str, Any]:
        """Returns everything as JSON has it; what is undefined is null."""
        return {
            "source": self.source,
            "settings": self.settings,
            "confidence": self.confidence,
            "variants": [self._variant(variant) for variant in self.variants],
        }

    def _variant(self, variant: Variant) -> dict[str, Any]:
        return {
            "name": variant.name,
            "model": variant.model,
            "success_threshold": variant.detector.threshold,
            "minutes": round(variant.minutes, 2),
            "gvl_seed": variant.gvl_seed,
            "failed": list(variant.failed),
            "unknown": variant.unknown,
            "figures": _plain(asdict(self.figures(variant))),
            "tasks": {
                task: _plain(asdict(figures)) for task, figures in self.by_task(variant).items()
            },
            "episodes": [_episode(each) for each in variant.episodes],
        }


def confusion(episodes: Sequence[ScoredEpisode]) -> dict[str, dict[str, float]]:
    """Returns the mean score by the videos' task and the instruction that was asked about, nat."""
    told = [each for each in episodes if each.answers]
    tasks = dict.fromkeys(each.instruction for each in told)
    return {
        task: {
            asked: _mean([e.answers[asked] for e in told if e.instruction == task])
            for asked in told[0].answers
        }
        for task in tasks
    }


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _episode(each: ScoredEpisode) -> dict[str, Any]:
    stages = stage_figures(each)
    return _plain(
        {
            "name": each.name,
            "instruction": each.instruction,
            "success": each.success,
            "grade": each.grade,
            "score": each.score,
            "voc": each.voc,
            "voc_of_all": each.voc_of_all,
            "stages": None if stages is None else asdict(stages),
            "times": each.times.tolist(),
            "log_probs": each.log_probs.tolist(),
            "controls": {name: curve.tolist() for name, curve in each.controls.items()},
            "answers": each.answers,
            "gvl": None if each.gvl is None else each.gvl.as_json(),
        }
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
