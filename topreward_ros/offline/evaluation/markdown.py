"""The report of an evaluation as Markdown, which reads without this package."""

from __future__ import annotations

import math
from pathlib import Path

from topreward_ros.offline.evaluation.evaluation import Evaluation, Variant
from topreward_ros.offline.evaluation.figures import Figure, SetFigures
from topreward_ros.offline.evaluation.stage_figures import stage_figures
from topreward_ros.printable import printable

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
MOST_SHOWN = 20
"""Answers to GVL that are shown because they do not parse."""
LONGEST_QUOTE = 60
"""Characters."""
_UNDEFINED = (
    "A curve that holds one has no VOC, and an episode that ends with one no success score: they "
    "are counted as undefined, and stay out of the figure."
)


def markdown(evaluation: Evaluation, pictures: dict[str, Path]) -> str:
    """Returns the report.

    Args:
        evaluation: the result.
        pictures: files beside the report, by the words that stand over them.
    """
    base = evaluation.variants[0]
    parts = [
        f"# How {_cell(base.model)} judges {_cell(evaluation.source)}",
        _summary(evaluation, base),
        _gvl(evaluation, base),
        _controls(evaluation, base),
        _tasks(evaluation, base),
        _variants(evaluation),
        _grades(evaluation, base),
        _stages(base),
        *(f"## {title}\n\n![{title}]({path.name})" for title, path in pictures.items()),
        _failed(base),
        _settings(evaluation),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _summary(evaluation: Evaluation, base: Variant) -> str:
    figures = evaluation.figures(base)
    share = f"{evaluation.confidence:.0%}"
    return "\n".join(
        [
            f"{figures.episodes} episodes, {figures.successes} labelled a success and "
            f"{figures.failures} a failure. Intervals hold {share}; VOC is Spearman's rank "
            "correlation of log p(True) with time, 1 for a curve that only rises. A constant curve "
            "has none: it is counted, and never averaged in.",
            "",
            "| figure | value | interval | episodes | undefined |",
            "|---|---|---|---|---|",
            *_rows(figures),
            *(["", f"{_cell(base.unknown)} {_UNDEFINED}"] if base.unknown else []),
        ]
    )


def _rows(figures: SetFigures) -> list[str]:
    named = {
        f"VOC, {figures.prefixes} prefixes": figures.voc,
        "VOC, every prefix": figures.voc_of_all,
        "VOC of failures": figures.voc_failures,
        **{f"ROC-AUC of success, {name}": figure for name, figure in figures.auc.items()},
        "successes found": figures.detected,
        "failures stopped": figures.false_stops,
        **_gvl_figures(figures),
    }
    return [
        f"| {name} | {_value(f)} | {_limits(f)} | {f.count} | {f.undefined} |"
        for name, f in named.items()
        if f is not None and (f.count or f.undefined)
    ]


def _gvl_figures(figures: SetFigures) -> dict[str, Figure]:
    if figures.gvl is None:
        return {}
    return {
        "VOC of GVL": figures.gvl.voc,
        "VOC of GVL, failures": figures.gvl.voc_failures,
        "answers to GVL that do not parse": figures.gvl.unparsed,
    }


def _gvl(evaluation: Evaluation, base: Variant) -> str:
    figures = evaluation.figures(base).gvl
    if figures is None:
        return ""
    asked = [(each.name, each.gvl) for each in base.episodes if each.gvl is not None]
    unparsed = [(name, answer) for name, answer in asked if answer.percentages is None]
    share = f"{figures.unparsed.interval.value:.0%}"
    lines = [
        "## GVL",
        "",
        "The same model, asked for the percentage done in each of up to "
        f"{base.episodes[0].prefixes} frames in an order drawn by lot (seed {base.gvl_seed}), the "
        "first frame of the episode given as 0 %; "
        f"its text is decoded greedily. Answers that do not parse: {len(unparsed)} of {len(asked)} "
        f"({share}); constant ones: {figures.constant}. Neither has a VOC: they are counted as "
        "undefined, and never averaged in. In the picture of percentages, the number at a point is "
        "the place in which that frame was shown.",
    ]
    if unparsed:
        lines += ["", "| episode | why its answer does not parse | how the answer begins |"]
        lines += ["|---|---|---|"]
        lines += [
            f"| {_cell(name)} | {_cell(answer.reason)} | {_cell(_beginning(answer.text))} |"
            for name, answer in unparsed[:MOST_SHOWN]
        ]
    if len(unparsed) > MOST_SHOWN:
        lines += ["", f"The other {len(unparsed) - MOST_SHOWN} are in report.json."]
    return "\n".join(lines)


def _beginning(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_QUOTE else f"{line[: LONGEST_QUOTE - 1]}…"


def _controls(evaluation: Evaluation, base: Variant) -> str:
    figures = evaluation.figures(base)
    if not figures.controls:
        return ""
    rows = [
        f"| {name} | {_value(one.voc)} | {one.voc.undefined} | {_percent(one.beaten)} | "
        f"{_percent(one.claims)} {_limits(one.claims) if one.claims else ''} |"
        for name, one in figures.controls.items()
    ]
    return "\n".join(
        [
            "## Controls",
            "",
            "Videos that do not show the task being done, and questions about another one. A model "
            "that merely counts time has a high VOC on them too, and claims success.",
            "",
            "| control | VOC | constant | its own video scores higher | success claimed |",
            "|---|---|---|---|---|",
            *rows,
        ]
    )


def _tasks(evaluation: Evaluation, base: Variant) -> str:
    tasks = evaluation.by_task(base)
    if len(tasks) < 2:
        return ""
    rows = []
    for task, figures in tasks.items():
        auc = figures.auc["success score (last 3)"]
        rows.append(
            f"| {_cell(task)} | {figures.episodes} | {_value(figures.voc)} {_limits(figures.voc)} "
            f"| {_value(auc)} {_limits(auc)} |"
        )
    return "\n".join(
        ["## Tasks", "", "| task | episodes | VOC | ROC-AUC |", "|---|---|---|---|", *rows]
    )


def _variants(evaluation: Evaluation) -> str:
    if len(evaluation.variants) < 2:
        return ""
    rows = []
    for variant in evaluation.variants:
        figures = evaluation.figures(variant)
        auc = figures.auc["success score (last 3)"]
        rows.append(
            f"| {_cell(variant.name)} | {_value(figures.voc)} {_limits(figures.voc)} | "
            f"{_value(auc)} {_limits(auc)} | {variant.minutes:.1f} |"
        )
    prefixes = evaluation.variants[0].episodes[0].prefixes
    return "\n".join(
        [
            "## Ablations",
            "",
            f"| variant | VOC, {prefixes} prefixes | ROC-AUC of success | minutes |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _grades(evaluation: Evaluation, base: Variant) -> str:
    grades = evaluation.figures(base).grades
    if grades is None:
        return ""
    head = [str(grade) for grade in range(1, len(grades.confusion) + 1)]
    rows = [
        f"| **{grade}** | " + " | ".join(map(str, row)) + " |"
        for grade, row in zip(head, grades.confusion, strict=True)
    ]
    return "\n".join(
        [
            "## People's grades",
            "",
            f"Rank correlation of success score and grade: {_value(grades.correlation)} "
            f"{_limits(grades.correlation)}, {grades.correlation.count} episodes. Rows: grade by "
            "people; columns: the place of the score between the lowest and the highest.",
            "",
            "| | " + " | ".join(head) + " |",
            "|---" * (len(head) + 1) + "|",
            *rows,
        ]
    )


def _stages(base: Variant) -> str:
    rows = []
    for episode in base.episodes:
        figures = stage_figures(episode)
        if figures is not None:
            within = ", ".join(f"{name} {_number(v)}" for name, v in figures.within.items())
            stopped = figures.furthest if episode.success is False else NOTHING
            rows.append(
                f"| {_cell(episode.name)} | {_cell(within)} | {_number(figures.order)} | "
                f"{_cell(stopped)} |"
            )
    if not rows:
        return ""
    return "\n".join(
        [
            "## Stages",
            "",
            "| episode | VOC within each stage | order of stages | where a failure stopped |",
            "|---|---|---|---|",
            *rows,
        ]
    )


def _failed(base: Variant) -> str:
    if not base.failed:
        return ""
    return "\n".join(["## Left out", "", *(f"- {printable(sentence)}" for sentence in base.failed)])


def _settings(evaluation: Evaluation) -> str:
    rows = [f"| `{name}` | `{_cell(str(value))}` |" for name, value in evaluation.settings.items()]
    return "\n".join(["## Settings", "", "| option | value |", "|---|---|", *rows])


def _value(figure: Figure) -> str:
    return _number(figure.interval.value)


def _limits(figure: Figure) -> str:
    low, high = figure.interval.low, figure.interval.high
    return "" if math.isnan(low) else f"[{_number(low)}, {_number(high)}]"


def _percent(figure: Figure | None) -> str:
    if figure is None or math.isnan(figure.interval.value):
        return NOTHING
    return f"{figure.interval.value:.0%} of {figure.count}"


def _number(value: float) -> str:
    return NOTHING if math.isnan(value) else f"{value:.3f}".replace("-", MINUS)


def _cell(text: str) -> str:
    return printable(text).replace("|", "\\|")
