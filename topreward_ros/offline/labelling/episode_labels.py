"""The labels of one recorded episode, as they are kept until all are there."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from topreward_ros.episode import Reading
from topreward_ros.method.progress import EpisodeProgress, episode_progress

if TYPE_CHECKING:
    from collections.abc import Sequence

    from topreward_ros.method.statement_states import StatementStates

NO_LABEL = {"model_time", "stall", "statements"}
"""What differs from run to run, and what is for a running robot alone."""
COLUMNS = tuple(one.name for one in fields(Reading) if one.name not in NO_LABEL)


@dataclass(frozen=True)
class EpisodeLabels:
    """One episode's readings.

    Attributes:
        name: of the episode.
        instruction: that was asked about.
        readings: in order of time, as the live node would publish them; without model times.
        notes: sentences on what was left out.
        frame_ids: coordinate frame of each reading's newest picture.
        beside: what was asked beside the task: by column, one value a reading.
    """

    name: str
    instruction: str
    readings: tuple[Reading, ...]
    notes: tuple[str, ...] = ()
    frame_ids: tuple[str, ...] = ()
    beside: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def stamps(self) -> list[float]:
        """Of the readings, s of camera time."""
        return [reading.stamp for reading in self.readings]

    def progress(self) -> EpisodeProgress:
        """The whole episode's progress, one value a reading (see `episode_progress`)."""
        return episode_progress([reading.log_prob for reading in self.readings])

    def as_json(self) -> dict[str, Any]:
        """Returns what `from_json` needs; floats are exact in it."""
        return {
            "name": self.name,
            "instruction": self.instruction,
            "columns": COLUMNS,
            "readings": [[getattr(each, name) for name in COLUMNS] for each in self.readings],
            "notes": self.notes,
            "frame_ids": self.frame_ids,
            "beside": self.beside,
        }

    @classmethod
    def from_json(cls, told: dict[str, Any]) -> EpisodeLabels:
        """Returns what `as_json` was made of."""
        readings = tuple(
            Reading(**dict(zip(told["columns"], row, strict=True)), model_time=0.0)
            for row in told["readings"]
        )
        notes, frame_ids = tuple(told["notes"]), tuple(told["frame_ids"])
        beside = told.get("beside", {})  # labels of before have none
        return cls(told["name"], told["instruction"], readings, notes, frame_ids, beside)


def statement_columns(states: Sequence[StatementStates]) -> dict[str, list[Any]]:
    """Returns the columns of an episode's statements, none where none were asked.

    Args:
        states: of its readings, in order.
    """
    if not states or not states[0].each:
        return {}
    columns: dict[str, list[Any]] = {
        "stage": [one.stage for one in states],
        "stage_progress": [one.stage_progress for one in states],
    }
    for index, first in enumerate(states[0].each):
        for value in ("log_prob", "progress", "threshold", "held"):
            name = f"{first.statement.name}.{value}"
            columns[name] = [getattr(one.each[index], value) for one in states]
    return columns
