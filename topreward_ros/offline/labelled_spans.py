"""Spans of a bag in a labels.csv: its columns `start` and `end`, s of the pictures' stamps."""

from __future__ import annotations

import math
from collections.abc import Mapping

from topreward_ros.printable import printable
from topreward_ros.video.recordings.bag_part import WHOLE, BagPart

SPAN_COLUMNS = ("start", "end")


def read_span(row: Mapping[str, str | None]) -> BagPart:
    """Reads which part of its bag a line means; the whole one where it names none.

    Raises:
        ValueError: it names a part that cannot be; a sentence.
    """
    told = {name: (row.get(name) or "").strip() for name in SPAN_COLUMNS}
    if not any(told.values()):
        return WHOLE
    if not all(told.values()):
        raise ValueError("a span needs both start and end; leave both empty for the whole bag.")
    start, end = (_seconds(name, text) for name, text in told.items())
    if end <= start:
        raise ValueError(f"the span ends at {end:g} s, not after its start at {start:g} s.")
    return BagPart(start=start, end=end)


def overlap(one: BagPart, other: BagPart) -> bool:
    """Says whether two parts share a picture without being the same."""
    return one != other and max(one.start, other.start) < min(one.end, other.end)


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds):
        raise ValueError(
            f'{name} is "{printable(text, 80)}"; expected seconds, as the pictures\' header.stamp '
            "and label's column stamp have them."
        )
    return seconds
