"""Log-probabilities of the prefixes of a video, with the motion gate as live."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from topreward_ros.video.motion import MotionGate

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.offline.evaluation.video import EpisodeVideo


def score_lengths(
    scorer: VideoScorer,
    video: EpisodeVideo,
    instructions: Sequence[str],
    lengths: Sequence[int],
    motion_threshold: float | None,
    last: int | None = None,
) -> NDArray[np.float64]:
    """Scores prefixes of a video under one instruction or several.

    A frame that the gate leaves out adds nothing to the video, so that the prefix which ends there
    has the score of the one before, as the live node's reading has.

    Args:
        scorer: the model.
        video: at least one frame.
        instructions: the tasks.
        lengths: numbers of frames, each from 1 to len(video), growing.
        motion_threshold: grey levels of the motion gate; None: every frame counts.
        last: frames; what is older is cropped from each prefix, and time begins with what is left,
            which is LeRobot's recipe with 16 and another method than the paper's. None: true
            prefixes.

    Returns:
        (len(lengths), len(instructions)) nats.
    """
    kept = kept_frames(video, motion_threshold)
    # How many of the frames that count each prefix holds; the first frame always counts.
    counts = np.searchsorted(kept, np.asarray(lengths), side="left")
    frames = [video.frames[index] for index in kept]
    times = [float(video.times[index]) for index in kept]
    wanted = sorted(set(counts.tolist()))
    if last is not None:
        scores = _crop(scorer, frames, times, instructions, wanted, last)
    elif len(instructions) == 1:
        from topreward_ros.models.checkpoints.loading import score_prefixes  # takes seconds

        scores = score_prefixes(scorer, frames, times, instructions[0], wanted)[:, np.newaxis]
    else:
        scores = _ask_several(scorer, frames, times, instructions, wanted)
    return scores[np.searchsorted(wanted, counts)]


def kept_frames(video: EpisodeVideo, motion_threshold: float | None) -> NDArray[np.int64]:
    """Returns the numbers of the frames that the motion gate lets through, growing."""
    if motion_threshold is None:
        return np.arange(len(video))
    gate = MotionGate(motion_threshold)
    return np.array([number for number, frame in enumerate(video.frames) if gate.is_new(frame)])


def _ask_several(
    scorer: VideoScorer,
    frames: Sequence[NDArray[np.uint8]],
    times: Sequence[float],
    instructions: Sequence[str],
    wanted: Sequence[int],
) -> NDArray[np.float64]:
    """Asks about all tasks on one video cache: it costs the tokens of the questions."""
    session, rows = scorer.start(), []
    for count, (frame, time) in enumerate(zip(frames, times, strict=True), start=1):
        session.append(frame, time)
        if count in wanted:
            rows.append(session.log_probs(instructions))
    return np.array(rows)


def _crop(
    scorer: VideoScorer,
    frames: Sequence[NDArray[np.uint8]],
    times: Sequence[float],
    instructions: Sequence[str],
    wanted: Sequence[int],
    last: int,
) -> NDArray[np.float64]:
    rows = []
    for count in wanted:
        first = max(0, count - last)
        session = scorer.start()
        for frame, time in zip(frames[first:count], times[first:count], strict=True):
            session.append(frame, time - times[first])
        rows.append(session.log_probs(instructions))
    return np.array(rows)
