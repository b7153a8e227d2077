"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from full_disk import full_disk

from topreward_ros.whole_file import written_whole


def test_what_was_there_stays_until_all_is_written(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("before")
    with written_whole(path) as beside:
        assert beside.parent == tmp_path and beside.suffix == ".csv"
        beside.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after" and list(tmp_path.iterdir()) == [path]


def test_a_full_disk_keeps_what_was_there_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("before")
    with full_disk(100), pytest.raises(OSError, match="too large"), written_whole(path) as beside:
        beside.write_text("x" * 1000)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_where_nothing_was_written_nothing_is_made(tmp_path):
    with written_whole(tmp_path / "picture.png"):
        pass
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_has_left_goes_and_that_of_a_running_one_stays(tmp_path):
    child = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                           capture_output=True, text=True, check=True)  # fmt: skip
    gone = tmp_path / f".labels.{int(child.stdout)}.part.csv"
    alive = tmp_path / f".labels.{os.getppid()}.part.csv"
    for one in (gone, alive):
        one.write_text("half")
    with written_whole(tmp_path / "labels.csv") as beside:
        beside.write_text("all")
    assert not gone.exists() and alive.exists()
