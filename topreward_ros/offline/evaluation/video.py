"""The frames of a recorded episode, as an evaluation shows them."""

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
