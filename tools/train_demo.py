"""Trains the demo checkpoint on recorded episodes.

    python -m tools.train_demo --data DIR --validation DIR --out topreward_ros/models/demo

First the vision tower alone, with linear heads that say what each visual token shows; then the
whole model on many questions an episode. Stops after the given minutes of each. With
`--checkpoint`, it goes on from a finished checkpoint, whose heads are gone, so new ones are fitted
to it first. With `--progress`, it goes on where it was stopped or killed, or at most two minutes
before; with `--stop-after`, it stops by itself and its exit status is 75 until it is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import torch

from tools.pieces import UNFINISHED, Piece
from tools.simulation.recorded_set import load
from tools.training.pace import PieceOver, Workers
from tools.training.trainer import Trainer

EPISODES_A_STEP = 8


def main() -> int:
    """Command line; returns 0, or `UNFINISHED` where the time was over first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="recorded training episodes")
    parser.add_argument("--validation", type=Path, required=True, help="other recorded episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--vision-minutes", type=float, default=12.0)
    parser.add_argument("--language-minutes", type=float, default=15.0)
    parser.add_argument("--minutes", type=float, default=40.0, help="of training the whole model")
    parser.add_argument("--batch", type=int, default=EPISODES_A_STEP, help="episodes a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="finished checkpoint to begin from")
    parser.add_argument("--heads-minutes", type=float, default=4.0, help="of fitting heads to it")
    parser.add_argument("--progress", type=Path, help="file to keep the state in, to go on from")
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), metavar="MINUTES",
        help="stop then; the same command goes on from there",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.progress is None and arguments.stop_after < float("inf"):
        parser.error("--stop-after needs --progress, a file for what training goes on from")
    workers = Workers()
    torch.manual_seed(arguments.seed + workers.rank)
    trainer = Trainer(
        load(arguments.data), load(arguments.validation), arguments.out, arguments.seed, workers
    )
    if arguments.progress is not None:
        trainer.goes_on(arguments.progress, Piece(arguments.stop_after, "training"))
    try:
        train_phases(trainer, arguments)
    except PieceOver:
        return UNFINISHED
    if workers.rank == 0:
        trainer.save()
        print(json.dumps(trainer.validate(10_000)))
    return 0


def train_phases(trainer: Trainer, arguments: argparse.Namespace) -> None:
    """Trains one phase after the other, from where training was stopped.

    Raises:
        PieceOver: the time of this piece is over.
    """
    batch = max(1, arguments.batch // trainer.workers.count)

    def fit() -> None:
        if arguments.checkpoint is not None:
            if trainer.place.step == 0:
                trainer.go_on_from(arguments.checkpoint)
            trainer.fit_heads(arguments.heads_minutes, batch)

    def see() -> None:
        trainer.train_vision(arguments.vision_minutes, 2.4e-3)

    def speak() -> None:
        trainer.train(arguments.language_minutes, 1.5e-3, batch, at_rest=True)

    def judge() -> None:
        trainer.train(arguments.minutes, 7e-4, batch, at_rest=False)

    for number, train in enumerate((fit, see, speak, judge)):
        trainer.phase(number, train)


if __name__ == "__main__":
    sys.exit(main())
