"""Intervals by resampling episodes, for figures that have no formula of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from topreward_ros.method.calibration import Interval

RESAMPLES = 2000
SEED = 1
FEWEST = 3
"""Episodes; the spread of fewer says nothing."""


def mean_interval(values: ArrayLike, confidence: float) -> Interval:
    """Mean of the defined values with a bootstrap interval (BCa), which two runs draw alike.

    Args:
        values: (N,) one an episode; NaN stays out.
        confidence: 0..1, two-sided.

    Returns:
        NaN limits with fewer than three defined values; the value itself where all are equal.
    """
    data = np.asarray(values, dtype=np.float64)
    data = data[~np.isnan(data)]
    mean = float(data.mean()) if data.size else float("nan")
    if data.size < FEWEST:
        return Interval(mean, float("nan"), float("nan"))
    if (data == data[0]).all():
        return Interval(mean, mean, mean)
    found = bootstrap(
        (data,), np.mean, n_resamples=RESAMPLES, confidence_level=confidence, method="BCa",
        random_state=np.random.default_rng(SEED),
    ).confidence_interval  # fmt: skip
    return Interval(mean, float(found.low), float(found.high))


def paired_interval(
    statistic: Callable[[NDArray[np.float64], NDArray[np.float64]], float],
    first: Sequence[float],
    second: Sequence[float],
    confidence: float,
) -> Interval:
    """A statistic of pairs with a percentile bootstrap interval over the pairs.

    Args:
        statistic: of two (N,) arrays; NaN where it is undefined for a resample, which stays out.
        first: (N,) one an episode.
        second: (N,) one an episode.
        confidence: 0..1, two-sided.
    """
    one, other = np.asarray(first, np.float64), np.asarray(second, np.float64)
    value = float(statistic(one, other))
    if one.size < FEWEST:
        return Interval(value, float("nan"), float("nan"))
    rng = np.random.default_rng(SEED)
    drawn = (rng.integers(0, one.size, one.size) for _ in range(RESAMPLES))
    values = np.array([statistic(one[index], other[index]) for index in drawn])
    values = values[~np.isnan(values)]
    if not values.size:
        return Interval(value, float("nan"), float("nan"))
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return Interval(value, float(low), float(high))
