"""A success threshold with a promise on the rate of false stops.

The promise: with confidence 1 - delta over the draw of n calibration failures, at most a share
alpha of new failures, drawn like them, is called a success. The threshold is an order statistic of
the failures' levels. How many of them, m, may lie above it is decided by the exact binomial tail,
P(Binomial(n, alpha) <= m) <= delta (a one-sided tolerance limit, Wilks 1941; training-conditional
split-conformal prediction, Vovk 2012). It needs no assumption on the levels' distribution, and ties
only make it safer. A plain split-conformal quantile promises alpha only on average over many
calibrations; a lab has one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom


class TooFewFailuresError(ValueError):
    """No threshold can keep the promise with so few failures."""


@dataclass(frozen=True)
class FalseStopBound:
    """At most `rate` of failures are called a success, with `confidence`; both in 0..1."""

    rate: float = 0.05
    confidence: float = 0.95

    def __post_init__(self) -> None:
        """Refuses what no number of episodes can show."""
        for name, value in (("false-stop rate", self.rate), ("confidence", self.confidence)):
            if not 0.0 < value < 1.0:
                raise ValueError(f"The {name} is {value}; expected a share between 0 and 1.")

    @property
    def failures_needed(self) -> int:
        """Least n with which a threshold exists: (1 - rate)^n <= 1 - confidence."""
        return math.ceil(math.log1p(-self.confidence) / math.log1p(-self.rate))

    def allowed_false_stops(self, failures: int) -> int:
        """Failures, of those calibrated with, that may lie above the threshold.

        Raises:
            TooFewFailuresError: not even zero would keep the promise.
        """
        if failures < self.failures_needed:
            shown = 1.0 - (1.0 - self.confidence) ** (1.0 / failures) if failures else 1.0
            raise TooFewFailuresError(
                f"A false-stop rate of at most {self.rate:.3g} with confidence "
                f"{self.confidence:.3g} needs at least {self.failures_needed} labelled failures, "
                f"and there are {failures}; record {self.failures_needed - failures} more, or ask "
                f"for less ({failures} can show a rate of {shown:.2g} at best)."
            )
        tails = binom.cdf(np.arange(failures), failures, self.rate)
        return max(int(np.count_nonzero(tails <= 1.0 - self.confidence)) - 1, 0)

    def failures_for(self, false_stops: int) -> int:
        """Least number of failures of which so many may lie above the threshold."""
        failures = self.failures_needed
        while binom.cdf(false_stops, failures, self.rate) > 1.0 - self.confidence:
            failures += 1
        return failures

    def threshold(self, levels: ArrayLike) -> float:
        """Lowest threshold that keeps the promise; success means strictly above it.

        Args:
            levels: (n,) level of each calibration failure (`success.latch_level`), in nats.

        Returns:
            nat; minus infinity where enough failures could not latch at all.

        Raises:
            TooFewFailuresError: n is too small.
        """
        ordered = np.sort(np.asarray(levels, dtype=np.float64))
        if np.isnan(ordered).any():
            raise ValueError("A failure's level is NaN; every calibration failure needs a level.")
        return float(ordered[ordered.size - 1 - self.allowed_false_stops(ordered.size)])
