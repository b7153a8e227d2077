"""Makes the demo checkpoint from nothing: episodes, training, threshold, figures, demo bags.

    MUJOCO_GL=egl python -m tools.make_demo --work DIR
    MUJOCO_GL=egl python -m tools.make_demo --work DIR --out DIR/demo --bags DIR/bags --share 0.05

The second tries the whole way in some minutes, and leaves what is shipped alone. Each step that has
its result already is left out, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from itertools import chain
from pathlib import Path

MODEL = Path("topreward_ros/models/demo")

SETS = {
    "train": (100_000, 2250),
    "validation": (200_000, 50),
    "threshold": (300_000, 150),
    "held_out": (500_000, 240),
}
"""First seed and number of each set's episodes; no seed is in two of them, and none is reserved."""
MINUTES = {"--vision-minutes": 20.0, "--language-minutes": 30.0, "--minutes": 80.0}
"""Of training the vision tower, then the language model, then all of it."""
LEAST = 20
"""Episodes; fewer may lack a kind."""


def run(module: str, *arguments: str, workers: int = 1) -> None:
    """Runs one of the tools, in several processes that know of each other if asked to."""
    command = [sys.executable, "-m", f"tools.{module}", *arguments]
    print("+", " ".join(command), flush=True)
    if workers == 1:
        subprocess.run(command, check=True)
        return
    running = []
    for rank in range(workers):
        shared = {"RANK": str(rank), "WORLD_SIZE": str(workers), "OMP_NUM_THREADS": "1"}
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
        running.append(subprocess.Popen(command, env={**os.environ, **shared, **place}))
    codes = [process.wait() for process in running]
    if any(codes):
        raise SystemExit("training failed; see the messages above")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="folder for the episodes")
    parser.add_argument("--out", type=Path, default=MODEL, help="folder of the checkpoint")
    parser.add_argument("--workers", type=int, default=2, help="training processes")
    parser.add_argument("--bags", type=Path, default=Path("demo"), help="folder of the demo bags")
    parser.add_argument(
        "--share", type=float, default=1.0, metavar="X",
        help="of the episodes and of the training time (default: %(default)s)",
    )  # fmt: skip
    arguments = parser.parse_args()
    if not 0 < arguments.share <= 1:
        parser.error(f"--share is {arguments.share:g}; expected a number above 0, at most 1")
    os.environ.setdefault("MUJOCO_GL", "egl")
    work, out = arguments.work, arguments.out
    for name, (first_seed, whole) in SETS.items():
        count = max(LEAST, round(arguments.share * whole))
        seeds = ("--first-seed", str(first_seed), "--count", str(count))
        run("record_dataset", *seeds, "--out", str(work / name))
    trained = work / "trained"
    if not trained.exists():
        run(
            "train_demo",
            *("--data", str(work / "train"), "--validation", str(work / "validation")),
            *("--out", str(out), "--keep", str(work / "state.pt")),
            *chain(*((name, str(arguments.share * time)) for name, time in MINUTES.items())),
            workers=arguments.workers,
        )
        trained.touch()
    run(
        "evaluate_demo",
        *("--model", str(out), "--threshold-data", str(work / "threshold")),
        *("--data", f"training world={work / 'held_out'}", "--out", str(work / "figures.json")),
        "--write-threshold",
    )
    run("record_demo_bags", "--out", str(arguments.bags))


if __name__ == "__main__":
    main()
