"""All figures of the demo model on one world, as numbers."""

from __future__ import annotations

from collections import Counter

import numpy as np

from tools.evaluation.scored import WINDOW, Scored
from topreward_ros.method.metrics import success_auc, value_order_correlation
from topreward_ros.method.success import SuccessDetector, SuccessSettings


def figures(scored: list[Scored], threshold: float) -> dict[str, object]:
    """The figures that the model card gives."""
    successes = [s for s in scored if s.success]
    orders = [value_order_correlation(s.log_probs) for s in successes]
    fifteen = [
        value_order_correlation(s.log_probs[np.linspace(0, len(s.log_probs) - 1, 15).astype(int)])
        for s in successes
        if len(s.log_probs) >= 15
    ]
    wrong = [score for s in successes for score in s.wrong]
    right = [s.score for s in successes]
    return {
        "episodes": len(scored),
        "successes": len(successes),
        "voc_mean": float(np.mean(orders)),
        "voc_lowest": float(np.min(orders)),
        "voc_15_prefixes_mean": float(np.mean(fifteen)) if fifteen else None,
        "auc_success": success_auc([s.score for s in scored], [s.success for s in scored]),
        "auc_instruction": success_auc(
            [*right, *wrong], [True] * len(right) + [False] * len(wrong)
        ),
        "threshold": threshold,
        "kinds": _by_kind(scored, threshold),
        "early_stops": _early_stops(successes, threshold),
        "latched_delay_s_median": _delay(successes, threshold),
    }


def _early_stops(successes: list[Scored], threshold: float) -> int:
    """Successes that latched before the environment called them done."""
    latched = [(latched_at(s, threshold), s.done_at) for s in successes]
    return sum(a is not None and d is not None and a < d for a, d in latched)


def _delay(successes: list[Scored], threshold: float) -> float | None:
    latched = [(latched_at(s, threshold), s.done_at) for s in successes]
    delays = [a - d for a, d in latched if a is not None and d is not None]
    return float(np.median(delays)) if delays else None


def _by_kind(scored: list[Scored], threshold: float) -> dict[str, dict[str, object]]:
    table = {}
    for kind, success in sorted(Counter((s.kind, s.success) for s in scored)):
        those = [s for s in scored if (s.kind, s.success) == (kind, success)]
        table[f"{kind} ({'success' if success else 'failure'})"] = {
            "episodes": len(those),
            "score_mean": float(np.mean([s.score for s in those])),
            "score_range": [min(s.score for s in those), max(s.score for s in those)],
            "any_prefix_above_threshold": sum(bool((s.log_probs > threshold).any()) for s in those),
            "score_above_threshold": sum(s.score > threshold for s in those),
            "latched": sum(latched_at(s, threshold) is not None for s in those),
        }
    return table


def latched_at(scored: Scored, threshold: float) -> float | None:
    """Seconds at which the package's detector, as it is by default, says success."""
    detector = SuccessDetector(SuccessSettings(threshold=threshold, window=WINDOW))
    for log_prob, stamp in zip(scored.log_probs, scored.stamps, strict=True):
        state = detector.update(float(log_prob), float(stamp))
    return state.since
