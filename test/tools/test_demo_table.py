"""The demo model's table counts what its episodes say."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch")

from tools.evaluate_demo import named_folder
from tools.evaluation.scored import Scored
from tools.evaluation.table import column, table

THRESHOLD = -3.0


def scored(kind: str, success: bool, last: float, **controls: float) -> Scored:
    """An episode of 10 s whose log-probs rise to a value, and stay there for its second half."""
    log_probs = np.concatenate([np.linspace(-9.0, last, 10), np.full(10, last)])
    stamps = np.arange(20) / 2
    return Scored(kind, success, stamps, log_probs, [-8.0], 4.0 if success else None, controls)


@pytest.fixture(scope="module")
def rows():
    episodes = [
        scored("success", True, -1.0, reversed=-8.0),
        scored("success", True, -4.0, reversed=-1.0),
        scored("drop", True, -1.0),
        scored("drop", False, -2.0),
        scored("held", False, -8.0),
        scored("static", False, -8.0),
    ]
    return column(episodes, THRESHOLD)


@pytest.mark.parametrize(
    ("name", "goal", "value"),
    [
        ("episodes", "", "6, 3 of them successes"),
        ("intended successes latched", ">= 95 %", "1 of 2, 50.0% [1.3%, 98.7%]"),
        ("false stops", "<= 2 %", "1 of 3, 33.3% [0.8%, 90.6%]"),
        ("false stops, drop", "<= 5 %", "1 of 1, 100.0% [2.5%, 100.0%]"),
        ("false stops, held", "<= 5 %", "0 of 1, 0.0% [0.0%, 97.5%]"),
        ("static", "0", "0 of 1, 0.0% [0.0%, 97.5%]"),
        ("claims, reversed", "<= 5 %", "1 of 2, 50.0% [1.3%, 98.7%]"),
    ],
)
def test_a_row_counts_and_has_its_exact_interval(rows, name, goal, value):
    assert rows[name] == (goal, value)


def test_an_area_has_its_interval(rows):
    assert rows["AUC success"][1].startswith("0.889 [")  # 8 of 9 pairs
    assert rows["AUC instruction"][1].startswith("1.000 [")


def test_worlds_stand_side_by_side(rows):
    text = table({"training world": rows, "test world": {"episodes": ("", "9, 4")}})
    lines = text.splitlines()
    assert lines[0] == "|  | wanted | training world | test world |"
    assert "| episodes |  | 6, 3 of them successes | 9, 4 |" in lines
    assert "| static | 0 | 0 of 1, 0.0% [0.0%, 97.5%] | - |" in lines
    assert len({line.count("|") for line in lines}) == 1


def test_a_world_has_a_name_or_that_of_its_folder():
    assert named_folder("test world=a/b")[0] == "test world"
    assert named_folder("a/held_out")[0] == "held_out"
