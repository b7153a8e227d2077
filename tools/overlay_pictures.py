"""Draws the overlay pictures of docs/watching.md: the demo episode under way, and done.

    python -m tools.overlay_pictures --out docs

They are what `overlay_node` publishes; a test draws them again and compares.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from topreward_ros.episode import Reading
from topreward_ros.episode_settings import EpisodeSettings
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import VideoScorer
from topreward_ros.offline.labels import score_recording
from topreward_ros.video.image import decode
from topreward_ros.video.overlay import OverlayState, draw_overlay
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import Recording

EPISODE = Path("demo/success")
UNDER_WAY = 0.7
"""Part of the time to success at which the first picture is taken."""


def overlay_pictures(scorer: VideoScorer, folder: Path = EPISODE) -> dict[str, NDArray[np.uint8]]:
    """Draws both pictures.

    Args:
        scorer: the demo model.
        folder: a bag with `episode.yaml` in which the model sees a success.

    Returns:
        By name, `overlay_running` and `overlay_success`: uint8 RGB of the camera's size.
    """
    recording = open_recording(folder)
    instruction = yaml.safe_load((folder / "episode.yaml").read_text())["instruction"]
    settings = EpisodeSettings(success=SuccessSettings(threshold=scorer.success_threshold))
    readings = list(score_recording(scorer, recording, instruction, settings))
    done = next(index for index, reading in enumerate(readings) if reading.success)
    pictures = {}
    for name, count in (("running", round(UNDER_WAY * done)), ("success", done + 1)):
        camera = _picture_at(recording, readings[count - 1].stamp)
        pictures[f"overlay_{name}"] = draw_overlay(camera, _state(readings, count))
    return pictures


def _picture_at(recording: Recording, stamp: float) -> NDArray[np.uint8]:
    return decode(next(image.message for image in recording if image.stamp >= stamp - 1e-6))


def _state(readings: Sequence[Reading], count: int) -> OverlayState:
    shown, last = readings[:count], readings[count - 1]
    return OverlayState(
        instruction=last.instruction,
        times=[reading.episode_time for reading in shown],
        progress=[reading.progress for reading in shown],
        log_prob=last.log_prob,
        reward=last.reward,
        success=last.success,
        success_time=last.success_since,
        model="demo model",
    )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs"), help="folder of the pictures")
    parser.add_argument("--model", default="demo")
    arguments = parser.parse_args()
    for name, picture in overlay_pictures(load_scorer(arguments.model)).items():
        Image.fromarray(picture).quantize(256).save(arguments.out / f"{name}.png", optimize=True)


if __name__ == "__main__":
    main()
