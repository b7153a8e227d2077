"""Labels of a recorded episode: the very readings that the live node would publish for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from topreward_ros.episode import Episode, Reading
from topreward_ros.episode_settings import EpisodeSettings
from topreward_ros.models.contract import VideoScorer
from topreward_ros.video.intake import Frame, FrameIntake, IntakeSettings
from topreward_ros.video.picture_job import CameraImageError
from topreward_ros.video.recordings.recording import RecordedImage, Recording
from topreward_ros.video.selection import ClockJump


def recorded_frames(
    recording: Recording,
    settings: IntakeSettings,
    frame_size: tuple[int, int],
    cameras: Sequence[str] | None = None,
    on_bad_picture: Callable[[str], None] | None = None,
    on_doubt: Callable[[str], None] | None = None,
) -> Iterator[Frame]:
    """Selects the frames of a recording as the live node does.

    Args:
        recording: the episode.
        settings: how messages become frames.
        frame_size: (height, width) px.
        cameras: image topics in the order of the layout; None: all of the recording.
        on_bad_picture: told why a picture cannot be decoded, which is then left out; None: that
            raises.
        on_doubt: told at the end, in a sentence each, what was wrong with times and pictures.

    Raises:
        RecordingError: no such topic, or damaged data.
        CameraImageError: a picture cannot be decoded.
        ClockJump: the recorded stamps go back after a frame was selected.
    """
    topics = list(recording.topics if cameras is None else cameras)
    intake = FrameIntake(topics, settings, frame_size)
    for image in recording.images(topics):
        try:
            frame = _add(intake, image)
        except CameraImageError as error:
            if on_bad_picture is None:
                raise
            on_bad_picture(str(error))
            continue
        if frame is not None:
            yield frame
    if on_doubt is not None:
        for sentence in doubts(intake):
            on_doubt(sentence)


def doubts(intake: FrameIntake) -> Iterator[str]:
    """Yields a sentence on each thing that was wrong with the times and pictures of an episode."""
    for camera, state in intake.cameras.items():
        if state.late:
            yield f"Messages of {camera} that came after a newer one, left out: {state.late}."
        if state.outlying:
            yield (
                f"Messages of {camera} whose stamp did not go on from the one before, left out: "
                f"{state.outlying}."
            )
        if state.frozen:
            yield (
                f"Frames in which the picture of {camera} was bit for bit the one before: "
                f"{state.frozen}; success is not claimed on them. Of a simulator, which may send "
                "equal pictures, --no-frozen-check counts them."
            )
    if intake.holes:
        yield (
            f"Frames that came more than {intake.settings.longest_step:g} s after the one before: "
            f"{intake.holes}; success is held anew after each."
        )


def _add(intake: FrameIntake, image: RecordedImage) -> Frame | None:
    try:
        return intake.add(image.topic, image.stamp, image.message, image.received)
    except ClockJump:
        if intake.selected:
            raise
        # No frame was taken yet: one camera went back before the others.
        intake.reset()
        return intake.add(image.topic, image.stamp, image.message, image.received)


def score_recording(
    scorer: VideoScorer,
    recording: Recording,
    instruction: str,
    settings: EpisodeSettings | None = None,
    intake: IntakeSettings | None = None,
    cameras: Sequence[str] | None = None,
    on_doubt: Callable[[str], None] | None = None,
) -> Iterator[Reading]:
    """Scores every frame of a recording, one reading each, as a live node that keeps up would.

    Args:
        scorer: the model.
        recording: the episode.
        instruction: the task.
        settings: of the episode; None: the defaults, and the model's own threshold is not used.
        intake: how messages become frames; None: the defaults at the model's sample rate.
        cameras: image topics in the order of the layout; None: all of the recording.
        on_doubt: see `recorded_frames`.

    Raises:
        InstructionError: the instruction cannot be asked about.
        RecordingError, CameraImageError, ClockJump: see `recorded_frames`.
    """
    episode = Episode(scorer, instruction, settings)
    intake = intake or IntakeSettings(sample_rate=scorer.sample_rate)
    frames = recorded_frames(recording, intake, scorer.frame_size, cameras, on_doubt=on_doubt)
    for frame in frames:
        episode.add_frame(frame.image, frame.stamp, seen=not frame.frozen)
        reading = episode.update()
        if reading is not None:
            yield reading
