"""Calibrations as YAML files: versioned, readable, and refused by field when damaged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import yaml

from topreward_ros.method.calibration import (
    LOCAL,
    Calibration,
    CalibrationError,
    Interval,
    ScoringSetup,
    TaskCalibration,
)
from topreward_ros.method.success import SuccessError, SuccessSettings
from topreward_ros.printable import printable, printable_value
from topreward_ros.small_files import FileRefused, load_yaml, read_small
from topreward_ros.whole_file import written_whole

FORMAT = "topreward_ros/calibration"
VERSION = 3
WITHOUT_BACKEND = 2
"""The version before, whose setup did not say what ran the model."""
LARGEST_NUMBER = 10**12
"""What no count, log-prob or time comes near, and every float can hold."""
HEADER = (
    "# Written by `ros2 run topreward_ros calibrate`. Log-probs are in nats, times in seconds.\n"
)


def save_calibration(calibration: Calibration, path: Path | str) -> None:
    """Writes the file; the same calibration always gives the same bytes."""
    detector = asdict(calibration.detector)
    # Each task has its own; the longest step follows from the sample rate.
    del detector["threshold"], detector["max_time"], detector["max_step"]
    document = {
        "format": FORMAT,
        "version": VERSION,
        "setup": {**asdict(calibration.setup), "frame_size": list(calibration.setup.frame_size)},
        "detector": detector,
        "tasks": [
            {
                **asdict(task),
                "instructions": list(task.instructions),
                "recordings": list(task.recordings),
            }
            for task in calibration.tasks
        ],
    }
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    with written_whole(Path(path)) as beside:  # a full disk keeps the file of before
        beside.write_text(HEADER + text, encoding="utf-8")


def load_calibration(path: Path | str) -> Calibration:
    """Reads the file.

    Raises:
        CalibrationError: it is missing, damaged, of another format or version, or a field of it is
            absent, unknown, or not what is expected there.
    """
    try:
        return _calibration(_document(Path(path)))
    except CalibrationError as error:
        raise CalibrationError(f"Calibration file {path}: {error}") from None


def _document(path: Path) -> dict[str, Any]:
    try:
        document = load_yaml(read_small(path))
    except FileRefused as error:
        raise CalibrationError(f"{error}; make it again.") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise CalibrationError(f'it is not a calibration; expected "format: {FORMAT}" in it.')
    if document.get("version") == WITHOUT_BACKEND and isinstance(document.get("setup"), dict):
        return {**document, "setup": {"backend": LOCAL, **document["setup"]}}
    if document.get("version") != VERSION:
        raise CalibrationError(
            f"it has version {printable_value(document.get('version'))}, and {VERSION} is read "
            "here; calibrate again."
        )
    return document


def _calibration(document: dict[str, Any]) -> Calibration:
    try:
        detector = SuccessSettings(**_section(document.get("detector"), "detector", _DETECTOR))
    except SuccessError as error:
        raise CalibrationError(str(error)) from None
    tasks = document.get("tasks")
    if not isinstance(tasks, list) or not tasks:
        raise CalibrationError("it holds no tasks; expected a list with at least one.")
    return Calibration(
        ScoringSetup(**_section(document.get("setup"), "setup", _SETUP)),
        detector,
        tuple(
            TaskCalibration(**_section(task, f"tasks[{index}]", _TASK))
            for index, task in enumerate(tasks)
        ),
    )


def _section(
    section: object, where: str, readers: dict[str, Callable[[object], Any]]
) -> dict[str, Any]:
    if not isinstance(section, dict):
        raise CalibrationError(f"{where} is not a mapping; make it again.")
    for name in sorted(set(section) ^ set(readers), key=printable_value):
        what = "is missing" if name in readers else "is unknown"
        shown = printable(name, 80) if isinstance(name, str) else printable_value(name)
        raise CalibrationError(f"{where}.{shown} {what}; make it again.")
    values = {}
    for name, reader in readers.items():
        try:
            values[name] = reader(section[name])
        except (TypeError, ValueError, KeyError) as error:
            raise CalibrationError(
                f"{where}.{name} is {printable_value(section[name])}; expected {error.args[0]}."
            ) from None
    return values


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError("a finite number")
    if not -LARGEST_NUMBER < value < LARGEST_NUMBER:  # NaN is not
        raise TypeError("a finite number")
    return value


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < LARGEST_NUMBER:
        raise TypeError("a count")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise TypeError("a text")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError("a list of texts")
    return tuple(_text(item) for item in value)


def _size(value: object) -> tuple[int, int]:
    if not isinstance(value, list) or [type(item) for item in value] != [int, int]:
        raise TypeError("[height, width] in pixels")
    return (_count(value[0]), _count(value[1]))


def _optional_number(value: object) -> float | None:
    return None if value is None else _number(value)


def _interval(value: object) -> Interval:
    names = [field.name for field in fields(Interval)]
    if not isinstance(value, dict) or sorted(value) != sorted(names):
        raise TypeError("a mapping of value, low and high")
    return Interval(*(_number(value[name]) for name in names))


_SETUP: dict[str, Callable[[object], Any]] = {
    "model": _text,
    "fingerprint": _text,
    "prompt": _text,
    "frame_size": _size,
    "sample_rate": _number,
    "cameras": _count,
    "layout": _text,
    "camera_max_age": _number,
    "max_pairs": _count,
    "backend": _text,
    "motion_threshold": _optional_number,
}
_DETECTOR: dict[str, Callable[[object], Any]] = {
    "window": _count,
    "hold": _number,
    "min_duration": _number,
}
_TASK: dict[str, Callable[[object], Any]] = {
    "instructions": _texts,
    "detection_rate": _interval,
    "auc": _interval,
    **dict.fromkeys(("floor", "ceiling", "threshold"), _number),
    **dict.fromkeys(("false_stop_rate", "confidence", "longest_failure"), _number),
    **dict.fromkeys(("failures", "successes", "false_stops"), _count),
    "recordings": _texts,
}
