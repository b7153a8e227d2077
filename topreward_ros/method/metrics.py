"""Figures of merit: value-order correlation (VOC), ROC-AUC, and means that count what is undefined.

Not imported by the live node: scipy and scikit-learn cost a second at start-up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import rankdata, spearmanr
from sklearn.metrics import roc_auc_score, roc_curve


class MetricError(ValueError):
    """Values from which a figure of merit cannot be computed."""


@dataclass(frozen=True)
class Summary:
    """A mean over the defined values.

    Attributes:
        mean: over the defined values only; NaN when there is none.
        count: how many were defined.
        undefined: how many were NaN and stayed out.
    """

    mean: float
    count: int
    undefined: int


@dataclass(frozen=True)
class RocCurve:
    """A ROC curve from (0, 0) to (1, 1), by falling score.

    Attributes:
        false_rate: (P,) share of failures with at least this score.
        true_rate: (P,) share of successes with at least this score.
        scores: (P,) the score at each point; plus infinity at the first.
    """

    false_rate: NDArray[np.float64]
    true_rate: NDArray[np.float64]
    scores: NDArray[np.float64]


def value_order_correlation(values: ArrayLike) -> float:
    """Spearman's rank correlation of values against their order in time (VOC of GVL and TOPReward).

    Args:
        values: (K,) log-probs or progress in time order; minus infinity ranks lowest.

    Returns:
        -1..1; NaN when it is undefined: a single value, a constant curve, or a NaN among them.
    """
    curve = np.asarray(values, dtype=np.float64)
    if curve.ndim != 1:
        raise MetricError(f"VOC wants one value per prefix; the values have shape {curve.shape}.")
    if curve.size == 0 or np.isnan(curve).any() or (curve == curve[0]).all():
        return float("nan")
    # Ranks first: spearmanr is the same on them, and infinities stay out of its arithmetic.
    return float(spearmanr(rankdata(curve), np.arange(curve.size)).statistic)


def success_auc(scores: ArrayLike, labels: ArrayLike) -> float:
    """Area under the ROC curve of a score, success against failure; ties count half.

    Args:
        scores: (N,) one score per episode; minus infinity ranks lowest.
        labels: (N,) true for success.

    Raises:
        MetricError: lengths differ, a score is NaN, or one of the two classes is missing.
    """
    values, truth = checked_scores(scores, labels)
    return float(roc_auc_score(truth, rankdata(values)))


def success_roc(scores: ArrayLike, labels: ArrayLike) -> RocCurve:
    """The ROC curve of a score, success against failure.

    Args:
        scores: (N,) one score per episode; minus infinity ranks lowest.
        labels: (N,) true for success.

    Raises:
        MetricError: as in `success_auc`.
    """
    values, truth = checked_scores(scores, labels)
    distinct, ranks = np.unique(values, return_inverse=True)
    false_rate, true_rate, first = roc_curve(truth, ranks, drop_intermediate=False)
    points = distinct[first[1:].astype(int)]
    return RocCurve(false_rate, true_rate, np.concatenate([[np.inf], points]))


def checked_scores(
    scores: ArrayLike, labels: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Scores as float64 and labels as bool, both (N,), fit for a ROC curve.

    Raises:
        MetricError: lengths differ, a score is NaN, or one of the two classes is missing.
    """
    values = np.asarray(scores, dtype=np.float64)
    truth = np.asarray(labels, dtype=bool)
    if values.ndim != 1 or values.shape != truth.shape:
        raise MetricError(
            f"Scores of shape {values.shape} do not go with labels of shape {truth.shape}; "
            "expected one of each per episode."
        )
    if np.isnan(values).any():
        raise MetricError(
            f"{int(np.isnan(values).sum())} of {values.size} scores are NaN; leave out the "
            "episodes that have no score, and count them."
        )
    successes = int(truth.sum())
    if successes in (0, truth.size):
        raise MetricError(
            f"A ROC curve needs successes and failures; among {truth.size} episodes there are "
            f"{successes} successes and {truth.size - successes} failures."
        )
    return values, truth


def summarise(values: Iterable[float]) -> Summary:
    """Mean of the defined values; NaN is counted apart and never averaged in."""
    curve = np.asarray(list(values), dtype=np.float64)
    defined = curve[~np.isnan(curve)]
    mean = float(defined.mean()) if defined.size else float("nan")
    return Summary(mean, int(defined.size), int(curve.size - defined.size))
