"""Which recordings show which task, and whether they succeed: a labels.csv, or lists of paths."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from topreward_ros.method.prompt import InstructionError, validate_instruction

LABELS_FILE = "labels.csv"
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
    """

    path: Path
    instruction: str
    success: bool


def read_labels(path: Path | str) -> list[LabelledRecording]:
    """Reads a CSV file of labels.

    Args:
        path: the file, or a folder with a labels.csv. Columns: path (relative to the file),
            instruction, success (1 or 0, true or false, yes or no); others are left alone.

    Raises:
        LabelsError: no such file, a column or value that is missing or not understood, a recording
            that is not there or there twice for a task, or no line at all.
    """
    path = Path(path).expanduser()
    file = path / LABELS_FILE if path.is_dir() else path
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise LabelsError(
            f"{file} cannot be read; expected a CSV file with the columns {', '.join(COLUMNS)}."
        ) from None
    rows = csv.DictReader(text.splitlines(), skipinitialspace=True)
    missing = [name for name in COLUMNS if name not in (rows.fieldnames or ())]
    if missing:
        raise LabelsError(
            f"{file} lacks the column {missing[0]}; its first line must name the columns "
            f"{', '.join(COLUMNS)}."
        )
    found = {
        f"line {line}": _labelled(row, f"{file}, line {line}", file.parent)
        for line, row in enumerate(rows, start=2)
    }
    if not found:
        raise LabelsError(f"{file} labels no recording; expected one line for each.")
    return _distinct(found, f"{file}, ")


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
    first: dict[tuple[Path, str], str] = {}
    for where, one in found.items():
        former = first.setdefault((one.path.resolve(), one.instruction), where)
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
            f'{where}: success is "{row["success"]}"; expected 1 or 0, true or false, yes or no.'
        )
    path = (row["path"] or "").strip()
    if not path:
        raise LabelsError(f"{where}: the path is empty; expected a recording's.")
    recording = _existing(folder / path, where)
    return LabelledRecording(
        recording, _instruction(row["instruction"] or "", where), word in TRUE_WORDS
    )


def _existing(path: Path, where: str) -> Path:
    if not path.exists():
        raise LabelsError(f"{where}: there is no recording {path}.")
    return path


def _instruction(text: str, where: str) -> str:
    try:
        return validate_instruction(text)
    except InstructionError as error:
        raise LabelsError(f"{where}: {error}") from None
