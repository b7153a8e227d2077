"""The plot of one episode: what the camera saw, and log-prob, progress and reward under it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topreward_ros.offline.report import EpisodeReport

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e4e7eb"
LOG_PROB = "#2563eb"
PROGRESS = "#0d9488"
REWARD = "#f59e0b"
LOSS = "#e11d48"
SUCCESS = "#16a34a"

SIZE = (10.0, 7.2)
"""Inches (width, height)."""
DOTS_PER_INCH = 150
LEFT, RIGHT = 0.095, 0.975
LABEL_AT = -0.06
"""Of the panels' width; the same for all, however wide the numbers are."""
STRIP_BOTTOM, STRIP_TOP = 0.725, 0.895
MINUS = "\N{MINUS SIGN}"
SMALLEST_REWARD = 0.1
"""What the reward's axis shows at least."""
PICTURE_SHARE = 0.86
"""Of the strip's height that pictures take; the rest holds the lines to their times."""
STYLE = {
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def draw_curve(report: EpisodeReport, path: Path) -> None:
    """Draws the plot of an episode into a picture file, 1500 x 1080 px.

    Args:
        report: the episode.
        path: the file; its suffix says the format.
    """
    import matplotlib

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=SIZE, dpi=DOTS_PER_INCH, facecolor="white")
        strip = figure.add_axes(
            (LEFT, STRIP_BOTTOM, RIGHT - LEFT, STRIP_TOP - STRIP_BOTTOM), facecolor="none"
        )
        grid = figure.add_gridspec(
            3, 1, height_ratios=(1.5, 1.0, 0.8), hspace=0.16,
            left=LEFT, right=RIGHT, top=STRIP_BOTTOM - 0.008, bottom=0.075,
        )  # fmt: skip
        panels = [figure.add_subplot(grid[row]) for row in range(3)]
        limits = (0.0, max(report.duration, 1e-3))
        _head(figure, report)
        _pictures(strip, report, limits)
        _log_prob(panels[0], report)
        _progress(panels[1], report)
        _reward(panels[2], report)
        for panel in panels:
            _frame(panel, limits, last=panel is panels[-1])
            _mark_success(panel, report)
        figure.savefig(path)


def _head(figure: Figure, report: EpisodeReport) -> None:
    when = report.success_time
    if when is not None:
        verdict, colour = f"success at {when:.1f} s", SUCCESS
    elif math.isfinite(report.readings[-1].success_threshold):
        verdict, colour = "no success", LOSS
    else:
        verdict, colour = "no success threshold", MUTED
    # What users wrote is no mathematics: a $ stays a $.
    title = report.instruction if len(report.instruction) <= 70 else report.instruction[:69] + "…"
    figure.text(
        LEFT, 0.957, f"“{title}”", fontsize=15, fontweight="bold", va="center", parse_math=False
    )
    figure.text(
        RIGHT, 0.957, verdict, fontsize=13, fontweight="bold", va="center", ha="right", color=colour
    )
    latency = report.summary()["latency_ms_p50"]
    facts = [report.model_label, str(report.episode), f"{len(report.readings)} readings"]
    facts += [f"{latency:.0f} ms from frame to reading"] if latency is not None else []
    figure.text(LEFT, 0.921, " · ".join(facts), fontsize=9.5, color=MUTED, va="center",
                parse_math=False)  # fmt: skip


def _pictures(strip: Axes, report: EpisodeReport, limits: tuple[float, float]) -> None:
    strip.set_xlim(*limits)
    strip.set_ylim(0.0, 1.0)
    strip.axis("off")
    if not len(report.frames):
        return
    times = np.array(report.frames.stamps) - report.start
    height, width = report.frames.picture(0).shape[:2]
    strip_height = SIZE[1] * (STRIP_TOP - STRIP_BOTTOM) * PICTURE_SHARE
    strip_width = SIZE[0] * (RIGHT - LEFT)
    share = min(1.0, strip_height * width / height / strip_width)
    extent = share * (limits[1] - limits[0])
    count = max(1, min(int(1.0 / (share * 1.03)), len(times)))
    gap = (limits[1] - limits[0] - count * extent) / max(count - 1, 1)
    wanted = np.linspace(times[0], min(times[-1], limits[1]), count)
    success = _nearest(wanted, report.success_time)
    for slot, time in enumerate(wanted):
        chosen = report.success_time if slot == success else time
        index = int(np.argmin(np.abs(times - chosen)))
        left = limits[0] + slot * (extent + gap)
        centre = left + extent / 2
        bottom = 1.0 - PICTURE_SHARE
        strip.imshow(
            report.frames.picture(index), extent=(left, left + extent, bottom, 1.0), aspect="auto",
            interpolation="antialiased",
        )  # fmt: skip
        colour, line = (SUCCESS, 2.6) if slot == success else (MUTED, 0.8)
        strip.add_patch(
            Rectangle((left, bottom), extent, PICTURE_SHARE, fill=False, edgecolor=colour,
                      linewidth=line, clip_on=False)
        )  # fmt: skip
        strip.text(
            left + 0.03 * extent, 0.97, f"{times[index]:.1f} s", fontsize=8, color="white",
            va="top", bbox={"facecolor": INK, "alpha": 0.65, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        strip.plot(
            [centre, times[index]], [bottom, 0.0], color=colour, linewidth=max(line / 2, 0.8)
        )
    strip.set_xlim(*limits)
    strip.set_ylim(0.0, 1.0)


def _nearest(times: np.ndarray, time: float | None) -> int | None:
    return None if time is None else int(np.argmin(np.abs(times - time)))


def _series(report: EpisodeReport, name: str) -> tuple[np.ndarray, np.ndarray]:
    times = np.array([each.episode_time for each in report.readings])
    return times, np.array([getattr(each, name) for each in report.readings], dtype=float)


def _log_prob(panel: Axes, report: EpisodeReport) -> None:
    times, values = _series(report, "log_prob")
    finite = np.where(np.isfinite(values), values, np.nan)
    panel.plot(times, finite, color=LOG_PROB, linewidth=2.2, marker="o", markersize=3.5,
               label="log p(True)", zorder=3)  # fmt: skip
    _, scores = _series(report, "success_score")
    if np.isfinite(scores).any():
        panel.plot(times, scores, color=LOG_PROB, linewidth=1.3, alpha=0.45,
                   label="success score (mean of the last)", zorder=2)  # fmt: skip
    threshold = report.readings[-1].success_threshold
    if math.isfinite(threshold):
        label = f"success threshold {threshold:.2f} nat".replace("-", MINUS)
        panel.axhline(threshold, color=SUCCESS, linewidth=1.2, linestyle=(0, (5, 3)), label=label)
    _censored(panel, report)
    panel.set_ylabel("log-prob (nat)")
    panel.margins(y=0.12)
    panel.legend(loc="best", fontsize=8.5, frameon=True, framealpha=0.9, edgecolor="none")


def _censored(panel: Axes, report: EpisodeReport) -> None:
    """Marks the readings without a number at the panel's foot, where no value is read."""
    times = [each.episode_time for each in report.readings if each.censored]
    if times:
        panel.plot(times, [0.03] * len(times), transform=panel.get_xaxis_transform(), color=LOSS,
                   linestyle="none", marker="x", markersize=5,
                   label=f"censored ({len(times)} readings)")  # fmt: skip


def _progress(panel: Axes, report: EpisodeReport) -> None:
    times, values = _series(report, "progress")
    _stages(panel, report)
    panel.fill_between(times, values, color=PROGRESS, alpha=0.16, linewidth=0)
    panel.plot(times, values, color=PROGRESS, linewidth=2.2)
    panel.set_ylim(0.0, 1.06)
    panel.set_yticks([0.0, 0.5, 1.0])
    panel.set_ylabel(f"progress (0..1)\n{report.readings[-1].progress_source}")


def _stages(panel: Axes, report: EpisodeReport) -> None:
    """Tints the time of every second stage and writes the names of all that have run."""
    for number, (name, start, end) in enumerate(report.stage_spans):
        if number % 2:
            panel.axvspan(start, end, color=MUTED, alpha=0.12, linewidth=0, zorder=0)
        panel.axvline(end, color=MUTED, linewidth=0.8, linestyle=(0, (2, 3)), zorder=1)
        panel.text((start + end) / 2, 1.02, name, fontsize=8, color=INK, ha="center", va="top",
                   parse_math=False, clip_on=True)  # fmt: skip


def _reward(panel: Axes, report: EpisodeReport) -> None:
    times, values = _series(report, "reward")
    width = 0.7 * float(np.diff(times).min()) if len(times) > 1 else 0.3
    colours = [REWARD if value >= 0 else LOSS for value in values]
    panel.bar(times, values, width=width, color=colours, linewidth=0, zorder=3)
    panel.axhline(0.0, color=MUTED, linewidth=0.8)
    panel.set_ylabel(f"reward\n{report.readings[-1].reward_form}")
    # Noise is not to look like a reward.
    known = values[np.isfinite(values)]
    span = 1.15 * max(SMALLEST_REWARD, float(np.abs(known).max(initial=0.0)))
    low = float(known.min(initial=0.0))
    panel.set_ylim(-span if low < -0.05 * span else -0.25 * span, span)


def _frame(panel: Axes, limits: tuple[float, float], *, last: bool) -> None:
    panel.set_xlim(*limits)
    panel.grid(color=GRID, linewidth=0.8)
    panel.set_axisbelow(True)
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(length=3, labelbottom=last)
    panel.yaxis.set_label_coords(LABEL_AT, 0.5)
    if last:
        panel.set_xlabel("time since the episode's start (s)")


def _mark_success(panel: Axes, report: EpisodeReport) -> None:
    when = report.success_time
    if when is None:
        return
    panel.axvline(when, color=SUCCESS, linewidth=1.6, zorder=1)
    panel.axvspan(when, max(report.duration, when), color=SUCCESS, alpha=0.07, linewidth=0)
