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
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

from tools.evaluation.controls import control_levels
from tools.evaluation.promise import BOUND, calibrated, promise
from tools.evaluation.table import column, table
from tools.evaluation.worst_episodes import draw_worst, worst
from tools.simulation.instructions import all_instructions
from tools.simulation.recorded_set import load
from tools.training.questions import question_indices
from topreward_ros.method.calibrating import CalibrationRefusedError
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.metrics import success_auc, value_order_correlation
from topreward_ros.method.success import SuccessDetector, SuccessSettings, latch_level
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import VideoScorer
from topreward_ros.video.motion import MotionGate

WINDOW = 3
DETECTOR = SuccessSettings(window=WINDOW)
"""The live one, as it is by default."""
WRONG = 4
"""Wrong instructions asked about each success; the near misses are the likelier."""


@dataclass(frozen=True)
class Scored:
    """One episode's log-probs.

    Attributes:
        kind: how the episode was meant to go.
        success: what the environment said at its end.
        stamps: seconds since the first frame, shape (T,).
        log_probs: of every prefix under the right instruction, nats, shape (T,).
        wrong: success scores under wrong instructions, nats.
        done_at: seconds; when the environment's predicate began to hold to the end, or None.
        controls: thresholds under which success would be claimed of its controls, nat.
    """

    kind: str
    success: bool
    stamps: NDArray[np.float64]
    log_probs: NDArray[np.float64]
    wrong: list[float]
    done_at: float | None
    controls: dict[str, float] = field(default_factory=dict)

    @property
    def level(self) -> float:
        """The threshold under which the live detector would latch in it, at any time, nat."""
        return latch_level(self.log_probs, self.stamps, DETECTOR)

    @property
    def score(self) -> float:
        """Mean of the last three log-probs."""
        return float(self.log_probs[-WINDOW:].mean())


def score_episode(
    scorer: VideoScorer, episode: dict[str, np.ndarray], controls: bool = False
) -> Scored:
    """Scores every prefix of a recorded episode as a live node would, and its controls if asked."""
    texts = all_instructions()
    rng = np.random.default_rng([int(episode["seed"]), 2])
    wrong = question_indices(episode["colours"], 1 + WRONG, rng)[1:]
    asked = [texts[int(episode["instruction"])], *[texts[index] for index in wrong]]
    stamps = episode["stamps"] - episode["stamps"][0]
    threshold = scorer.motion_threshold
    gate = None if threshold is None else MotionGate(threshold)
    session, rows = scorer.start(), []
    for frame, stamp in zip(episode["frames"], stamps, strict=True):
        if gate is None or gate.is_new(frame):
            session.append(frame, float(stamp))
            rows.append(session.log_probs(asked))
        else:
            rows.append(rows[-1])
    values = np.asarray(rows, np.float64)
    done = episode["progress"][:, int(episode["instruction"])] >= 1.0
    last_undone = np.flatnonzero(~done)[-1] if not done.all() else -1
    success = bool(episode["success"])
    return Scored(
        str(episode["kind"]),
        success,
        stamps,
        values[:, 0],
        [float(v) for v in values[-WINDOW:, 1:].mean(axis=0)],
        float(stamps[last_undone + 1]) if success and last_undone + 1 < len(stamps) else None,
        control_levels(scorer, episode["frames"], stamps, asked[0], DETECTOR) if controls else {},
    )


def latched_at(scored: Scored, threshold: float) -> float | None:
    """Seconds at which the package's detector, as it is by default, says success."""
    detector = SuccessDetector(SuccessSettings(threshold=threshold, window=WINDOW))
    for log_prob, stamp in zip(scored.log_probs, scored.stamps, strict=True):
        state = detector.update(float(log_prob), float(stamp))
    return state.since


def figures(scored: list[Scored], threshold: float) -> dict[str, object]:
    """The figures that the model card gives."""
    successes = [s for s in scored if s.success]
    orders = [value_order_correlation(s.log_probs) for s in successes]
    fifteen = [
        value_order_correlation(s.log_probs[np.linspace(0, len(s.log_probs) - 1, 15).astype(int)])
        for s in successes
        if len(s.log_probs) >= 15
    ]
    wrong = [score for s in successes for score in s.wrong]
    right = [s.score for s in successes]
    return {
        "episodes": len(scored),
        "successes": len(successes),
        "voc_mean": float(np.mean(orders)),
        "voc_lowest": float(np.min(orders)),
        "voc_15_prefixes_mean": float(np.mean(fifteen)) if fifteen else None,
        "auc_success": success_auc([s.score for s in scored], [s.success for s in scored]),
        "auc_instruction": success_auc(
            [*right, *wrong], [True] * len(right) + [False] * len(wrong)
        ),
        "threshold": threshold,
        "kinds": _by_kind(scored, threshold),
        "early_stops": _early_stops(successes, threshold),
        "latched_delay_s_median": _delay(successes, threshold),
    }


def _early_stops(successes: list[Scored], threshold: float) -> int:
    """Successes that latched before the environment called them done."""
    latched = [(latched_at(s, threshold), s.done_at) for s in successes]
    return sum(a is not None and d is not None and a < d for a, d in latched)


def _delay(successes: list[Scored], threshold: float) -> float | None:
    latched = [(latched_at(s, threshold), s.done_at) for s in successes]
    delays = [a - d for a, d in latched if a is not None and d is not None]
    return float(np.median(delays)) if delays else None


def _by_kind(scored: list[Scored], threshold: float) -> dict[str, dict[str, object]]:
    table = {}
    for kind, success in sorted(Counter((s.kind, s.success) for s in scored)):
        those = [s for s in scored if (s.kind, s.success) == (kind, success)]
        table[f"{kind} ({'success' if success else 'failure'})"] = {
            "episodes": len(those),
            "score_mean": float(np.mean([s.score for s in those])),
            "score_range": [min(s.score for s in those), max(s.score for s in those)],
            "any_prefix_above_threshold": sum(bool((s.log_probs > threshold).any()) for s in those),
            "score_above_threshold": sum(s.score > threshold for s in those),
            "latched": sum(latched_at(s, threshold) is not None for s in those),
        }
    return table


def score_folder(scorer: VideoScorer, folder: Path, controls: int = 0) -> list[Scored]:
    """Scores all episodes of a folder made by `record_dataset`.

    Args:
        scorer: the model.
        folder: of the episodes.
        controls: successes that are shown as controls too, the first ones of the folder.
    """
    scored, left = [], controls
    for episode in tqdm(load(folder), folder.name):
        shown = left > 0 and bool(episode["success"])
        left -= shown
        scored.append(score_episode(scorer, episode, shown))
    return scored


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
