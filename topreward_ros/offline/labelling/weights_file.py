"""Weights for advantage-weighted behaviour cloning (TOP-AWR, arXiv 2602.19313, section 5).

The paper weighs a step by its dense reward, `clip(tau * exp(s_k - s_(k-1)), 0, delta_max)`, minus
the mean over the data set. A parquet file of `index` (int64), `weight` (float32, 0 or more, which
is what a trainer's static weighting takes) and `advantage` (float32, the difference itself).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.reward import dense_rewards
from topreward_ros.offline.episodes.recorded_episode import DatasetRows
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.offline.labelling.progress_file import LabelledRows, write_table
from topreward_ros.video.selection import STAMP_TOLERANCE


def frame_rewards(labels: EpisodeLabels, rows: DatasetRows) -> NDArray[np.float64]:
    """Returns the paper's reward of the step that each frame belongs to.

    A step ends at its reading; the frames after the last reading belong to the last step.

    Args:
        labels: of the episode.
        rows: its frames.

    Returns:
        (N,) float64; NaN where the progress is unknown.
    """
    rewards = dense_rewards(labels.progress().values)
    steps = np.searchsorted(labels.stamps, rows.stamps - STAMP_TOLERANCE)
    return rewards[np.minimum(steps, len(rewards) - 1)]


def advantages(episodes: Sequence[LabelledRows]) -> list[NDArray[np.float64]]:
    """Returns each frame's reward minus the mean over all frames of all episodes.

    An unknown reward (NaN) stays out of the mean, and its advantage is 0.0, as that of a frame of
    which nothing is known.
    """
    rewards = [frame_rewards(one.labels, one.rows) for one in episodes]
    together = np.concatenate(rewards)
    known = together[np.isfinite(together)]
    mean = known.mean() if known.size else 0.0
    return [np.nan_to_num(values - mean, nan=0.0) for values in rewards]


def write_weights(episodes: Sequence[LabelledRows], path: Path, *, model: str) -> None:
    """Writes the file; it appears whole.

    Args:
        episodes: in the order of the data set.
        path: the file.
        model: hub id or name of the model, for the file's metadata.
    """
    parts = [
        {
            "index": one.rows.index,
            "weight": np.maximum(values, 0.0).astype(np.float32),
            "advantage": values.astype(np.float32),
        }
        for one, values in zip(episodes, advantages(episodes), strict=True)
    ]
    write_table(parts, path, {"vlm_name": model, "weights": "top_awr"})
