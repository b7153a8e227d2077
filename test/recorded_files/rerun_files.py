"""Recordings of Rerun's as its own reader reads them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
from rerun.chunk import RrdReader


class RerunFile:
    """What is in an .rrd."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._chunks = list(RrdReader(path).stream())

    def values(self, entity: str, component: str, line: str = "episode_time") -> list[tuple]:
        """(s, value) of an entity's component, in order of time; s of one of its time lines."""
        found = []
        for chunk in self._of(entity):
            batch = chunk.to_record_batch()
            columns = [name for name in batch.schema.names if component in name]
            if not columns or line not in batch.schema.names:
                continue
            times = batch.column(line).cast("int64").to_pylist()
            for time, value in zip(times, batch.column(columns[0]).to_pylist(), strict=True):
                if value is not None:
                    found.append((time / 1e9, value[0]))
        return sorted(found, key=lambda pair: pair[0])

    def curve(self, entity: str) -> list[tuple[float, float]]:
        """(s of episode time, value) of a curve."""
        return self.values(f"/curves/{entity}", "Scalars")

    def texts(self, entity: str, component: str) -> list[tuple[float, str]]:
        """(s of episode time, text) of an entity."""
        return self.values(entity, component)

    def static(self, entity: str, component: str):
        """The value of what has no time."""
        for chunk in self._of(entity):
            batch = chunk.to_record_batch()
            for name in batch.schema.names:
                if component in name:
                    return batch.column(name).to_pylist()[0][0]
        return None

    def entities(self) -> set[str]:
        """All of them."""
        return {chunk.entity_path for chunk in self._chunks}

    def blueprints(self) -> int:
        """How many are in it."""
        return len(RrdReader(self.path).blueprints())

    def printed(self) -> str:
        """What Rerun's command line prints of it."""
        command = [str(Path(sys.executable).with_name("rerun")), "rrd", "print", "-vvv"]
        return subprocess.run(
            [*command, str(self.path)], check=True, capture_output=True, text=True
        ).stdout

    def _of(self, entity: str) -> list:
        return [chunk for chunk in self._chunks if chunk.entity_path == entity]
