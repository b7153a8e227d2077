"""Pictures of an evaluation: curves with frames, ROC, tasks, instructions, controls."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import matplotlib
import numpy as np
from matplotlib.figure import Figure as Canvas

from topreward_ros.method.metrics import success_roc
from topreward_ros.offline.curve import GRID, INK, LOG_PROB, LOSS, MUTED, PROGRESS, STYLE, SUCCESS
from topreward_ros.offline.evaluation.evaluation import confusion

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from topreward_ros.offline.evaluation.figures import Figure, SetFigures
    from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode
    from topreward_ros.offline.evaluation.video import EpisodeVideo

DOTS_PER_INCH = 130
THUMBNAILS = 6
POINTS = 50
"""Of a mean curve over an episode's duration."""
LONGEST_LABEL = 44
COLOURS = (LOG_PROB, "#f59e0b", "#8b5cf6", LOSS, MUTED, PROGRESS)


def draw_curves(
    episodes: Sequence[tuple[ScoredEpisode, EpisodeVideo]], threshold: float | None, path: Path
) -> None:
    """Draws each episode's pictures above its curve, stages as bands."""
    with matplotlib.rc_context(STYLE):
        rows = math.ceil(len(episodes) / 2)
        figure = Canvas((12.0, 2.9 * rows + 0.3), dpi=DOTS_PER_INCH, layout="constrained")
        grid = figure.add_gridspec(rows, min(2, len(episodes)))
        limits = _limits([episode.log_probs for episode, _ in episodes], threshold)
        for number, (episode, video) in enumerate(episodes):
            inner = grid[number // 2, number % 2].subgridspec(2, 1, height_ratios=(1, 1.5))
            _strip(figure.add_subplot(inner[0]), episode, video)
            _curve(figure.add_subplot(inner[1]), episode, threshold, limits)
        figure.savefig(path)


def _limits(curves: Sequence[np.ndarray], threshold: float | None) -> tuple[float, float]:
    values = np.concatenate([*curves, [] if threshold is None else [threshold]])
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if values.size else (-1.0, 0.0)
    margin = 0.08 * max(high - low, 0.1)
    return low - margin, high + margin


def _strip(axes: Axes, episode: ScoredEpisode, video: EpisodeVideo) -> None:
    chosen = np.unique(np.linspace(0, len(video) - 1, THUMBNAILS).round().astype(int))
    axes.imshow(np.concatenate([video.frames[index] for index in chosen], axis=1))
    axes.set_axis_off()
    words = {True: "success", False: "failure", None: "no label"}[episode.success]
    colour = {True: SUCCESS, False: LOSS, None: MUTED}[episode.success]
    axes.set_title(
        f"{_short(episode.name)} · {words}", fontsize=9, color=colour, loc="left",
        parse_math=False,
    )  # fmt: skip


def _curve(
    axes: Axes, episode: ScoredEpisode, threshold: float | None, limits: tuple[float, float]
) -> None:
    for number, stage in enumerate(episode.stages):
        shade = GRID if number % 2 else "#f3f4f6"
        axes.axvspan(stage.start, stage.end, color=shade, linewidth=0, zorder=0)
        axes.text(stage.start, limits[1], f" {_short(stage.name, 18)}", fontsize=7, va="top",
                  color=MUTED, parse_math=False)  # fmt: skip
    axes.plot(episode.times, episode.log_probs, color=LOG_PROB, linewidth=1.8)
    if threshold is not None:
        axes.axhline(threshold, color=SUCCESS, linewidth=1.0, linestyle=(0, (5, 3)))
    axes.set_ylim(limits)
    axes.set_xlim(0.0, max(float(episode.times[-1]), 1e-3))
    axes.set_ylabel("log p(True), nat", fontsize=8)
    axes.set_xlabel(f"s · {_short(episode.instruction, 70)}", fontsize=8, parse_math=False)
    _tidy(axes)


def draw_roc(episodes: Sequence[ScoredEpisode], path: Path) -> bool:
    """Draws the ROC curves of success; returns whether there are two classes to draw."""
    labelled = [each for each in episodes if each.success is not None]
    scores = {
        "success score (last 3)": [each.score for each in labelled],
        "VOC": [each.voc for each in labelled],
        "VOC of GVL": [each.gvl_voc for each in labelled],
    }
    with matplotlib.rc_context(STYLE):
        figure = Canvas((5.4, 5.2), dpi=DOTS_PER_INCH, layout="constrained")
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=GRID, linewidth=1.2)
        drawn = 0
        for (name, values), colour in zip(scores.items(), COLOURS, strict=False):
            known = [
                (value, each.success)
                for value, each in zip(values, labelled, strict=True)
                if not math.isnan(value)
            ]
            if len({success for _, success in known}) == 2:
                curve = success_roc(*zip(*known, strict=True))
                axes.step(curve.false_rate, curve.true_rate, where="post", color=colour,
                          linewidth=2, label=f"{name}, {len(known)} episodes")  # fmt: skip
                drawn += 1
        axes.set(xlabel="share of failures above", ylabel="share of successes above",
                 xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))  # fmt: skip
        _tidy(axes)
        if drawn:
            axes.legend(loc="lower right", fontsize=8, frameon=False)
            figure.savefig(path)
    return bool(drawn)


def draw_gvl(episodes: Sequence[ScoredEpisode], path: Path) -> None:
    """Draws what GVL said of each episode's frames; a number tells when a frame was shown."""
    with matplotlib.rc_context(STYLE):
        columns = min(2, len(episodes))
        rows = math.ceil(len(episodes) / columns)
        size = (6.0 * columns, 2.4 * rows + 0.3)
        figure = Canvas(size, dpi=DOTS_PER_INCH, layout="constrained")
        for axes, episode in zip(figure.subplots(rows, columns, squeeze=False).flat, episodes,
                                 strict=False):  # fmt: skip
            _percentages(axes, episode)
        for axes in figure.axes[len(episodes) :]:
            axes.set_axis_off()
        figure.savefig(path)


def _percentages(axes: Axes, episode: ScoredEpisode) -> None:
    answer = episode.gvl
    times = episode.times[answer.frames]
    if answer.percentages is None:
        axes.text(0.5, 0.5, _wrapped(f"does not parse: {answer.reason}"), ha="center", va="center",
                  transform=axes.transAxes, fontsize=9, color=LOSS, parse_math=False)  # fmt: skip
    else:
        axes.plot(
            times, answer.percentages, color=LOG_PROB, linewidth=1.8, marker="o", markersize=4
        )
        for shown, place in enumerate(answer.order, start=1):
            axes.annotate(str(shown), (times[place], answer.percentages[place]), fontsize=6,
                          xytext=(0, 5), textcoords="offset points", ha="center",
                          color=MUTED)  # fmt: skip
    words = {True: "success", False: "failure", None: "no label"}[episode.success]
    voc = (
        "" if math.isnan(answer.voc) else f" · VOC {answer.voc:.2f}".replace("-", "\N{MINUS SIGN}")
    )
    if answer.percentages is not None and not voc:
        voc = " · constant, no VOC"
    colour = {True: SUCCESS, False: LOSS, None: MUTED}[episode.success]
    axes.set_title(f"{_short(episode.name)} · {words}{voc}", fontsize=9, color=colour, loc="left",
                   parse_math=False)  # fmt: skip
    axes.set_ylim(-6, 112)
    duration = max(float(episode.times[-1]), 1e-3)
    axes.set_xlim(-0.02 * duration, 1.02 * duration)
    axes.set_ylabel("done, %", fontsize=8)
    axes.set_xlabel(f"s · {_short(episode.instruction, 70)}", fontsize=8, parse_math=False)
    _tidy(axes)


def draw_tasks(tasks: dict[str, SetFigures], path: Path) -> None:
    """Draws VOC and ROC-AUC of each task with their intervals."""
    with matplotlib.rc_context(STYLE):
        figure = Canvas((10.0, 0.42 * len(tasks) + 1.3), dpi=DOTS_PER_INCH, layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True)
        vocs = {task: one.voc for task, one in tasks.items()}
        _bars(left, vocs, f"VOC, {next(iter(tasks.values())).prefixes} prefixes", PROGRESS)
        scores = {task: one.auc["success score (last 3)"] for task, one in tasks.items()}
        _bars(right, scores, "ROC-AUC of success", LOG_PROB)
        left.invert_yaxis()
        figure.savefig(path)


def _bars(axes: Axes, figures: dict[str, Figure], title: str, colour: str) -> None:
    names = [_short(task) for task in figures]
    for row, figure in enumerate(figures.values()):
        value, low, high = figure.interval.value, figure.interval.low, figure.interval.high
        if math.isnan(value):
            axes.text(0.0, row, " undefined", va="center", fontsize=8, color=MUTED)
            continue
        axes.barh(row, value, color=colour, alpha=0.85, height=0.62)
        if not math.isnan(low):
            axes.plot([low, high], [row, row], color=INK, linewidth=1.4)
    axes.set_yticks(range(len(names)), names, fontsize=8, parse_math=False)
    axes.set_title(title, fontsize=10, loc="left")
    values = [v for f in figures.values() for v in (f.interval.value, f.interval.low)]
    axes.set_xlim(min([0.0, *(v for v in values if not math.isnan(v))]), 1.02)
    _tidy(axes)


def draw_matrix(episodes: Sequence[ScoredEpisode], path: Path) -> None:
    """Draws the mean score of every task's videos under every instruction."""
    told = confusion(episodes)
    asked = list(next(iter(told.values())))
    values = np.array([[told[task][one] for one in asked] for task in told])
    with matplotlib.rc_context(STYLE):
        size = (3.6 + 0.55 * len(asked), 3.2 + 0.42 * len(told))
        figure = Canvas(size, dpi=DOTS_PER_INCH, layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(values, cmap="viridis")
        for row, task in enumerate(told):
            for column, one in enumerate(asked):
                bright = image.norm(values[row, column]) > 0.6
                axes.text(column, row, f"{values[row, column]:.1f}", ha="center", va="center",
                          fontsize=7, color=INK if bright else "white",
                          fontweight="bold" if task == one else "normal")  # fmt: skip
        axes.set_xticks(range(len(asked)), [_short(one, 30) for one in asked], rotation=40,
                        ha="right", fontsize=7, parse_math=False)  # fmt: skip
        axes.set_yticks(range(len(told)), [_short(one, 30) for one in told], fontsize=7,
                        parse_math=False)  # fmt: skip
        axes.set(xlabel="asked about", ylabel="videos of")
        figure.colorbar(image, ax=axes, label="mean of the last log p(True), nat", shrink=0.8)
        figure.savefig(path)


def draw_controls(episodes: Sequence[ScoredEpisode], path: Path) -> None:
    """Draws the mean curve of the episodes and of each control, over their duration."""
    curves = {"as recorded": [each.log_probs for each in episodes]}
    for name in dict.fromkeys(name for each in episodes for name in each.controls):
        curves[name] = [each.controls[name] for each in episodes if name in each.controls]
    share = np.linspace(0.0, 1.0, POINTS)
    with matplotlib.rc_context(STYLE):
        figure = Canvas((7.0, 4.2), dpi=DOTS_PER_INCH, layout="constrained")
        axes = figure.add_subplot()
        for (name, some), colour in zip(curves.items(), (SUCCESS, *COLOURS), strict=False):
            sampled = [np.interp(share, np.linspace(0, 1, len(one)), one) for one in some]
            width = 2.6 if name == "as recorded" else 1.6
            axes.plot(100 * share, np.mean(sampled, axis=0), color=colour, linewidth=width,
                      label=name)  # fmt: skip
        axes.set(xlabel="% of the episode's duration", ylabel="mean log p(True), nat")
        _tidy(axes)
        figure.legend(loc="outside right upper", fontsize=8, frameon=False)
        figure.savefig(path)


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _wrapped(text: str) -> str:
    return "\n".join(textwrap.wrap(text, LONGEST_LABEL))


def _short(text: str, longest: int = LONGEST_LABEL) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
