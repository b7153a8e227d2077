"""Scores recorded episodes for an evaluation: curves, controls, all tasks against all videos."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topreward_ros.method.progress import DEFAULT_PREFIXES
from topreward_ros.method.prompt import MAX_INSTRUCTION_LENGTH
from topreward_ros.offline.evaluation.controls import CONTROLS, QUESTIONS, WRONG_INSTRUCTION
from topreward_ros.offline.evaluation.gvl import GvlAnswer, GvlSettings, ask_gvl
from topreward_ros.offline.evaluation.prefix_scores import score_lengths
from topreward_ros.offline.evaluation.scored_episode import WINDOW, ScoredEpisode, last_mean
from topreward_ros.offline.evaluation.video import EpisodeVideo, read_video
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.offline.episodes.recorded_episode import RecordedEpisode
    from topreward_ros.video.intake import IntakeSettings

Asking = Callable[[EpisodeVideo, Sequence[str], Sequence[int]], "NDArray[np.float64]"]
"""Takes a video, tasks, and lengths of prefixes; returns nats, (lengths, tasks)."""


@dataclass(frozen=True)
class EvaluationSettings:
    """What is asked of each episode.

    Attributes:
        controls: some of `controls.NAMES`.
        matrix: whether every instruction of the set is asked about every video.
        intake: how messages become frames.
        cameras: image topics in the order of the layout; None: all of each recording.
        last: frames that each prefix is cropped to; None: true prefixes.
        gvl: how GVL asks the same model; None: it does not.
        prefixes: evenly spaced ones, of which VOC is.
    """

    controls: tuple[str, ...]
    matrix: bool
    intake: IntakeSettings
    cameras: tuple[str, ...] | None = None
    last: int | None = None
    gvl: GvlSettings | None = None
    prefixes: int = DEFAULT_PREFIXES


def score_episode(
    scorer: VideoScorer,
    episode: RecordedEpisode,
    instructions: Sequence[str],
    settings: EvaluationSettings,
    on_bad_picture: Callable[[str], None] | None = None,
) -> tuple[ScoredEpisode, EpisodeVideo]:
    """Scores one episode.

    Args:
        scorer: the model.
        episode: with one instruction.
        instructions: of the whole set, each once.
        settings: what is asked.
        on_bad_picture: told why a picture cannot be decoded; None: that raises.

    Returns:
        What the model said, and the video.

    Raises:
        SourceError, RecordingError, CameraImageError, ClockJump, InstructionError: the episode
            cannot be read or asked about; one sentence.
        ModelError, ValueError: the model cannot write, or not about this instruction.
    """
    own = episode.instruction
    size = scorer.frame_size
    video = read_video(episode.open(), settings.intake, size, settings.cameras, on_bad_picture)
    if not len(video):
        raise RecordingError(f"{episode.name} has no frame.")
    lengths = range(1, len(video) + 1)

    def ask(shown: EpisodeVideo, tasks: Sequence[str], ends: Sequence[int]) -> np.ndarray:
        gate = settings.intake.motion_threshold
        return score_lengths(scorer, shown, tasks, ends, gate, settings.last)

    controls = control_curves(ask, video, own, instructions, settings.controls)
    answers = {}
    if settings.matrix:
        told = ask(video, instructions, lengths[-WINDOW:])
        answers = {task: last_mean(told[:, column]) for column, task in enumerate(instructions)}
    return (
        ScoredEpisode(
            episode.name,
            own,
            episode.success,
            episode.grade,
            episode.stages(),
            video.times,
            ask(video, [own], lengths)[:, 0],
            controls,
            answers,
            video.seen,
            _gvl(scorer, episode, video, settings.gvl),
            settings.prefixes,
        ),
        video,
    )


def control_curves(
    ask: Asking,
    video: EpisodeVideo,
    own: str,
    instructions: Sequence[str],
    names: Sequence[str],
) -> dict[str, NDArray[np.float64]]:
    """Scores the controls of one episode.

    Args:
        ask: scores prefixes of a video.
        video: the episode's.
        own: its task.
        instructions: of the whole set, each once; with one alone there is no wrong one.
        names: some of `controls.NAMES`.

    Returns:
        By name of the control: (N,) nats.
    """
    lengths = range(1, len(video) + 1)
    curves = {
        name: ask(CONTROLS[name](video), [own], lengths)[:, 0] for name in names if name in CONTROLS
    }
    questions = _questions(own, instructions, names)
    if questions:
        asked = ask(video, list(questions.values()), lengths)
        curves |= {name: asked[:, column] for column, name in enumerate(questions)}
    return curves


def _questions(own: str, instructions: Sequence[str], controls: Sequence[str]) -> dict[str, str]:
    """What is asked about the video besides its own task, by the control's name."""
    asked = {}
    if WRONG_INSTRUCTION in controls and any(task != own for task in instructions):
        # The next one of the set: every task is asked about another's video equally often.
        following = list(instructions).index(own) + 1
        asked[WRONG_INSTRUCTION] = instructions[following % len(instructions)]
    for name, ask in QUESTIONS.items():
        question = ask(own) if name in controls else None
        if question is not None and len(question.encode()) <= MAX_INSTRUCTION_LENGTH:
            asked[name] = question
    return asked


def _gvl(
    scorer: VideoScorer,
    episode: RecordedEpisode,
    video: EpisodeVideo,
    settings: GvlSettings | None,
) -> GvlAnswer | None:
    if settings is None:
        return None
    from topreward_ros.models.writing import writer_of  # takes seconds

    writer = writer_of(scorer)
    return ask_gvl(writer, episode.name, episode.instruction, video.frames, settings)
