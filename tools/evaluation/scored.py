"""The demo model's log-probs of recorded episodes, as a live node would have them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from tools.evaluation.controls import control_levels
from tools.simulation.instructions import all_instructions
from tools.simulation.recorded_set import load
from tools.training.questions import question_indices
from topreward_ros.method.success import SuccessSettings, latch_level
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
