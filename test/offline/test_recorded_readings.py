"""Readings that were recorded live move beside their pictures, without a model."""

from __future__ import annotations

from pathlib import Path

import pytest
from camera_bags import write_bag
from live_bags import LENS, READINGS, REWARDS, live_bag, picture, reading
from rosbags.rosbag2 import Reader

from topreward_ros.offline.label import main


def content(path: Path, topic: str):
    with Reader(path) as reader:
        wanted = [one for one in reader.connections if one.topic == topic]
        return [(ns, data) for _, ns, data in reader.messages(wanted)] if wanted else []


def moved(source: Path, output: Path, *more: str) -> int:
    return main([str(source), "--bag", str(output), "--recorded", *more])


def test_each_reading_stands_beside_its_picture_as_it_was_published(tmp_path, capsys):
    source = live_bag(tmp_path / "live")
    assert moved(source, tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "live: 6 recorded readings stand beside their pictures." in said
    pictures = content(source, LENS)
    assert content(tmp_path / "out", LENS) == pictures
    assert content(tmp_path / "out", READINGS) == [
        (pictures[5 * index][0], data) for index, (_, data) in enumerate(content(source, READINGS))
    ]
    assert [ns for ns, _ in content(tmp_path / "out", REWARDS)] == [
        ns for ns, _ in content(tmp_path / "out", READINGS)
    ]
    assert [data for _, data in content(tmp_path / "out", REWARDS)] == [
        data for _, data in content(source, REWARDS)
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live", "out"]


def test_the_copy_notes_task_and_model(tmp_path):
    assert moved(live_bag(tmp_path / "live"), tmp_path / "out") == 0
    with Reader(tmp_path / "out") as reader:
        assert reader.storage.metadata.custom == {
            "lerobot.operator_prompt": "open", "topreward.labelled_by": "demo",
        }  # fmt: skip


def test_of_many_tasks_none_is_noted_as_the_bags_prompt(tmp_path):
    other = reading(29, 6, instruction="close")
    assert moved(live_bag(tmp_path / "live", other), tmp_path / "out") == 0
    with Reader(tmp_path / "out") as reader:
        assert "lerobot.operator_prompt" not in reader.storage.metadata.custom


def test_readings_whose_picture_was_not_recorded_are_counted(tmp_path, capsys):
    assert moved(live_bag(tmp_path / "live", kept=20), tmp_path / "out") == 0
    said = capsys.readouterr().err
    assert "4 recorded readings stand beside their pictures; 2 are left out" in said
    assert len(content(tmp_path / "out", READINGS)) == 4


def test_a_stamp_that_was_rounded_to_what_a_float_holds_finds_its_picture(tmp_path):
    source = live_bag(tmp_path / "live")
    off = reading(3, 9)
    off[2].header.stamp.nanosec += 240
    source = live_bag(tmp_path / "off", off)
    assert moved(source, tmp_path / "out") == 0
    assert len(content(tmp_path / "out", READINGS)) == 7


def test_a_folder_becomes_a_folder_and_what_has_no_readings_is_named(tmp_path, capsys):
    live_bag(tmp_path / "set/one")
    live_bag(tmp_path / "set/two")
    write_bag(tmp_path / "set/zero", [picture(0)])
    assert moved(tmp_path / "set", tmp_path / "out") == 1
    assert "zero is left out: " in capsys.readouterr().err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--reading-topic", "/else"], f"it has some on {READINGS}: name it with --reading-topic"),
        (["--reward-topic", LENS], "expected std_msgs/msg/Float64, or another topic with"),
        (["--reading-topic", REWARDS, "--reward-topic", "/other"], "expected topreward_msgs/msg"),
        (["--cameras", "/blind"], "none of its 6 readings has the stamp of a picture"),
    ],
)
def test_what_cannot_be_moved_is_refused_in_a_sentence(tmp_path, capsys, more, sentence):
    assert moved(live_bag(tmp_path / "live"), tmp_path / "out", *more) == 1
    assert sentence in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["live"]


def test_a_bag_without_readings_and_one_that_is_not_there_are_refused(tmp_path, capsys):
    write_bag(tmp_path / "bare", [picture(0)])
    assert moved(tmp_path / "bare", tmp_path / "out") == 1
    assert "has no readings on" in capsys.readouterr().err
    assert moved(tmp_path / "gone", tmp_path / "out") == 1
    assert "does not exist" in capsys.readouterr().err


def test_nothing_is_written_over_or_into_an_original(tmp_path, capsys):
    source = live_bag(tmp_path / "live")
    for place in (source, source / "in", tmp_path):
        assert moved(source, place, "--overwrite") == 1
        assert "lies over, in or around" in capsys.readouterr().err
    (tmp_path / "out").mkdir()
    assert moved(source, tmp_path / "out") == 1
    assert "is there already" in capsys.readouterr().err
    assert moved(source, tmp_path / "out", "--overwrite") == 1
    assert "is no labelled copy" in capsys.readouterr().err


@pytest.mark.parametrize("more", [["--split"], ["--output", "x.csv"], []])
def test_recorded_goes_with_bag_alone(tmp_path, capsys, more):
    place = [] if not more else ["--bag", str(tmp_path / "out")]
    with pytest.raises(SystemExit, match="2"):
        main([str(tmp_path), "--recorded", *place, *more])
    assert "--recorded is how --bag writes" in capsys.readouterr().err
