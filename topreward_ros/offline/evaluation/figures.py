"""Figures of merit of a set of scored episodes, each with its interval and what it was made of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.stats import spearmanr

from topreward_ros.method.calibration import Interval
from topreward_ros.method.intervals import auc_interval, proportion_interval
from topreward_ros.method.metrics import success_auc
from topreward_ros.method.progress import DEFAULT_PREFIXES
from topreward_ros.method.resampling import mean_interval, paired_interval
from topreward_ros.method.success import SuccessSettings, latch_level
from topreward_ros.offline.episodes.recorded_episode import HIGHEST_GRADE, LOWEST_GRADE
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode, last_mean, prefix_voc

UNKNOWN = float("nan")
GVL_SCORE = "VOC of GVL"
Curve = tuple[np.ndarray, np.ndarray, tuple[bool, ...]]
"""Log-probs, times, and what of them was seen (see `ScoredEpisode`)."""


@dataclass(frozen=True)
class Figure:
    """One figure of merit.

    Attributes:
        interval: the figure and its limits; NaN where it is undefined.
        count: episodes that it is made of.
        undefined: episodes that have no value of it, a constant curve mostly; they stay out.
    """

    interval: Interval
    count: int
    undefined: int = 0


@dataclass(frozen=True)
class ControlFigures:
    """What a model says of a control.

    Attributes:
        voc: mean over the episodes.
        beaten: share of episodes whose own video has a higher success score than the control.
        claims: share of controls of which success would be claimed; None without a threshold.
    """

    voc: Figure
    beaten: Figure
    claims: Figure | None


@dataclass(frozen=True)
class GradeFigures:
    """Scores against people's grades.

    Attributes:
        correlation: Spearman's of success score and grade.
        confusion: (5, 5) episodes by grade (rows, 1 to 5) and by the grade that the score stands
            for, which is its place between the lowest and the highest score of the set.
    """

    correlation: Figure
    confusion: list[list[int]]


@dataclass(frozen=True)
class GvlFigures:
    """What the same model says when it is asked as GVL asks.

    Attributes:
        voc: of its percentages, of all that are not labelled a failure.
        voc_failures: of the failures.
        unparsed: share of answers in which not every frame has one clear percentage.
        constant: answers with the same percentage for every frame; with the unparsed ones, they are
            what is undefined in the other figures.
    """

    voc: Figure
    voc_failures: Figure
    unparsed: Figure
    constant: int


@dataclass(frozen=True)
class SetFigures:
    """All figures of a group of episodes.

    Attributes:
        episodes: how many.
        successes: labelled so.
        failures: labelled so.
        voc: over evenly spaced prefixes, of all that are not labelled a failure.
        voc_of_all: the same over every prefix.
        voc_failures: of the failures.
        auc: area under the ROC curve of success, by the name of the score.
        detected: share of successes that the live detector would find; None without a threshold.
        false_stops: share of failures that it would stop; None without a threshold.
        controls: by name.
        grades: None where no episode is graded.
        gvl: None where it was not asked.
        prefixes: how many `voc` is over.
    """

    episodes: int
    successes: int
    failures: int
    voc: Figure
    voc_of_all: Figure
    voc_failures: Figure
    auc: dict[str, Figure] = field(default_factory=dict)
    detected: Figure | None = None
    false_stops: Figure | None = None
    controls: dict[str, ControlFigures] = field(default_factory=dict)
    grades: GradeFigures | None = None
    gvl: GvlFigures | None = None
    prefixes: int = DEFAULT_PREFIXES


def set_figures(
    episodes: Sequence[ScoredEpisode], detector: SuccessSettings, confidence: float
) -> SetFigures:
    """Makes the figures of a group.

    Args:
        episodes: at least one.
        detector: as the live node would run it; its threshold may be None.
        confidence: 0..1, two-sided.
    """
    good = [each for each in episodes if each.success is not False]
    bad = [each for each in episodes if each.success is False]
    labelled = [each for each in episodes if each.success is not None]
    threshold = detector.threshold
    successes = sum(each.success is True for each in episodes)

    def claimed(some: Sequence[ScoredEpisode]) -> Figure | None:
        if threshold is None:
            return None
        curves = [(each.log_probs, each.times, each.seen) for each in some]
        return _claims(curves, detector, confidence)

    auc = {
        "success score (last 3)": _auc(labelled, lambda each: each.score, confidence),
        "VOC": _auc(labelled, lambda each: each.voc, confidence),
    }
    asked = [each for each in labelled if each.gvl is not None]
    if asked:
        auc[GVL_SCORE] = _auc(asked, lambda each: each.gvl_voc, confidence)
    return SetFigures(
        episodes=len(episodes),
        successes=successes,
        failures=len(bad),
        voc=mean_figure([each.voc for each in good], confidence),
        voc_of_all=mean_figure([each.voc_of_all for each in good], confidence),
        voc_failures=mean_figure([each.voc for each in bad], confidence),
        auc=auc,
        detected=claimed([each for each in labelled if each.success]),
        false_stops=claimed(bad),
        controls={
            name: _control(name, episodes, detector, confidence)
            for name in dict.fromkeys(name for each in episodes for name in each.controls)
        },
        grades=_grades([each for each in episodes if each.grade is not None], confidence),
        gvl=_gvl([each for each in episodes if each.gvl is not None], confidence),
        prefixes=episodes[0].prefixes,
    )


def mean_figure(values: Sequence[float], confidence: float) -> Figure:
    """Returns the mean of the defined values."""
    undefined = sum(math.isnan(value) for value in values)
    return Figure(mean_interval(values, confidence), len(values) - undefined, undefined)


def share_figure(hits: int, count: int, confidence: float) -> Figure:
    """Returns a share with its exact interval."""
    if not count:
        return Figure(Interval(UNKNOWN, UNKNOWN, UNKNOWN), 0)
    return Figure(proportion_interval(hits, count, confidence), count)


def _auc(
    episodes: Sequence[ScoredEpisode],
    score: Callable[[ScoredEpisode], float],
    confidence: float,
) -> Figure:
    known = [(score(each), bool(each.success)) for each in episodes]
    known = [(value, success) for value, success in known if not math.isnan(value)]
    undefined = len(episodes) - len(known)
    successes = sum(success for _, success in known)
    failures = len(known) - successes
    if not successes or not failures:
        return Figure(Interval(UNKNOWN, UNKNOWN, UNKNOWN), len(known), undefined)
    area = success_auc(*zip(*known, strict=True))
    return Figure(auc_interval(area, successes, failures, confidence), len(known), undefined)


def _claims(curves: Sequence[Curve], detector: SuccessSettings, confidence: float) -> Figure:
    levels = [latch_level(*curve, detector, seen or None) for *curve, seen in curves]
    hits = sum(level > detector.threshold for level in levels)
    return share_figure(hits, len(levels), confidence)


def _control(
    name: str, episodes: Sequence[ScoredEpisode], detector: SuccessSettings, confidence: float
) -> ControlFigures:
    some = [each for each in episodes if name in each.controls]
    curves = [each.controls[name] for each in some]
    vocs = [prefix_voc(curve, each.prefixes) for curve, each in zip(curves, some, strict=True)]
    pairs = [(each.score, last_mean(curve)) for each, curve in zip(some, curves, strict=True)]
    known = [(own, other) for own, other in pairs if not math.isnan(own + other)]
    beaten = share_figure(sum(own > other for own, other in known), len(known), confidence)
    claims = None
    if detector.threshold is not None:
        shown = [(curve, each.times, ()) for curve, each in zip(curves, some, strict=True)]
        claims = _claims(shown, detector, confidence)
    return ControlFigures(
        mean_figure(vocs, confidence),
        replace(beaten, undefined=len(pairs) - len(known)),
        claims,
    )


def _gvl(episodes: Sequence[ScoredEpisode], confidence: float) -> GvlFigures | None:
    if not episodes:
        return None
    unparsed = sum(each.gvl.percentages is None for each in episodes)
    undefined = sum(math.isnan(each.gvl_voc) for each in episodes)
    return GvlFigures(
        mean_figure([each.gvl_voc for each in episodes if each.success is not False], confidence),
        mean_figure([each.gvl_voc for each in episodes if each.success is False], confidence),
        share_figure(unparsed, len(episodes), confidence),
        undefined - unparsed,
    )


def _grades(episodes: Sequence[ScoredEpisode], confidence: float) -> GradeFigures | None:
    known = [each for each in episodes if not math.isnan(each.score)]
    if not known:
        return None
    scores = [each.score for each in known]
    grades = [each.grade for each in known]

    def correlation(one: np.ndarray, other: np.ndarray) -> float:
        if (one == one[0]).all() or (other == other[0]).all():
            return UNKNOWN
        return float(spearmanr(one, other).statistic)

    steps = HIGHEST_GRADE - LOWEST_GRADE
    low, high = min(scores), max(scores)
    confusion = np.zeros((steps + 1, steps + 1), dtype=int)
    for score, grade in zip(scores, grades, strict=True):
        place = 0.0 if high == low else (score - low) / (high - low)
        confusion[grade - LOWEST_GRADE, round(place * steps)] += 1
    found = paired_interval(correlation, scores, grades, confidence)
    undefined = len(episodes) - len(known)
    return GradeFigures(Figure(found, len(scores), undefined), confusion.tolist())
