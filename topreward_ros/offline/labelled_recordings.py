"""Which recordings show which task, and whether they succeed: a labels.csv, or lists of paths."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from topreward_ros.method.prompt import InstructionError, validate_instruction
from topreward_ros.offline.labelled_spans import overlap, read_span
from topreward_ros.printable import printable
from topreward_ros.small_files import FileRefused, read_small
from topreward_ros.video.recordings.bag_files import is_bag_file
from topreward_ros.video.recordings.bag_part import WHOLE, BagPart
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import Recording

LABELS_FILE = "labels.csv"
LARGEST = 2**23
"""Bytes of it; a hundred thousand lines."""
COLUMNS = ("path", "instruction", "success")
TRUE_WORDS = frozenset({"1", "true", "yes", "success"})
FALSE_WORDS = frozenset({"0", "false", "no", "failure"})
_WORDS = {True: "a success", False: "a failure"}


class LabelsError(ValueError):
    """Labels that cannot be used; the message names file and line."""


@dataclass(frozen=True)
class LabelledRecording:
    """A recorded episode with its label.

    Attributes:
        path: rosbag2 directory, .mcap or .db3 file, or video file.
        instruction: the task that was to be done.
        success: whether it was done at the end.
        part: of a bag.
    """

    path: Path
    instruction: str
    success: bool
    part: BagPart = WHOLE

    @property
    def name(self) -> str:
        """What people are told of it."""
        part = self.part
        return str(self.path) if part == WHOLE else f"{self.path}, {part.start:g} to {part.end:g} s"

    def open(self, fps: float | None = None) -> Recording:
        """Opens its pictures; see `open_recording`."""
        return open_recording(self.path, fps, self.part)


def read_labels(path: Path | str) -> list[LabelledRecording]:
    """Reads a CSV file of labels.

    Args:
        path: the file, or a folder with a labels.csv. Columns: path (relative to the file),
            instruction, success (1 or 0, true or false, yes or no), and for a part of a bag start
            and end, s of the pictures' stamps; others are left alone.

    Raises:
        LabelsError: no such file, a column or value that is missing or not understood, a recording
            that is not there or there twice for a task, or no line at all.
    """
    path = Path(path).expanduser()
    file = path / LABELS_FILE if path.is_dir() else path
    expected = f"expected a CSV file with the columns {', '.join(COLUMNS)}"
    try:
        text = read_small(file, largest=LARGEST, encoding="utf-8-sig")
        found = _found(csv.DictReader(io.StringIO(text, newline=""), skipinitialspace=True), file)
    except (FileRefused, csv.Error) as error:
        raise LabelsError(f"{file}: {printable(error, 200)}; {expected}.") from None
    if not found:
        raise LabelsError(f"{file} labels no recording; expected one line for each.")
    return _distinct(found, f"{file}, ")


def _found(rows: csv.DictReader, file: Path) -> dict[str, LabelledRecording]:
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise LabelsError(
            f"{file} lacks the column {missing[0]}; its first line must name the columns "
            f"{', '.join(COLUMNS)}."
        )
    return {
        f"line {line}": _labelled(row, f"{file}, line {line}", file.parent)
        for line, row in enumerate(rows, start=2)
    }


def label_paths(
    successes: Iterable[Path], failures: Iterable[Path], instruction: str
) -> list[LabelledRecording]:
    """Labels recordings that are given by their paths, all of one task.

    Raises:
        LabelsError: a recording is not there or there twice, or the instruction cannot be asked
            about.
    """
    task = _instruction(instruction, "The recordings")
    labelled = [*((path, True) for path in successes), *((path, False) for path in failures)]
    found = {
        f"recording {number}": LabelledRecording(_existing(path, "The list"), task, ok)
        for number, (path, ok) in enumerate(labelled, start=1)
    }
    return _distinct(found, "The list, ")


def _distinct(found: dict[str, LabelledRecording], source: str) -> list[LabelledRecording]:
    """Refuses a recording that would count twice: attempts have to be independent."""
    first: dict[tuple[Path, str, BagPart], str] = {}
    parts: dict[Path, dict[BagPart, str]] = {}
    for where, one in found.items():
        path = one.path.resolve()
        others = parts.setdefault(path, {})
        for part, there in others.items():
            if overlap(part, one.part):
                raise LabelsError(
                    f"{source}{where}: {one.name}, overlaps with the span in {there}; a picture is "
                    "of one episode."
                )
        others.setdefault(one.part, where)
        former = first.setdefault((path, one.instruction, one.part), where)
        if found[former].success != one.success:
            raise LabelsError(
                f"{source}{where}: {one.path} is labelled {_WORDS[one.success]}, and "
                f"{_WORDS[not one.success]} in {former}; keep the label that is right."
            )
        if former != where:
            raise LabelsError(
                f"{source}{where}: {one.path} is labelled in {former} already, for the same "
                "instruction; every recording counts once."
            )
    return list(found.values())


def _labelled(row: dict[str, str], where: str, folder: Path) -> LabelledRecording:
    word = (row["success"] or "").strip().lower()
    if word not in TRUE_WORDS | FALSE_WORDS:
        raise LabelsError(
            f'{where}: success is "{printable(row["success"], 80)}"; expected 1 or 0, true or '
            "false, yes or no."
        )
    path = (row["path"] or "").strip()
    if not path:
        raise LabelsError(f"{where}: the path is empty; expected a recording's.")
    recording = _existing(folder / path, where)
    task = _instruction(row["instruction"] or "", where)
    return LabelledRecording(recording, task, word in TRUE_WORDS, _part(row, recording, where))


def _part(row: dict[str, str], recording: Path, where: str) -> BagPart:
    try:
        part = read_span(row)
    except ValueError as error:
        raise LabelsError(f"{where}: {error}") from None
    if part != WHOLE and recording.is_file() and not is_bag_file(recording):
        raise LabelsError(
            f"{where}: {recording.name} is no bag, and spans are for bags; cut the video, or leave "
            "start and end empty."
        )
    return part


def _existing(path: Path, where: str) -> Path:
    try:
        there = path.exists()
    except (OSError, ValueError):  # too long, or with a zero in it
        there = False
    if not there:
        raise LabelsError(f"{where}: there is no recording {printable(path, 200)}.")
    return path


def _instruction(text: str, where: str) -> str:
    try:
        return validate_instruction(text)
    except InstructionError as error:
        raise LabelsError(f"{where}: {error}") from None
