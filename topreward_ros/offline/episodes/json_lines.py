"""Files with one JSON object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from topreward_ros.offline.episodes.recorded_episode import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LONGEST_LINE = 2**20
"""Characters; a line of a data set has some hundreds."""


def read_json_lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yields the number of each line, from 1, and its object; empty lines are left out.

    Raises:
        SourceError: the file cannot be read, or a line is too long or no object.
    """
    try:
        with path.open(encoding="utf-8") as lines:
            number = 0
            while line := lines.readline(LONGEST_LINE):
                number += 1
                if line.strip():
                    yield number, _object(line, f"{path}, line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path} cannot be read ({error}).") from error


def _object(line: str, where: str) -> dict[str, Any]:
    if len(line) == LONGEST_LINE:
        raise SourceError(f"{where}, has more than {LONGEST_LINE} characters.")
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{where}, is not valid JSON ({error}).") from error
    if not isinstance(value, dict):
        raise SourceError(f"{where}, holds no JSON object.")
    return value
