"""The table of the demo model's figures: a column for each world, the goals, exact intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tools.evaluation.scored import Scored
from topreward_ros.method.intervals import auc_interval, proportion_interval
from topreward_ros.method.metrics import success_auc, value_order_correlation

CONFIDENCE = 0.95
MOST_CLAIMS = "<= 5 %"
STATIC, SUCCESS = "static", "success"
"""Kinds that have a row of their own: nothing moves; the task is done as it was meant."""
Cell = tuple[str, str]
"""A goal and a value."""


def column(scored: Sequence[Scored], threshold: float) -> dict[str, Cell]:
    """Returns the rows of one world's column by their names.

    Args:
        scored: its episodes.
        threshold: on the success score, nat.
    """
    successes = [each for each in scored if each.success]
    failures = [each for each in scored if not each.success]
    wrong = [score for each in successes for score in each.wrong]
    orders = [value_order_correlation(each.log_probs) for each in successes]
    right = [each.score for each in successes]
    meant = [each for each in successes if each.kind == SUCCESS]
    still = [each for each in failures if each.kind == STATIC]
    rows = {
        "episodes": ("", f"{len(scored)}, {len(successes)} of them successes"),
        "mean VOC of successes": (">= .95", f"{np.nanmean(orders):.3f}" if orders else "-"),
        "AUC success": (">= .97", _area(right, [each.score for each in failures])),
        "AUC instruction": (">= .99", _area(right, wrong)),
        "intended successes latched": (">= 95 %", _share(meant, threshold)),
        "false stops": ("<= 2 %", _share(failures, threshold)),
        "static": ("0", _share(still, threshold)),
    }
    for kind in sorted({each.kind for each in failures} - {STATIC}):
        those = [each for each in failures if each.kind == kind]
        rows[f"false stops, {kind}"] = (MOST_CLAIMS, _share(those, threshold))
    for name in dict.fromkeys(name for each in scored for name in each.controls):
        levels = [each.controls[name] for each in scored if name in each.controls]
        rows[f"claims, {name}"] = (MOST_CLAIMS, _ratio(levels, threshold))
    return rows


def table(columns: dict[str, dict[str, Cell]]) -> str:
    """Returns the columns side by side, in Markdown.

    Args:
        columns: of each world, by its name.
    """
    names = dict.fromkeys(name for rows in columns.values() for name in rows)
    lines = [["", "wanted", *columns], ["---"] * (2 + len(columns))]
    for name in names:
        cells = [rows.get(name, ("", "-")) for rows in columns.values()]
        goal = next((goal for goal, _ in cells if goal), "")
        lines.append([name, goal, *(value for _, value in cells)])
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def _share(some: Sequence[Scored], threshold: float) -> str:
    return _ratio([each.level for each in some], threshold)


def _ratio(levels: Sequence[float], threshold: float) -> str:
    if not levels:
        return "-"
    hits = sum(level > threshold for level in levels)
    known = proportion_interval(hits, len(levels), CONFIDENCE)
    return f"{hits} of {len(levels)}, {known.value:.1%} [{known.low:.1%}, {known.high:.1%}]"


def _area(positive: Sequence[float], negative: Sequence[float]) -> str:
    if not positive or not negative:
        return "-"
    area = success_auc([*positive, *negative], [True] * len(positive) + [False] * len(negative))
    if math.isnan(area):
        return "-"
    interval = auc_interval(area, len(positive), len(negative), CONFIDENCE)
    return f"{area:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
