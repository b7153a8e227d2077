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
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from tools.evaluation.figures import figures
from tools.evaluation.promise import BOUND, calibrated, promise
from tools.evaluation.scored import DETECTOR, Scored, score_folder
from tools.evaluation.table import column, table
from tools.evaluation.worst_episodes import draw_worst, worst
from tools.simulation.recorded_set import load
from topreward_ros.method.calibrating import CalibrationRefusedError
from topreward_ros.method.calibration import Calibration
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import VideoScorer


def named_folder(text: str) -> tuple[str, Path]:
    """Returns the world's name and the folder of WORLD=DIR; a folder alone has its own name."""
    name, equals, folder = text.partition("=")
    return (name, Path(folder)) if equals else (Path(text).name, Path(text))


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--model", default="demo", help="checkpoint directory or name")
    add("--threshold-data", type=Path, nargs="+", help="episodes to choose the threshold on")
    add(
        "--data", type=named_folder, nargs="+", required=True, metavar="WORLD=DIR",
        help="held-out episodes, a column of the table for each world",
    )  # fmt: skip
    add(
        "--controls", type=int, default=48, metavar="N",
        help="successes of each world that are shown as controls (default: %(default)s)",
    )  # fmt: skip
    add("--rate", type=float, default=BOUND.rate, help="of false stops, promised")
    add("--confidence", type=float, default=BOUND.confidence, help="of that")
    add(
        "--threshold-if-refused", type=float, metavar="NAT",
        help="where calibrate refuses, as after hardly any training (default: that is an error)",
    )  # fmt: skip
    add("--out", type=Path, help="folder for the figures")
    add("--write-threshold", action="store_true", help="into the checkpoint's topreward.json")
    return parser.parse_args(arguments)


def chosen_threshold(
    scorer: VideoScorer, options: argparse.Namespace
) -> tuple[float | None, Calibration | None]:
    """Chooses the threshold on episodes of its own.

    Returns:
        It in nat and what it promises; the checkpoint's own, or none, where nothing is promised.

    Raises:
        CalibrationRefusedError: nothing can be promised, and nothing stands in.
    """
    if options.threshold_data is None:
        return scorer.success_threshold, None
    chosen_on = [
        scored for folder in options.threshold_data for scored in score_folder(scorer, folder)
    ]
    bound = FalseStopBound(options.rate, options.confidence)
    try:
        calibration = calibrated(chosen_on, scorer, options.model, DETECTOR, bound)
    except CalibrationRefusedError as error:
        if options.threshold_if_refused is None:
            raise
        print(f"No threshold is promised: {error}")
        return options.threshold_if_refused, None
    # upwards: a lower threshold would break the promise
    return math.ceil(1e3 * calibration.tasks[0].threshold) / 1e3, calibration


def write_figures(
    out: Path,
    card: str,
    worlds: Mapping[str, Sequence[Scored]],
    folders: Mapping[str, Path],
    threshold: float,
) -> None:
    """Writes the card, all numbers, and pictures of the worst episodes of each world."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "card.md").write_text(card)
    result = {name: figures(scored, threshold) for name, scored in worlds.items()}
    (out / "figures.json").write_text(json.dumps(result, indent=2) + "\n")
    for name, folder in folders.items():
        # of a world in several folders, the last one's
        scored = worlds[name][-len(load(folder)) :]
        draw_worst(folder, worst(scored, threshold), out / f"worst_{name.replace(' ', '_')}.png")


def write_threshold(checkpoint: Path, threshold: float) -> None:
    """Writes the threshold into a checkpoint's topreward.json."""
    path = checkpoint / "topreward.json"
    settings = {**json.loads(path.read_text()), "success_threshold": threshold}
    path.write_text(json.dumps(settings, indent=2) + "\n")


def main() -> None:
    """Command line."""
    options = parse_arguments()
    torch.set_num_threads(1)
    scorer = load_scorer(options.model)
    try:
        threshold, calibration = chosen_threshold(scorer, options)
    except CalibrationRefusedError as error:
        raise SystemExit(f"evaluate_demo: {error}") from None
    if threshold is None:
        raise SystemExit("evaluate_demo: the checkpoint names no threshold; give --threshold-data.")
    worlds: dict[str, list[Scored]] = {}
    for name, folder in options.data:
        worlds.setdefault(name, []).extend(score_folder(scorer, folder, options.controls))
    card = f"At a threshold of {threshold} nat; intervals hold 95 %.\n\n"
    card += table({name: column(scored, threshold) for name, scored in worlds.items()}) + "\n"
    if calibration is not None:
        card += f"\n{promise(calibration, worlds)}\n"
    print(card)
    if options.out is not None:
        write_figures(options.out, card, worlds, dict(options.data), threshold)
    if options.write_threshold:
        write_threshold(Path(options.model), threshold)


if __name__ == "__main__":
    main()
