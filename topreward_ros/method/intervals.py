"""Two-sided confidence intervals of a share and of an area under a ROC curve."""

from __future__ import annotations

import math

from scipy.optimize import brentq
from scipy.stats import binomtest, norm

from topreward_ros.method.calibration import Interval

NEAR = 1e-9


def proportion_interval(hits: int, trials: int, confidence: float) -> Interval:
    """Exact (Clopper-Pearson) interval of a share."""
    limits = binomtest(hits, trials).proportion_ci(confidence, method="exact")
    return Interval(hits / trials, float(limits.low), float(limits.high))


def auc_interval(auc: float, successes: int, failures: int, confidence: float) -> Interval:
    """Newcombe's score interval of an area under a ROC curve.

    Method 5 of Newcombe (Statistics in Medicine 2006, 25:559-573): the limits solve
    |theta - auc| = z * sqrt(V(theta)), V being Hanley and McNeil's variance with both class sizes
    replaced by their mean. DeLong's interval and the bootstrap collapse to [1, 1] when the classes
    are separated, which is the usual case here; this one stays honest.

    Args:
        auc: 0..1.
        successes: episodes of the one class.
        failures: episodes of the other.
        confidence: 0..1, two-sided.
    """
    z = float(norm.ppf(0.5 + confidence / 2.0))
    extra = (successes + failures) / 2.0 - 1.0

    def excess(theta: float) -> float:
        shape = 1 + extra * (1 - theta) / (2 - theta) + extra * theta / (1 + theta)
        variance = theta * (1 - theta) * shape / (successes * failures)
        return abs(theta - auc) - z * math.sqrt(variance)

    # Beside the estimate, not at it: at 0 and 1 the equation holds trivially.
    low = brentq(excess, 0.0, auc - NEAR) if auc > NEAR else 0.0
    high = brentq(excess, auc + NEAR, 1.0) if auc < 1.0 - NEAR else 1.0
    return Interval(auc, float(low), float(high))
