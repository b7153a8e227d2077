"""Which recorded episode the demo plays, and what it asks about it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from topreward_ros.method.prompt import validate_instruction
from topreward_ros.nodes.running.node_commands import package_directory
from topreward_ros.small_files import FileRefused, load_yaml, read_small
from topreward_ros.video.recordings.opening import open_recording

SHIPPED = ("success", "failure")
DESCRIPTION = "episode.yaml"
"""Beside a bag's files; its `instruction` says what the episode is about."""
COMPRESSED = "sensor_msgs/msg/CompressedImage"
JPEG_QUALITY = 92
"""For recordings of raw pictures; a third of the bytes, and close enough for a demo."""
QUEUE = 100
"""Pictures that may wait to be looked at."""


class DemoError(RuntimeError):
    """The demo cannot go on; the message says why, in one sentence."""


@dataclass(frozen=True)
class DemoEpisode:
    """A recording and its task.

    Attributes:
        name: for people.
        path: the recording.
        recorded_topic: the one image topic that is played.
        topic: where it is published, as CompressedImage.
        instruction: the task.
        duration: s, of the recording.
        pictures: how many are played.
        quality: JPEG quality at which it is played; 0: as it was recorded.
        fps: pictures per second of a video file; 0: its own.
    """

    name: str
    path: Path
    recorded_topic: str
    topic: str
    instruction: str
    duration: float
    pictures: int
    quality: int
    fps: float

    def reception(self) -> dict[str, str | int]:
        """Returns parameters of reward_node with which all of it passes, on a slow machine too."""
        policies = f"qos_overrides.{self.topic}.subscription"
        return {f"{policies}.reliability": "reliable", f"{policies}.depth": QUEUE}


def model_environment(model: str) -> dict[str, str]:
    """Returns environment variables for the process that runs a model.

    Args:
        model: demo, a hub id or a checkpoint directory.
    """
    # So small a model gains nothing from threads; on a busy machine they await each other.
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")} if model == "demo" else {}


def choose_episode(
    name: str, *, instruction: str = "", camera: str = "", fps: float = 0.0
) -> DemoEpisode:
    """Finds an episode.

    Args:
        name: `success` or `failure`, which come with the package, or a bag or a video file.
        instruction: the task; empty: the one the episode was recorded under.
        camera: the image topic; empty: the recording's first.
        fps: pictures per second of a video file; 0: its own.

    Raises:
        DemoError: no instruction is known, or there is no such camera.
        ValueError: the recording or the instruction cannot be read.
        FileNotFoundError: the package came without its episodes.
    """
    path = package_directory("demo") / name if name in SHIPPED else Path(name).expanduser()
    recording = open_recording(path, fps=fps or None)
    topics = list(recording.topics)
    if camera and camera not in topics:
        raise DemoError(f"{path} has no images on {camera}; it has them on {', '.join(topics)}.")
    recorded = camera or topics[0]
    compressed = recording.topics[recorded].type == COMPRESSED
    text = instruction or _recorded_instruction(path)
    if not text:
        raise DemoError(
            f"Nothing says what {path} is about; give the task in words: "
            'INSTRUCTION="put the green cube on the blue disc".'
        )
    return DemoEpisode(
        name=name if name in SHIPPED else path.name,
        path=path,
        recorded_topic=recorded,
        topic=recorded if compressed else f"{recorded}/compressed",
        instruction=validate_instruction(text),
        duration=recording.duration,
        pictures=recording.topics[recorded].count,
        quality=0 if compressed else JPEG_QUALITY,
        fps=fps,
    )


def _recorded_instruction(path: Path) -> str:
    description = (path if path.is_dir() else path.parent) / DESCRIPTION
    if not description.is_file():
        return ""
    try:
        content = load_yaml(read_small(description))
    except FileRefused as error:
        raise DemoError(f"{description}: {error}; give the task in words instead.") from None
    return str(content.get("instruction", "")) if isinstance(content, dict) else ""
