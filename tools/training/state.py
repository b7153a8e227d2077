"""What training goes on from after it was stopped: weights, heads, optimizer, and where it was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from tools.train_demo import Trainer


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


def keep(path: Path, trainer: Trainer, place: Place, optimizer: dict | None) -> None:
    """Writes the state, whole or not at all.

    Args:
        path: the file.
        trainer: whose state it is.
        place: where it is.
        optimizer: its state in the phase that is under way; None between two phases.
    """
    state = {
        "place": vars(place),
        "model": trainer.model.state_dict(),
        "heads": trainer.heads.state_dict(),
        "binding": trainer.binding.state_dict(),
        "average": trainer.average,
        "optimizer": optimizer,
    }
    partial = path.with_suffix(".part")
    torch.save(state, partial)
    partial.rename(path)


def go_on(path: Path, trainer: Trainer) -> tuple[Place, dict | None]:
    """Reads what `keep` wrote into a trainer; returns the place and the optimizer's state.

    Without a file, training begins.
    """
    if not path.exists():
        return Place(), None
    state = torch.load(path)
    trainer.model.load_state_dict(state["model"])
    trainer.heads.load_state_dict(state["heads"])
    trainer.binding.load_state_dict(state["binding"])
    trainer.average = state["average"]
    return Place(**state["place"]), state["optimizer"]
