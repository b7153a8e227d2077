"""Measures the demo checkpoint on recorded episodes, and chooses its success threshold.

    python -m tools.evaluate_demo --model topreward_ros/models/demo --threshold-data DIR \
        --data WORLD=DIR ... --out FOLDER [--controls N] [--write-threshold]

It prints a table with a column for each world, with the controls that `evaluate` has. Everything
goes the way of a live episode: the package loads the checkpoint, frames that show something new are
appended to a session one by one, and each prefix is scored. The threshold is chosen on episodes of
its own, by the bound of `calibrate`; what that promised and what came is printed too. `--out` gets
both as text for the model card (`card.md`), all numbers (`figures.json`), and pictures of the four
episodes of each world that are decided worst.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import torch

from tools.evaluation.figures import figures
from tools.evaluation.promise import BOUND, calibrated, promise
from tools.evaluation.scored import DETECTOR, Scored, score_folder
from tools.evaluation.table import column, table
from tools.evaluation.worst_episodes import draw_worst, worst
from tools.simulation.recorded_set import load
from topreward_ros.method.calibrating import CalibrationRefusedError
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.models.checkpoints.loading import load_scorer


def named_folder(text: str) -> tuple[str, Path]:
    """Returns the world's name and the folder of WORLD=DIR; a folder alone has its own name."""
    name, equals, folder = text.partition("=")
    return (name, Path(folder)) if equals else (Path(text).name, Path(text))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="demo", help="checkpoint directory or name")
    parser.add_argument(
        "--threshold-data", type=Path, nargs="+", help="episodes to choose the threshold on"
    )
    parser.add_argument(
        "--data", type=named_folder, nargs="+", required=True, metavar="WORLD=DIR",
        help="held-out episodes, a column of the table for each world",
    )  # fmt: skip
    parser.add_argument(
        "--controls", type=int, default=48, metavar="N",
        help="successes of each world that are shown as controls (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--rate", type=float, default=BOUND.rate, help="of false stops, promised")
    parser.add_argument("--confidence", type=float, default=BOUND.confidence, help="of that")
    parser.add_argument(
        "--threshold-if-refused", type=float, metavar="NAT",
        help="where calibrate refuses, as after hardly any training (default: that is an error)",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, help="folder for the figures")
    parser.add_argument(
        "--write-threshold", action="store_true", help="into the checkpoint's topreward.json"
    )
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    scorer = load_scorer(arguments.model)
    threshold = scorer.success_threshold
    calibration = None
    if arguments.threshold_data is not None:
        chosen_on = [s for d in arguments.threshold_data for s in score_folder(scorer, d)]
        bound = FalseStopBound(arguments.rate, arguments.confidence)
        try:
            calibration = calibrated(chosen_on, scorer, arguments.model, DETECTOR, bound)
            # upwards: a lower threshold would break the promise
            threshold = math.ceil(1e3 * calibration.tasks[0].threshold) / 1e3
        except CalibrationRefusedError as error:
            threshold = arguments.threshold_if_refused
            if threshold is None:
                parser.error(str(error))
            print(f"No threshold is promised: {error}")
    if threshold is None:
        parser.error("the checkpoint names no threshold; give --threshold-data")
    worlds: dict[str, list[Scored]] = {}
    for name, folder in arguments.data:
        worlds.setdefault(name, []).extend(score_folder(scorer, folder, arguments.controls))
    result = {name: figures(scored, threshold) for name, scored in worlds.items()}
    card = f"At a threshold of {threshold} nat; intervals hold 95 %.\n\n"
    card += table({name: column(scored, threshold) for name, scored in worlds.items()}) + "\n"
    if calibration is not None:
        card += f"\n{promise(calibration, worlds)}\n"
    print(card)
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / "card.md").write_text(card)
        (arguments.out / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
        for name, folder in dict(arguments.data).items():
            picture = arguments.out / f"worst_{name.replace(' ', '_')}.png"
            # of a world in several folders, the last one's
            scored = worlds[name][-len(load(folder)) :]
            draw_worst(folder, worst(scored, threshold), picture)
    if arguments.write_threshold:
        path = Path(arguments.model) / "topreward.json"
        settings = json.loads(path.read_text())
        settings["success_threshold"] = threshold
        path.write_text(json.dumps(settings, indent=2) + "\n")


if __name__ == "__main__":
    main()
