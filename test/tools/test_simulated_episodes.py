"""Simulated episodes on disk, and the tool that plays them through the stack, without either."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from repository import ROOT

sys.path.insert(0, str(ROOT))

from tools.simulation.episode_bags import EPOCH, Picture, describe, label_table, write_bag
from tools.stack.rig_file import PlayedCamera, pair_cameras, read_rig
from tools.stack.run import Passage, problem_of, replay_command
from tools.through_the_stack import COLUMNS, DEMO_SCENE, conclusion, row
from topreward_msgs.action import RunEpisode
from topreward_ros.offline.labelled_recordings import LabelledRecording, read_labels
from topreward_ros.video.image import decode
from topreward_ros.video.recordings.opening import open_recording

RIGS = ROOT / "config/rigs"
THIRD = "/camera/third_person/color/image_raw/compressed"
WRIST = "/camera/wrist_camera/color/image_rect_raw/compressed"


@dataclass(frozen=True)
class Acted:
    """An episode as the simulations tell of it."""

    seed: int = 5
    kind: str = "drop"
    instruction: str = "put the soup into the basket"
    succeeded: bool = False


def jpeg(grey: int) -> bytes:
    return cv2.imencode(".jpg", np.full((8, 16, 3), grey, np.uint8))[1].tobytes()


def passage(problem: str = "") -> Passage:
    recording = LabelledRecording(Path("set/episode_5"), "put it there", False)
    return Passage(
        recording, "failure", "timeout", 19, 20, -8.4, ["/record save"], 12.0, problem
    )  # fmt: skip


def test_a_written_bag_is_read_back_with_its_labels_and_task(tmp_path):
    folder = tmp_path / "episode_5"
    shown = [
        Picture(topic, "lens", time, jpeg(grey))
        for time, grey in ((0.0, 40), (0.1, 200))
        for topic in (THIRD, WRIST)
    ]
    assert write_bag(folder, shown) == 4
    describe(folder, Acted(), pictures=4)
    with label_table(tmp_path) as table:
        table.add(folder.name, Acted())
    recording = open_recording(folder)
    assert {name: topic.count for name, topic in recording.topics.items()} == {THIRD: 2, WRIST: 2}
    images = list(recording.images([WRIST]))
    assert [image.stamp - EPOCH for image in images] == pytest.approx([0.0, 0.1], abs=1e-6)
    assert [decode(image.message).mean() for image in images] == pytest.approx([40, 200], abs=2)
    assert yaml.safe_load((folder / "episode.yaml").read_text())["outcome"] == "failure"
    assert read_labels(tmp_path) == [LabelledRecording(folder, Acted.instruction, False)]


def test_recorded_cameras_are_found_by_name_in_the_rigs_order():
    assert pair_cameras([THIRD, WRIST], {WRIST: True, "/other": True, THIRD: True}) == [
        PlayedCamera(THIRD, THIRD, THIRD),
        PlayedCamera(WRIST, WRIST, WRIST),
    ]
    cameras = ["/static_camera/image_raw", "/follower/image_raw"]
    packed = "/static_camera/image_raw/compressed"
    assert pair_cameras(cameras, {packed: True}) == [PlayedCamera(packed, packed, packed)]


def test_cameras_of_another_name_or_type_become_the_rigs():
    (camera,) = pair_cameras([THIRD, WRIST], {"/cam": False})
    assert camera == PlayedCamera("/cam", "/cam/compressed", THIRD)
    command = replay_command(Path("bag"), [camera], 1.0)
    assert command[-2:] == ["-r", f"/cam/compressed:={THIRD}"]
    assert "quality:=92" in command
    assert pair_cameras(["/raw"], {"/cam": True})[0].listened == "/raw/compressed"


@pytest.mark.parametrize(
    ("rig", "calls"),
    [
        ("franka", ["/record_transition record", "/record_transition save"]),
        ("so101", ["/episode_recorder/stop_recording"]),
        ("yam", []),
    ],
)
def test_the_robot_hears_what_the_rig_says(rig, calls):
    read = read_rig([ROOT / "config/reward.yaml", RIGS / f"{rig}.yaml"])
    for end in ("success", "timeout", "camera_lost"):  # the recorder stops however it ends
        assert read.calls_after(end) == calls
    assert read.calls_after("no reason of ours") == []
    first, *others = read.cameras
    assert read.without([first.removesuffix("/compressed")]) == others


def test_an_episode_must_give_readings_end_by_itself_and_stop_the_robot():
    good = {"termination_reason": "timeout", "readings": 3, "stop_actions_done": True}
    assert not problem_of(RunEpisode.Result(**good), ["/stop"], ["/stop"])
    for wrong in (
        {"readings": 0},
        {"log_prob": float("nan")},
        {"termination_reason": "camera_lost"},
        {"stop_actions_done": False},
    ):
        assert problem_of(RunEpisode.Result(**(good | wrong)), ["/stop"], ["/stop"])
    assert "heard nothing" in problem_of(RunEpisode.Result(**good), [], ["/stop"])


def test_the_table_shows_every_column_and_claims_nothing_for_the_demo_model():
    cells = row(passage()).split(maxsplit=len(COLUMNS) - 1)
    assert cells[:4] == ["episode_5", "failure", "failure", "timeout"]
    assert cells[4:] == ["19", "20", "-8.40", "12.0", "/record save"]
    said = conclusion([passage(), passage("there was no reading")], 3, "demo")
    assert said.startswith("1 of 3 episodes")
    assert "episode_5: there was no reading" in said
    assert said.endswith(DEMO_SCENE)
    assert DEMO_SCENE not in conclusion([passage()], 1, "some/model")
