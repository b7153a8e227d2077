"""Makes the demo checkpoint from nothing: episodes, training, threshold, figures, demo bags.

    MUJOCO_GL=egl python -m tools.make_demo --work DIR

Each step that has its result already is left out, so an interrupted run goes on where it stopped.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

MODEL = Path("topreward_ros/models/demo")

SETS = {
    "train": ["--first-seed", "100000", "--count", "2250"],
    "validation": ["--first-seed", "200000", "--count", "50"],
    "threshold": ["--first-seed", "300000", "--count", "150"],
    "held_out": ["--first-seed", "500000", "--count", "240"],
}
"""Seeds of each set; none is in two of them, and none is reserved."""


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
    parser.add_argument("--vision-minutes", default="20", help="of training the vision tower")
    parser.add_argument("--language-minutes", default="30", help="then the language model")
    parser.add_argument("--minutes", default="80", help="then the whole model")
    arguments = parser.parse_args()
    os.environ.setdefault("MUJOCO_GL", "egl")
    work, out = arguments.work, arguments.out
    for name, seeds in SETS.items():
        run("record_dataset", *seeds, "--out", str(work / name))
    trained = work / "trained"
    if not trained.exists():
        run(
            "train_demo",
            *("--data", str(work / "train"), "--validation", str(work / "validation")),
            *("--out", str(out), "--keep", str(work / "state.pt")),
            *("--vision-minutes", arguments.vision_minutes),
            *("--language-minutes", arguments.language_minutes, "--minutes", arguments.minutes),
            workers=arguments.workers,
        )
        trained.touch()
    run(
        "evaluate_demo",
        *("--model", str(out), "--threshold-data", str(work / "threshold")),
        *("--data", str(work / "held_out"), "--out", str(work / "figures.json")),
        "--write-threshold",
    )
    run("record_demo_bags", "--out", "demo")


if __name__ == "__main__":
    main()
