"""Scores recorded episodes with one model, as the live node would have."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from topreward_ros.episode import Episode, Reading
from topreward_ros.episode_settings import asked_statement, task_settings
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.method.prompt import validate_instruction
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.unknown_scores import unknown_scores
from topreward_ros.offline.labelling.episode_labels import EpisodeLabels, statement_columns
from topreward_ros.offline.labels import recorded_frames
from topreward_ros.offline.scoring_options import (
    detector_settings,
    intake_settings,
    load_model,
    scoring_setup,
)
from topreward_ros.video.selection import ClockJump

if TYPE_CHECKING:
    from topreward_ros.video.intake import Frame
    from topreward_ros.video.recordings.recording import Recording

Track = Callable[[list["Frame"]], Iterable["Frame"]]
"""Goes through frames, and may show how far it is."""


class Labeller:
    """Labels one episode after the other.

    Attributes:
        scorer: the model.
        intake: how messages become frames.
    """

    def __init__(self, options: argparse.Namespace, say: Callable[[str], None]) -> None:
        """Loads the model.

        Args:
            options: of the command line.
            say: told what was left out, and what holds for a task, a sentence each.

        Raises:
            ValueError, RuntimeError: calibration, settings or model cannot be used.
        """
        self._options, self._say = options, say
        self._detector = detector_settings(options, options.threshold)
        file = options.calibration_file
        self._calibration = load_calibration(file) if file else None
        self.scorer = load_model(options)
        self.intake = intake_settings(options, self.scorer)

    def label(
        self, name: str, instruction: str, recording: Recording, track: Track = iter
    ) -> EpisodeLabels:
        """Labels an episode.

        Args:
            name: of the episode.
            instruction: its task.
            recording: its pictures.
            track: goes through its frames.

        Raises:
            ValueError, RuntimeError: it cannot be read, asked about or scored; one sentence.
        """
        instruction = validate_instruction(instruction)
        options = self._options
        if self._calibration is not None:
            setup = scoring_setup(self.scorer, self.intake, options, recording)
            self._calibration.check(setup, self._detector)
        settings, warning = task_settings(
            self.scorer,
            self.intake,
            self._detector,
            RewardForm(options.reward_form),
            self._calibration,
            instruction,
        )
        asked = [
            asked_statement(self.scorer, self.intake, self._detector, self._calibration, one)
            for one in parse_statements(options.statements)
        ]
        settings = replace(settings, statements=tuple(one for one, _ in asked))
        notes: list[str] = [said for said in (warning, *(said for _, said in asked)) if said]
        frames = self._frames(recording, notes)
        for note in notes:
            self._say(note)
        if not frames:
            raise ValueError(
                f"{recording.path} gives no frame, so there is nothing to label; expected pictures "
                "that can be decoded, of every camera within camera_max_age of the others'."
            )
        episode = Episode(self.scorer, instruction, settings)
        readings: list[Reading] = []
        frame_ids: list[str] = []
        for frame in track(frames):
            episode.add_frame(frame.image, frame.stamp, seen=not frame.frozen)
            readings.append(replace(episode.update(), model_time=0.0))
            frame_ids.append(frame.frame_id)
        censored = self.scorer.backend.censored
        if unknown := unknown_scores([[one.log_prob for one in readings]], censored=censored):
            notes.append(f"{name}: {unknown}")
            self._say(notes[-1])
        beside = statement_columns([reading.statements for reading in readings])
        return EpisodeLabels(
            name, instruction, tuple(readings), tuple(notes), tuple(frame_ids), beside
        )

    def _frames(self, recording: Recording, notes: list[str]) -> list[Frame]:
        """Returns all frames up to a jump of time, and notes what was left out."""
        frames: list[Frame] = []
        bad: list[str] = []
        size, cameras = self.scorer.frame_size, self._options.cameras
        try:
            for frame in recorded_frames(
                recording, self.intake, size, cameras, bad.append, notes.append
            ):
                frames.append(frame)
        except ClockJump as error:
            notes.append(f"The labels end after frame {len(frames)}: {error}")
        if bad:
            notes.append(
                f"Pictures left out, as they cannot be decoded: {len(bad)}. The first: {bad[0]}"
            )
        return frames
