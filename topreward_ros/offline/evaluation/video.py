"""The frames of a recorded episode, and what becomes of them in a control.

A control is a video on which a model that judges the task must not claim it done: it exposes one
that merely counts time or looks at the last picture.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topreward_ros.offline.labels import recorded_frames

if TYPE_CHECKING:
    from topreward_ros.video.intake import IntakeSettings
    from topreward_ros.video.recordings.recording import Recording

SEED = 20260219
"""Of the shuffled control, so that two runs shuffle alike."""


@dataclass(frozen=True)
class EpisodeVideo:
    """One episode at the sample rate, as the model may see it.

    Attributes:
        frames: N pictures of (height, width, 3) uint8 RGB.
        times: (N,) s since the first frame.
        seen: (N,) whether every camera's picture is a new one; empty: all are.
    """

    frames: tuple[NDArray[np.uint8], ...]
    times: NDArray[np.float64]
    seen: tuple[bool, ...] = ()

    def __len__(self) -> int:
        return len(self.frames)


def read_video(
    recording: Recording,
    settings: IntakeSettings,
    frame_size: tuple[int, int],
    cameras: Sequence[str] | None = None,
    on_bad_picture: Callable[[str], None] | None = None,
) -> EpisodeVideo:
    """Reads all frames of a recording, also those in which nothing moved.

    Args:
        recording: the episode.
        settings: how messages become frames; its motion gate is applied when they are scored.
        frame_size: (height, width) px.
        cameras: image topics in the order of the layout; None: all of the recording.
        on_bad_picture: told why a picture cannot be decoded; None: that raises.

    Raises:
        RecordingError, CameraImageError, ClockJump: see `recorded_frames`.
    """
    ungated = replace(settings, motion_threshold=None)
    frames = list(recorded_frames(recording, ungated, frame_size, cameras, on_bad_picture))
    stamps = np.array([frame.stamp for frame in frames], dtype=np.float64)
    return EpisodeVideo(
        tuple(frame.image for frame in frames),
        stamps - stamps[:1].sum(),
        tuple(not frame.frozen for frame in frames),
    )


def _static(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=(video.frames[0],) * len(video))


def _reversed(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=video.frames[::-1])


def _shuffled(video: EpisodeVideo) -> EpisodeVideo:
    order = np.random.default_rng([SEED, len(video)]).permutation(len(video))
    return replace(video, frames=tuple(video.frames[index] for index in order))


def _black(video: EpisodeVideo) -> EpisodeVideo:
    return replace(video, frames=(np.zeros_like(video.frames[0]),) * len(video))


CONTROLS: dict[str, Callable[[EpisodeVideo], EpisodeVideo]] = {
    "static": _static,
    "reversed": _reversed,
    "shuffled": _shuffled,
    "black": _black,
}
"""By name: the first picture all the time, the video played backwards, its frames in an order that
is drawn by lot, and no picture at all. Times stay as they are."""
