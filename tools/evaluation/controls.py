"""The demo model under the controls of `evaluate`: what it must claim no success of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.success import SuccessSettings, latch_level
from topreward_ros.models.contract import VideoScorer
from topreward_ros.offline.evaluation.controls import NAMES
from topreward_ros.offline.evaluation.prefix_scores import score_lengths
from topreward_ros.offline.evaluation.scoring import control_curves
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

    def ask(shown: EpisodeVideo, tasks: Sequence[str], lengths: Sequence[int]) -> NDArray:
        return score_lengths(scorer, shown, tasks, lengths, scorer.motion_threshold)

    curves = control_curves(ask, EpisodeVideo(tuple(frames), stamps), task, [task], NAMES)
    return {name: latch_level(curve, stamps, settings) for name, curve in curves.items()}
