"""Makes the demo checkpoint from nothing: episodes, training, threshold, figures, demo bags.

    MUJOCO_GL=egl python -m tools.make_demo --work DIR
    MUJOCO_GL=egl python -m tools.make_demo --work DIR --out DIR/demo --bags DIR/bags --share 0.02

The second tries the whole way in some minutes, and leaves what is shipped alone. It works in pieces
of under two hours: it says how long is left, and its exit status is 75 until all is done. The same
command goes on where the last piece stopped, also where that was killed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tools.pieces import PIECE_MINUTES, UNFINISHED, Piece

MODEL = Path("topreward_ros/models/demo")


class Set(NamedTuple):
    """A set of episodes.

    Attributes:
        first_seed: of its episodes.
        count: how many.
        world: a name of `worlds.WORLDS`.
    """

    first_seed: int
    count: int
    world: str = "training"


SETS = {
    "validation": Set(1_200_000, 50),
    "train": Set(1_000_000, 2000),
    "threshold": Set(1_300_000, 400),
    "held_out": Set(1_500_000, 400),
    "held_out_test": Set(1_600_000, 400, "test"),
}
"""In the order of recording; no seed is in two of them, and none is reserved."""
MINUTES = {"--vision-minutes": 30.0, "--language-minutes": 40.0, "--minutes": 180.0}
"""Of training the vision tower, then the language model, then all of it."""
LEAST = 20
"""Episodes; fewer may lack a kind."""


class Stopped(Exception):
    """This piece is over before all is done."""


def run(module: str, *arguments: str, workers: int = 1) -> None:
    """Runs one of the tools, in several processes that know of each other if asked to.

    Raises:
        Stopped: its time was over first.
        SystemExit: it failed.
    """
    command = [sys.executable, "-m", f"tools.{module}", *arguments]
    print("+", " ".join(command), flush=True)
    running = []
    for rank in range(workers):
        shared = {"RANK": str(rank), "WORLD_SIZE": str(workers), "OMP_NUM_THREADS": "1"}
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
        environment = {**os.environ, **(shared | place if workers > 1 else {})}
        running.append(subprocess.Popen(command, env=environment))
    codes = {process.wait() for process in running}
    if codes == {UNFINISHED}:
        raise Stopped
    if codes != {0}:
        raise SystemExit(f"tools.{module} failed; see the messages above")


def record(work: Path, share: float, piece: Piece) -> None:
    """Records all sets."""
    for name, (first_seed, whole, world) in SETS.items():
        count = max(LEAST, round(share * whole))
        run(
            "record_dataset",
            *("--first-seed", str(first_seed), "--count", str(count), "--world", world),
            *("--out", str(work / name), "--stop-after", f"{piece.minutes_left:.2f}"),
        )


def train(work: Path, out: Path, share: float, workers: int, piece: Piece) -> None:
    """Trains the checkpoint."""
    trained = work / "trained"
    if trained.exists():
        return
    run(
        "train_demo",
        *("--data", str(work / "train"), "--validation", str(work / "validation")),
        *("--out", str(out), "--progress", str(work / "state.pt")),
        *("--stop-after", f"{piece.minutes_left:.2f}"),
        *chain(*((name, str(share * time)) for name, time in MINUTES.items())),
        workers=workers,
    )
    trained.touch()


def evaluate(work: Path, out: Path, share: float) -> None:
    """Chooses the threshold, and measures both worlds."""
    asked = ("--controls", "100")
    if (
        share < 1.0
    ):  # few episodes can show no more, and a model that is hardly trained sees nothing
        asked = ("--controls", "3", "--rate", "0.3", "--threshold-if-refused", "-3")
    run(
        "evaluate_demo",
        *("--model", str(out), "--threshold-data", str(work / "threshold")),
        *("--data", f"training world={work / 'held_out'}"),
        f"test world={work / 'held_out_test'}",
        *("--out", str(work / "figures"), "--write-threshold", *asked),
    )


def main() -> int:
    """Command line; returns 0, or `UNFINISHED` where this piece was over first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the episodes")
    parser.add_argument("--out", type=Path, default=MODEL, help="folder of the checkpoint")
    parser.add_argument("--workers", type=int, default=2, help="training processes")
    parser.add_argument("--bags", type=Path, default=Path("demo"), help="folder of the demo bags")
    parser.add_argument("--record-only", action="store_true", help="only the episodes")
    parser.add_argument(
        "--share", type=float, default=1.0, metavar="X",
        help="of the episodes and of the training time (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument(
        "--piece-minutes", type=float, default=PIECE_MINUTES, metavar="M",
        help="stop then; the same command goes on from there (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    if not 0 < arguments.share <= 1:
        parser.error(f"--share is {arguments.share:g}; expected a number above 0, at most 1")
    os.environ.setdefault("MUJOCO_GL", "egl")
    work, out, share = arguments.work, arguments.out, arguments.share
    piece = Piece(arguments.piece_minutes, "make_demo")
    try:
        record(work, share, piece)
        if arguments.record_only:
            return 0
        train(work, out, share, arguments.workers, piece)
        if piece.over:
            raise Stopped
        evaluate(work, out, share)
        run("record_demo_bags", "--out", str(arguments.bags))
    except Stopped:
        print("This piece is over; the same command goes on from here.", flush=True)
        return UNFINISHED
    return 0


if __name__ == "__main__":
    sys.exit(main())
