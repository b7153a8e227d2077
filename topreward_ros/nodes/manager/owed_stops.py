"""What a manager owes to the robot after an episode, kept where a killed process leaves it.

A small file in ROS's home, of one manager by name and domain. An end is noted before anything of it
is carried out and crossed out when all of it is; what a new process finds there was cut off.
"""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from topreward_ros.small_files import FileRefused, read_small
from topreward_ros.whole_file import written_whole


@dataclass(frozen=True)
class OwedStop:
    """What follows the end of one episode and is not done yet.

    Attributes:
        episode_id: the reward node's.
        instruction: the task.
        reason: `EpisodeEvent.REASON_*` of the end.
        outcome: `EpisodeEvent.OUTCOME_*` of the end.
        ended: s since 1970, this machine's clock.
        actions: names of the stop actions that have no result yet, in their order.
        deactivate: whether the reward node is to be deactivated.
    """

    episode_id: str
    instruction: str
    reason: str
    outcome: str
    ended: float
    actions: tuple[str, ...]
    deactivate: bool

    @classmethod
    def of(cls, entry: Any) -> OwedStop:
        """Reads one that was written; of anything else raises ValueError, KeyError, TypeError."""
        texts = ("episode_id", "instruction", "reason", "outcome")
        actions = tuple(entry["actions"])
        if not all(isinstance(one, str) for one in [*actions, *(entry[name] for name in texts)]):
            raise ValueError
        return cls(
            *(entry[name] for name in texts),
            float(entry["ended"]),
            actions,
            bool(entry["deactivate"]),
        )

    @property
    def age(self) -> float:
        """Time since the end, s; 0 where the clock was set back."""
        return max(0.0, time.time() - self.ended)


class OwedStops:
    """The file of one manager.

    Attributes:
        former: what an earlier process owed when it was killed, from the oldest on.
        problem: one sentence where the file cannot be read or written; empty if it can.
    """

    def __init__(self, path: Path) -> None:
        """Reads what an earlier process has left; changes nothing."""
        self.problem = ""
        self._path = path
        self.former = self._read()
        self._owed = {one.episode_id: one for one in self.former}

    def owe(self, stop: OwedStop) -> None:
        """Notes what follows an end, before anything of it is carried out."""
        if stop.actions or stop.deactivate:
            self._owed[stop.episode_id] = stop
            self._write()

    def done(self, episode_id: str, action: str) -> None:
        """Crosses out a stop action that has a result."""
        if (owed := self._owed.get(episode_id)) is not None:
            left = tuple(name for name in owed.actions if name != action)
            self._owed[episode_id] = replace(owed, actions=left)
            self._write()

    def settled(self, episode_id: str) -> None:
        """Crosses out an end after which nothing is owed any more."""
        if self._owed.pop(episode_id, None) is not None:
            self._write()

    def _read(self) -> list[OwedStop]:
        try:
            entries = json.loads(read_small(self._path)) if self._path.exists() else []
            return [OwedStop.of(entry) for entry in entries]
        except (FileRefused, OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            why = str(error) if isinstance(error, FileRefused) else "it is not what was written"
            self.problem = (
                f"{self._path}, where stop actions that are owed are noted, cannot be read: {why}. "
                "Whether any were cut off is not known: look whether the robot has stopped."
            )
            return []

    def _write(self) -> None:
        """Without waiting for the disk: a killed process loses nothing that it has handed over."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with written_whole(self._path, durable=False) as beside:
                beside.write_text(json.dumps([asdict(one) for one in self._owed.values()]))
            self.problem = ""
        except OSError as error:
            self.problem = (
                f"{self._path} cannot be written ({error.strerror}): stop actions that are owed "
                "would be forgotten if this process were killed."
            )


def owed_path(full_name: str) -> Path:
    """Returns the file of a manager: `$ROS_HOME/topreward/owed_stops/<domain><name>.json`.

    Args:
        full_name: of the node, with its namespace.
    """
    home = Path(os.environ.get("ROS_HOME") or Path.home() / ".ros")
    domain = os.environ.get("ROS_DOMAIN_ID") or "0"
    name = re.sub(r"\W", "_", domain + full_name)
    return home / "topreward" / "owed_stops" / f"{name}.json"


def ago(seconds: float) -> str:
    """Returns a time in the past for people, as "12 s ago"."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit} ago"
    return f"{seconds:.0f} s ago"
