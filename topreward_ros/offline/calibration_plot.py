"""The picture of a calibration: per task the ROC curve, the levels by label, and the curves."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure

from topreward_ros.method.calibrating import LabelledEpisode, episode_levels
from topreward_ros.method.metrics import success_roc
from topreward_ros.offline.curve import GRID, INK, LOSS, MINUS, MUTED, STYLE, SUCCESS
from topreward_ros.whole_file import written_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from topreward_ros.method.calibration import Calibration, TaskCalibration

WIDTH, ROW_HEIGHT = 13.0, 4.6
"""Inches."""
DOTS_PER_INCH = 120
MOST_CURVES = 40
"""Curves drawn per label; more would hide each other."""
BINS = 30


def draw_calibration(
    calibration: Calibration, episodes: Sequence[LabelledEpisode], path: Path
) -> None:
    """Draws a calibration into a file, whose suffix says the format; see `calibration_figure`."""
    with rc_context(STYLE), written_whole(path) as beside:
        calibration_figure(calibration, episodes).savefig(beside)


def calibration_figure(calibration: Calibration, episodes: Sequence[LabelledEpisode]) -> Figure:
    """Returns a calibration's picture, one row per task.

    Args:
        calibration: what came out.
        episodes: what it was made from.
    """
    rows = len(calibration.tasks)
    with rc_context(STYLE):
        figure = Figure((WIDTH, ROW_HEIGHT * rows), dpi=DOTS_PER_INCH, layout="constrained")
        parts = [figure] if rows == 1 else list(figure.subfigures(rows, 1))
        for part, task in zip(parts, calibration.tasks, strict=True):
            own = [one for one in episodes if one.instruction in task.instructions]
            levels = episode_levels(own, calibration.detector_of(task))
            labels = np.array([one.success for one in own])
            roc, histogram, curves = part.subplots(1, 3, width_ratios=(1.0, 1.25, 1.5))
            part.suptitle(_title(task), fontsize=12, fontweight="bold", parse_math=False)
            _draw_roc(roc, task, levels, labels)
            _draw_levels(histogram, task, levels, labels)
            _draw_curves(curves, task, own)
            for axes in (roc, histogram, curves):
                axes.grid(color=GRID, linewidth=0.8)
                axes.set_axisbelow(True)
                axes.spines[["top", "right"]].set_visible(False)
                # Below the plot: inside it would hide curves.
                axes.legend(
                    loc="upper center", bbox_to_anchor=(0.5, -0.14), ncols=1 if axes is roc else 2,
                    fontsize=8.5, frameon=False, columnspacing=1.2, handlelength=1.5,
                )  # fmt: skip
    return figure


def _title(task: TaskCalibration) -> str:
    more = f" and {len(task.instructions) - 1} more" if task.instructions[1:] else ""
    return (
        f"“{task.instructions[0]}”{more} · {task.successes} successes, {task.failures} failures · "
        f"at most {task.false_stop_rate:.3g} of failures called a success, confidence "
        f"{task.confidence:.3g}"
    )


def _draw_roc(
    axes: Axes, task: TaskCalibration, levels: NDArray[np.float64], labels: NDArray[np.bool_]
) -> None:
    roc = success_roc(levels, labels)
    auc = task.auc
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
    axes.plot(
        roc.false_rate, roc.true_rate, color=INK, linewidth=2,
        label=f"AUC {auc.value:.3f} [{auc.low:.3f}, {auc.high:.3f}]",
    )  # fmt: skip
    axes.axvspan(0, task.false_stop_rate, color=LOSS, alpha=0.08, label="promised")
    detected = task.detection_rate
    axes.errorbar(
        [task.false_stops / task.failures], [detected.value],
        yerr=[[detected.value - detected.low], [detected.high - detected.value]],
        color=SUCCESS, marker="o", capsize=4, zorder=3, clip_on=False,
        label=f"threshold: detects {detected.value:.0%} [{detected.low:.0%}, {detected.high:.0%}]",
    )  # fmt: skip
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
    axes.set(xlabel="failures called a success", ylabel="successes detected")


def _draw_levels(
    axes: Axes, task: TaskCalibration, levels: NDArray[np.float64], labels: NDArray[np.bool_]
) -> None:
    finite = levels[np.isfinite(levels)]
    edges = np.linspace(*_span([*finite, task.threshold]), BINS + 1)
    for label, name, colour in ((False, "failures", LOSS), (True, "successes", SUCCESS)):
        own = levels[labels == label]
        known = own[np.isfinite(own)]
        never = f", {own.size - known.size} too short or late" if known.size < own.size else ""
        axes.hist(known, edges, color=colour, alpha=0.6, label=f"{name}{never}")
    axes.axvline(
        task.threshold, color=INK, linewidth=1.5, label=f"threshold {_nat(task.threshold)}"
    )
    axes.set(xlabel="level at which the detector latches (nat)", ylabel="episodes")


def _draw_curves(axes: Axes, task: TaskCalibration, episodes: list[LabelledEpisode]) -> None:
    for label, name, colour in ((False, "failure", LOSS), (True, "success", SUCCESS)):
        own = [one for one in episodes if one.success == label]
        chosen = np.unique(np.linspace(0, len(own) - 1, min(len(own), MOST_CURVES)).round())
        for number, index in enumerate(chosen.astype(int)):
            curve = np.array(own[index].log_probs)
            axes.plot(
                own[index].episode_times, np.where(np.isfinite(curve), curve, np.nan),
                color=colour, alpha=0.45, linewidth=1, label=name if number == 0 else None,
            )  # fmt: skip
    for value, name in ((task.floor, "floor"), (task.ceiling, "ceiling")):
        axes.axhline(value, color=MUTED, linewidth=1, linestyle="--")
        axes.annotate(
            name, (0.995, value), xycoords=("axes fraction", "data"), ha="right", va="center",
            fontsize=8.5, color=INK, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1},
        )  # fmt: skip
    axes.axhline(
        task.threshold, color=INK, linewidth=1.5, label=f"threshold {_nat(task.threshold)}"
    )
    axes.set(xlabel="time since the episode's start (s)", ylabel="log p(True) (nat)")


def _nat(log_prob: float) -> str:
    return f"{log_prob:.2f} nat".replace("-", MINUS)


def _span(values: Sequence[float]) -> tuple[float, float]:
    low, high = min(values), max(values)
    return (low, high) if math.isfinite(high - low) and high > low else (low - 0.5, high + 0.5)
