"""Reads small files of others: bounded in size, length and depth, and in a blink.

YAML can name a part again (an alias), so that 400 bytes unfold to more than any memory holds; and
its numbers and dates raise what no reader of YAML expects. Here both are refused with a sentence.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

LARGEST = 2**20
"""Bytes; a calibration of a thousand recordings has a tenth of that."""
LONGEST_SCALAR = 4000
"""Characters of one text or number; an instruction has 1000 at most."""
MOST_PARTS = 50_000
"""Texts, numbers, lists and mappings; a calibration of a thousand recordings has a fifth."""
DEEPEST = 20
"""Levels of lists and mappings in each other."""
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's reads a megabyte in a second
_OPENING = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


class FileRefused(ValueError):
    """A file that is not read; a clause such as "it is larger than 1 MiB"."""


def read_small(path: Path, *, largest: int = LARGEST, encoding: str = "utf-8") -> str:
    """Returns the text of a file.

    Args:
        path: the file.
        largest: bytes that it may have.
        encoding: of the text.

    Raises:
        FileRefused: it cannot be read, is larger, or is no text in this encoding.
    """
    try:
        with path.open("rb") as file:
            content = file.read(largest + 1)
    except (OSError, ValueError) as error:  # ValueError: a zero in its name
        raise FileRefused(f"it cannot be read ({getattr(error, 'strerror', error)})") from None
    if len(content) > largest:
        raise FileRefused(f"it is larger than {largest / 2**20:g} MiB")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError:
        raise FileRefused("it is not a text in UTF-8") from None


def load_yaml(text: str, *, longest: int = LONGEST_SCALAR, most: int = MOST_PARTS) -> Any:
    """Returns what a YAML text says, in plain types.

    Args:
        text: the YAML.
        longest: characters that one text or number may have.
        most: texts, numbers, lists and mappings that it may have together.

    Raises:
        FileRefused: it is not YAML, or holds what unfolds, is too deep, too long or too many, or
            is a number or date that cannot be.
    """
    try:
        _look_through(text, longest, most)
        return yaml.load(text, Loader=_LOADER)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise FileRefused(f"it is not a YAML text{where}") from None
    except FileRefused:
        raise
    except Exception:  # its constructors raise whatever int, float and datetime do
        raise FileRefused("it holds a number or a date that cannot be") from None


def _look_through(text: str, longest: int, most: int) -> None:
    depth = parts = 0
    for event in yaml.parse(text, Loader=_LOADER):
        depth += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise FileRefused(f"it refers to a part of itself (an alias, line {line})")
        parts += not isinstance(event, _CLOSING)
        if parts > most:
            raise FileRefused(f"it has more than {most} parts (line {line})")
        if depth > DEEPEST:
            raise FileRefused(f"it is nested more than {DEEPEST} levels deep (line {line})")
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > longest:
            raise FileRefused(f"a text or number has more than {longest} characters (line {line})")
