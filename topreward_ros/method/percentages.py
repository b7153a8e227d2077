"""Reads the percentages of frames out of a text that a model wrote.

A text is read as a whole or not at all: a guess would be a value that nobody said. So a range, two
numbers for one frame or a frame left out make an answer unreadable, and the reason is told.
"""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

END_OF_THOUGHT = "</think>"
FRAME = re.compile(r"\bframe\W{0,4}(\d{1,4})\W{0,4}?[:\uff1a]", re.IGNORECASE)
VALUE = re.compile(r"(?:completion|percentages?)\W{0,4}?[:\uff1a]", re.IGNORECASE)
"""What the value of a frame stands after, where a description stands before it."""
SIGN = r"[%\u066a\ufe6a\uff05]|percent(?!\w)"
NUMBER = re.compile(rf"(-?)(\d[\d.,\u066b]*)[\s*}}]{{0,3}}({SIGN})?", re.IGNORECASE)
PLAIN = re.compile(r"\d{1,3}(?:\.\d+)?")


class AnswerError(ValueError):
    """An answer whose percentages cannot be told; the text says why."""


def read_percentages(answer: str, count: int) -> NDArray[np.float64]:
    """Reads one percentage for each frame.

    Args:
        answer: `Frame 1: …, Task Completion Percentages: 35%` and so on, or bare percentages.
        count: frames that were asked about.

    Returns:
        (count,) 0..100, in the order of the frames' numbers.

    Raises:
        AnswerError: a frame has no percentage, more than one, or one that is not 0 to 100.
    """
    said = answer.rpartition(END_OF_THOUGHT)[2]
    if not said.strip():
        raise AnswerError("the answer is empty")
    labels = list(FRAME.finditer(said))
    if not labels:
        return np.array(_bare(said, count))
    ends = [*(label.start() for label in labels[1:]), len(said)]
    values: dict[int, float] = {}
    for label, end in zip(labels, ends, strict=True):
        number = int(label[1])
        if number in values:
            raise AnswerError(f"frame {number} is named twice")
        values[number] = _value(said[label.end() : end], f"frame {number}")
    if sorted(values) != list(range(1, count + 1)):
        raise AnswerError(f"{len(values)} frames are named instead of 1 to {count}")
    return np.array([values[number] for number in range(1, count + 1)])


def _bare(said: str, count: int) -> list[float]:
    found = list(NUMBER.finditer(said))
    if not found:
        raise AnswerError("the answer holds no number")
    if re.search(r"[^\s.,;|*\[\]()]", NUMBER.sub("", said)):
        raise AnswerError("the answer names no frame")  # numbers in prose are not values
    if len(found) != count:
        raise AnswerError(f"the answer names no frame, and holds {len(found)} numbers for {count}")
    return [_percentage(match, "the answer") for match in found]


def _value(said: str, frame: str) -> float:
    """Reads the one percentage of a frame, from what is said of it."""
    marks = list(VALUE.finditer(said))
    if marks:
        said = said[marks[-1].end() :].strip().partition("\n")[0]
    else:
        said = said.strip().partition("\n\n")[0]
    found = list(NUMBER.finditer(said))
    if len(found) != 1:
        raise AnswerError(f"{frame} has {len(found) or 'no'} number{'s' * (len(found) > 1)}")
    return _percentage(found[0], frame)


def _percentage(match: re.Match[str], place: str) -> float:
    minus, digits = match[1], match[2].rstrip(".,\u066b")
    if not match[3]:
        raise AnswerError(f"{place} has a number without a percent sign")
    if not PLAIN.fullmatch(digits):
        raise AnswerError(f"{place} has a number that can be read in two ways")
    value = float(digits)
    if value > 100.0 or (minus and value):
        raise AnswerError(f"{place} has a percentage that is not 0 to 100")
    return value
