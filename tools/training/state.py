"""What training goes on from after it was stopped: weights, heads, optimizer, and where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from tools.training.running_average import RunningAverage
from tools.training.student import Student


@dataclass(frozen=True)
class Place:
    """How far training has come.

    Attributes:
        phase: number of the phase that is under way.
        step: of the phase; the next one's number.
        seconds: of the phase that have been spent.
    """

    phase: int = 0
    step: int = 0
    seconds: float = 0.0


def keep(
    path: Path, student: Student, average: RunningAverage, place: Place, optimizer: dict | None
) -> None:
    """Writes the state, whole or not at all.

    Args:
        path: the file.
        student: whose state it is.
        average: of its weights.
        place: where training is.
        optimizer: its state in the phase that is under way; None between two phases.
    """
    state = {
        "place": vars(place),
        "model": student.model.state_dict(),
        "heads": student.heads.state_dict(),
        "binding": student.binding.state_dict(),
        "average": average.weights,
        "optimizer": optimizer,
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.rename(path)


def go_on(path: Path, student: Student, average: RunningAverage) -> tuple[Place, dict | None]:
    """Reads what `keep` wrote; returns the place and the optimizer's state.

    Without a file, training begins. A file holds tensors and plain values alone, so that it
    outlives the names of these modules.
    """
    if not path.exists():
        return Place(), None
    state = torch.load(path, weights_only=True)
    student.model.load_state_dict(state["model"])
    student.heads.load_state_dict(state["heads"])
    student.binding.load_state_dict(state["binding"])
    average.weights = state["average"]
    return Place(**state["place"]), state["optimizer"]
