"""The demo model under the controls of `evaluate`: what it must claim no success of."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.success import SuccessSettings, latch_level
from topreward_ros.models.contract import VideoScorer
from topreward_ros.offline.evaluation.controls import CONTROLS, QUESTIONS
from topreward_ros.offline.evaluation.prefix_scores import score_lengths
from topreward_ros.offline.evaluation.video import EpisodeVideo


def control_levels(
    scorer: VideoScorer,
    frames: NDArray[np.uint8],
    stamps: NDArray[np.float64],
    task: str,
    settings: SuccessSettings,
) -> dict[str, float]:
    """Scores every control of one episode.

    Args:
        scorer: the model.
        frames: (T, H, W, 3) RGB.
        stamps: (T,) seconds since the first frame.
        task: the episode's instruction.
        settings: of the detector that would claim a success.

    Returns:
        By control: the threshold, in nat, under which success would be claimed at any time.
    """
    video = EpisodeVideo(tuple(frames), stamps)
    lengths, gate = range(1, len(frames) + 1), scorer.motion_threshold

    def curves(shown: EpisodeVideo, tasks: list[str]) -> NDArray[np.float64]:
        return score_lengths(scorer, shown, tasks, lengths, gate)

    found = {name: curves(make(video), [task])[:, 0] for name, make in CONTROLS.items()}
    asked = {name: question for name, ask in QUESTIONS.items() if (question := ask(task))}
    told = curves(video, list(asked.values()))
    found |= {name: told[:, column] for column, name in enumerate(asked)}
    return {name: latch_level(curve, stamps, settings) for name, curve in found.items()}
