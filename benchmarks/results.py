"""What was measured, as a table for people and a file for machines."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import matplotlib as mpl
from rich.console import Console
from rich.table import Table

mpl.use("Agg")
from matplotlib import pyplot as plt


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Attributes:
        group: which of the questions it answers.
        name: what was measured.
        value: the figure.
        unit: of the value; `x` for a ratio.
        goal: what it should reach, as a comparison, or empty.
    """

    group: str
    name: str
    value: float
    unit: str
    goal: str = ""

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None where there is none."""
        if not self.goal:
            return None
        relation, limit = self.goal.split()[:2]
        return self.value >= float(limit) if relation == ">=" else self.value <= float(limit)


@dataclass
class Results:
    """All figures of one run."""

    figures: list[Figure] = field(default_factory=list)
    _files: dict[str, Callable[[Path], object]] = field(default_factory=dict)

    def keep(self, name: str, write: Callable[[Path], object]) -> None:
        """Lets a suite write a file of its own beside the table.

        Args:
            name: of the file.
            write: is given its path when everything is stored.
        """
        self._files[name] = write

    def add(self, group: str, name: str, value: float, unit: str, goal: str = "") -> None:
        """Notes a figure and says it at once, because a run takes minutes."""
        self.figures.append(Figure(group, name, value, unit, goal))
        print(f"{group}: {name}: {value:.3g} {unit}", flush=True)

    def table(self) -> Table:
        """Returns the figures for a terminal."""
        table = Table("question", "measured", "figure", "goal", "reached")
        for figure in self.figures:
            reached = {None: "", True: "yes", False: "NO"}[figure.reached]
            value = f"{figure.value:.3g} {figure.unit}"
            table.add_row(figure.group, figure.name, value, figure.goal, reached)
        return table

    def store(self, directory: Path) -> None:
        """Prints the table, and writes table, numbers and a plot of the ratios."""
        directory.mkdir(parents=True, exist_ok=True)
        Console().print(self.table())
        with (directory / "table.txt").open("w") as file:
            Console(file=file, width=120).print(self.table())
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        figures = [asdict(figure) for figure in self.figures]
        (directory / "figures.json").write_text(
            json.dumps(machine | {"figures": figures}, indent=1)
        )
        self._plot(directory / "ratios.png")
        for name, write in self._files.items():
            write(directory / name)

    def _plot(self, path: Path) -> None:
        ratios = [figure for figure in self.figures if figure.unit == "x"]
        if not ratios:
            return
        height = 0.35 * len(ratios) + 1
        canvas, axes = plt.subplots(figsize=(9, height), layout="constrained")
        axes.barh(
            [f"{figure.group}: {figure.name}" for figure in ratios],
            [figure.value for figure in ratios],
            color=["#c0392b" if figure.reached is False else "#2a7f9e" for figure in ratios],
        )
        for row, figure in enumerate(ratios):
            axes.annotate(f" {figure.value:.3g} x", (figure.value, row), va="center")
            if figure.goal:
                axes.plot([float(figure.goal.split()[1])] * 2, [row - 0.4, row + 0.4], "k:")
        axes.axvline(1.0, color="#888888", linewidth=0.8)
        axes.set(xscale="log", xlabel="ratio of times (dotted: goal)")
        axes.invert_yaxis()
        axes.spines[["top", "right"]].set_visible(False)
        canvas.savefig(path, dpi=150)
        plt.close(canvas)
