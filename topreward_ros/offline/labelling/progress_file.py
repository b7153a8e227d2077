"""LeRobot's per-frame progress of a data set, a parquet file.

Columns `index`, `episode_index`, `frame_index` (int64) and `progress_sparse` (float32, 0..1), one
row for every frame of every labelled episode, as `lerobot/rewards/` writes and
`lerobot/rewards/sarm/rabc.py` reads it. NaN says that there is no value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from topreward_ros.offline.episodes.recorded_episode import DatasetRows
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels
from topreward_ros.whole_file import written_whole

ACCEPTS_WEIGHTS = ("pi0", "pi05", "smolvla", "evo1", "molmoact2", "vla_jepa")
"""LeRobot's policies whose loss takes weights (`reduction="none"`), as of 0.6.2."""
REFUSES_WEIGHTS = ("act", "diffusion")


@dataclass(frozen=True)
class LabelledRows:
    """An episode's labels and the frames of the data set that they are for."""

    labels: EpisodeLabels
    rows: DatasetRows


def frame_progress(labels: EpisodeLabels, rows: DatasetRows) -> NDArray[np.float32]:
    """Returns the progress of every frame, between two readings by a straight line.

    Args:
        labels: of the episode.
        rows: its frames.

    Returns:
        (N,) float32 in 0..1; all 0 where the curve is constant, NaN where a reading is unknown.
    """
    values = labels.progress().values
    return np.interp(rows.stamps, labels.stamps, values).astype(np.float32)


def write_progress(
    episodes: Iterable[LabelledRows], path: Path, *, model: str, model_path: str = ""
) -> None:
    """Writes the file; it appears whole.

    Args:
        episodes: in the order of the data set.
        path: the file.
        model: hub id or name of the model, `vlm_name` of the file's metadata.
        model_path: where the model lies, `reward_model_path`; empty: left out.
    """
    parts = [
        {
            "index": one.rows.index,
            "episode_index": np.full(len(one.rows), one.rows.episode_index, np.int64),
            "frame_index": one.rows.frame_index,
            "progress_sparse": frame_progress(one.labels, one.rows),
        }
        for one in episodes
    ]
    metadata = {"vlm_name": model} | ({"reward_model_path": model_path} if model_path else {})
    write_table(parts, path, metadata)


def write_table(parts: list[dict[str, Any]], path: Path, metadata: dict[str, str]) -> None:
    """Writes columns that come in parts as one parquet file.

    Args:
        parts: columns by name, each of the same length; at least one part.
        path: the file.
        metadata: of the Arrow schema.
    """
    import pyarrow
    import pyarrow.parquet

    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    table = pyarrow.table(columns).replace_schema_metadata(metadata)
    with written_whole(path) as beside:
        pyarrow.parquet.write_table(table, beside)


def trainer_line(path: Path) -> str:
    """Returns the options with which LeRobot's trainer takes the file, and who can use them."""
    return (
        f"lerobot-train … --sample_weighting.type=rabc --sample_weighting.progress_path={path} "
        f"--sample_weighting.head_mode=sparse\n(policies that take weights: "
        f"{', '.join(ACCEPTS_WEIGHTS)}; not {' or '.join(REFUSES_WEIGHTS)})"
    )
