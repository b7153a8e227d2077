"""Scores of episodes that are already done, so that an interrupted run goes on where it was.

One JSON line per episode, written at once; the first line says what the scores depend on.
"""

from __future__ import annotations

import json
from pathlib import Path
from types import TracebackType

from topreward_ros.method.calibrating import LabelledEpisode
from topreward_ros.offline.labelled_recordings import LabelledRecording
from topreward_ros.offline.recording_digest import recording_digest
from topreward_ros.small_files import FileRefused, read_small
from topreward_ros.video.recordings.bag_part import WHOLE

LARGEST = 2**28
"""Bytes; ten thousand episodes of ten minutes have half of that."""


class ScoreFile:
    """A file of scores, open for adding more; a context manager."""

    def __init__(self, path: Path, conditions: dict[str, object]) -> None:
        """Opens the file and keeps what is in it if it was made under the same conditions.

        Args:
            path: the file; it need not exist.
            conditions: all that decides the scores beside the recordings; plain JSON values.
        """
        self.path = path
        self._done: dict[str, dict[str, object]] = {}
        head = json.dumps(conditions, sort_keys=True)
        text = _text(path) if path.exists() else ""
        lines = text.splitlines()
        self.outdated = bool(lines) and lines[0] != head
        """Whether the scores of another setup were thrown away."""
        going_on = bool(lines) and not self.outdated
        self._file = path.open("a" if going_on else "w", encoding="utf-8")
        if not going_on:
            self._write(head)
            return
        self._done = dict(filter(None, map(_entry, lines[1:])))
        if not text.endswith("\n"):
            self._write("")

    def __enter__(self) -> ScoreFile:
        """Returns itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes the file."""
        self._file.close()

    def episode(self, recording: LabelledRecording) -> LabelledEpisode | None:
        """The scores of a recording under its present label; None if it is yet to be scored."""
        scores = self._done.get(_key(recording))
        return _labelled(recording, scores) if scores else None

    def add(
        self,
        recording: LabelledRecording,
        log_probs: list[float],
        episode_times: list[float],
        seen: list[bool],
    ) -> LabelledEpisode:
        """Keeps the scores of a recording, on disk when this returns, and gives them back labelled.

        Args:
            recording: what was scored.
            log_probs: (N,) nats.
            episode_times: (N,) s.
            seen: (N,) see `LabelledEpisode`.
        """
        key = _key(recording)
        scores = {
            "key": key,
            "digest": recording_digest(recording.path, recording.part),
            "log_probs": log_probs,
            "episode_times": episode_times,
            "seen": seen,
        }
        self._done[key] = scores
        self._write(json.dumps(scores))
        return _labelled(recording, scores)

    def _write(self, line: str) -> None:
        self._file.write(line + "\n")
        self._file.flush()


def _text(path: Path) -> str:
    try:
        return read_small(path, largest=LARGEST)
    except FileRefused as error:
        raise FileRefused(f"{path}: {error}; remove it to score anew.") from None


def _labelled(recording: LabelledRecording, scores: dict[str, object]) -> LabelledEpisode:
    return LabelledEpisode(
        name=recording.name,
        instruction=recording.instruction,
        success=recording.success,
        log_probs=tuple(scores["log_probs"]),
        episode_times=tuple(scores["episode_times"]),
        recording=str(scores["digest"]),
        seen=tuple(scores["seen"]),
    )


def _entry(line: str) -> tuple[str, dict[str, object]] | None:
    try:
        scores = json.loads(line)
        numbers = (*scores["log_probs"], *scores["episode_times"])
        whole = all(type(number) is float for number in numbers) and scores["digest"]
        return (scores["key"], scores) if whole else None
    except (ValueError, KeyError, TypeError, RecursionError):
        return None  # the line that was being written when the machine stopped


def _key(recording: LabelledRecording) -> str:
    """Names a recording's state and its instruction: a new recording at an old path is another."""
    path = recording.path
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    state = [(str(file.relative_to(path)), file.stat().st_size, file.stat().st_mtime_ns)
             for file in files if file.is_file()]  # fmt: skip
    part = [] if recording.part == WHOLE else [recording.part.start, recording.part.end]
    return json.dumps([str(path.resolve()), recording.instruction, state, *part])
