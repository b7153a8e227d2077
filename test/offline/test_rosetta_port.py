"""rosetta's own port makes of our bags a data set whose rewards are our labels, frame by frame."""

from __future__ import annotations

import math

import numpy as np
import pytest
import simplejpeg
from camera_bags import NANO, raw_image, write_bag
from live_bags import LENS, READINGS, START, live_bag, picture
from live_bags import reading as live_reading
from repository import ROOT
from rosetta_frames import newest_readings, ported, readings_of, write_contract

from topreward_ros.offline.label import main
from topreward_ros.offline.message_types import message_types

pytest.importorskip("rosetta.robots.ros2.offline.port", reason="rosetta 0.2 is not installed")
pytestmark = pytest.mark.slow
WRIST = "/wrist"
JOINTS = [
    "shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper",
]  # fmt: skip


def wrist(seventh: int):
    """A picture of a second camera at 7 Hz, which comes later than those of the first."""
    pixels = np.random.default_rng(1000 + seventh).integers(0, 256, (48, 64, 3), np.uint8)
    stamp = START + seventh * NANO // 7 + 13_000_000
    return stamp + 45_000_000, WRIST, raw_image(stamp, pixels)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    messages = [*map(picture, range(60)), *map(wrist, range(42))]
    return write_bag(
        tmp_path_factory.mktemp("bags") / "kitchen", sorted(messages, key=lambda one: one[0])
    )


@pytest.fixture(scope="module")
def labelled(source, small, tmp_path_factory):
    out = tmp_path_factory.mktemp("labels") / "kitchen"
    arguments = ["--model", small, "--device", "cpu", "--no-motion-gate", "--bag", str(out)]
    assert main([str(source), *arguments, "--instruction", "open the drawer"]) == 0
    return out


def check(frames, readings) -> None:
    """Each frame has the reward, and the other fields, of the newest reading of what it shows."""
    assert any(reading is not None for reading in readings)
    for frame, reading in zip(frames, readings, strict=True):
        if reading is None:
            assert frame["next.reward"].tolist() == [0.0]
            continue
        stamp, progress, log_prob, success = frame["reading"].tolist()
        assert frame["next.reward"].tolist() == [reading.reward]
        assert (progress, log_prob, bool(success)) == (
            reading.progress, reading.log_prob, reading.success,
        )  # fmt: skip
        exact = reading.header.stamp.sec + reading.header.stamp.nanosec / NANO
        assert math.isclose(stamp, exact, rel_tol=0, abs_tol=3e-7)


@pytest.mark.parametrize("timeline", ["header", "receive"])
def test_of_a_labelled_copy_every_frame_has_the_label_of_what_it_shows(
    labelled, tmp_path, timeline
):
    contract = write_contract(tmp_path / "c.yaml", READINGS, LENS, WRIST, timeline=timeline)
    frames, labels = ported(labelled, contract), readings_of(labelled, READINGS)
    assert len(frames) >= 58 and len(labels) == 12
    check(frames, newest_readings(frames, labelled, labels, LENS, WRIST))
    assert {frame["task"] for frame in frames} == {"open the drawer"}
    assert len({frame["next.reward"].item() for frame in frames}) > 3


def test_dropped_by_their_receipt_each_reward_is_in_one_frame(labelled, tmp_path):
    contract = write_contract(
        tmp_path / "c.yaml", READINGS, LENS, WRIST, strategy="drop", timeline="receive"
    )
    frames = ported(labelled, contract)
    given = [frame["next.reward"].item() for frame in frames]
    labels = [reading.reward for _, reading in readings_of(labelled, READINGS)]
    first = labels.index(next(reward for reward in given if reward))  # others came while it warmed
    assert [reward for reward in given if reward] == [one for one in labels[first:] if one]


def test_a_reading_that_was_recorded_live_is_late_until_it_is_moved(tmp_path):
    live = live_bag(tmp_path / "live")
    contract = write_contract(tmp_path / "c.yaml", READINGS, LENS)
    labels = readings_of(live, READINGS)
    frames = ported(live, contract)
    expected = newest_readings(frames, live, labels, LENS)
    late = [
        frame["next.reward"].item() != reading.reward
        for frame, reading in zip(frames, expected, strict=True)
    ]
    assert 3 * 5 <= sum(late) <= 4 * 6  # 0.33 s of 10 Hz, whatever the contract says of stamps
    assert main([str(live), "--bag", str(tmp_path / "out"), "--recorded"]) == 0
    frames = ported(tmp_path / "out", contract)
    check(frames, newest_readings(frames, tmp_path / "out", labels, LENS))


def test_the_whole_port_writes_them_to_a_lerobot_set(labelled, tmp_path, monkeypatch):
    port = pytest.importorskip("rosetta.robots.ros2.offline.port")
    if "lerobot" not in port.available_dataset_writers():
        pytest.skip("rosetta's adapter for LeRobot is not installed")
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    contract = write_contract(tmp_path / "c.yaml", READINGS, LENS, WRIST)
    port.port(labelled.parent, "lab/kitchen", contract, root=tmp_path / "sets")
    (file,) = (tmp_path / "sets/lab/kitchen/data").rglob("*.parquet")
    rows = parquet.read_table(file).to_pydict()
    frames = ported(labelled, contract)
    labels = readings_of(labelled, READINGS)
    newest = newest_readings(frames, labelled, labels, LENS, WRIST)
    assert len(rows["next.reward"]) == len(frames)
    for value, reading in zip(rows["next.reward"], newest, strict=True):
        value = value[0] if isinstance(value, list) else value
        assert value == (0.0 if reading is None else reading.reward)


def robot(ticks: int):
    """What the contract reads of an SO-101: cameras, joints and actions at 30 Hz."""
    types, messages = message_types().types, []
    for tick in range(ticks):
        received = START + tick * NANO // 30 + 20_000_000
        stamp = types["builtin_interfaces/msg/Time"](*divmod(received - 20_000_000, NANO))
        header = types["std_msgs/msg/Header"](stamp=stamp, frame_id="optical")
        pixels = np.full((480, 640, 3), tick, np.uint8)
        data = np.frombuffer(simplejpeg.encode_jpeg(pixels), np.uint8)
        shot = types["sensor_msgs/msg/CompressedImage"](header=header, format="jpeg", data=data)
        joints = types["sensor_msgs/msg/JointState"](
            header=header, name=JOINTS, position=np.full(6, tick / ticks),
            velocity=np.zeros(0), effort=np.zeros(0),
        )  # fmt: skip
        layout = types["std_msgs/msg/MultiArrayLayout"](dim=[], data_offset=0)
        action = types["std_msgs/msg/Float64MultiArray"](
            layout=layout, data=np.full(6, tick / ticks)
        )
        messages += [
            (received, "/static_camera/image_raw/compressed", shot),
            (received, "/follower/image_raw/compressed", shot),
            (received, "/follower/joint_states", joints),
            (received, "/follower/forward_controller/commands", action),
        ]
    return messages


def test_the_contract_that_is_shipped_takes_reward_ends_and_their_kind(tmp_path):
    """Its topics, a second of each; the episode ends by its time limit."""
    types, messages = message_types().types, robot(90)
    messages += [live_reading(tenth, tenth // 5, late=0.0) for tenth in range(0, 30, 5)]
    for second, over in ((0.01, False), (2.8, True)):
        flag = types["std_msgs/msg/Bool"](data=over)
        received = START + round(second * NANO) + 20_000_000
        messages += [(received, "/episode_truncated", flag), (received, "/episode_done", flag)]
    bag = write_bag(tmp_path / "bag", sorted(messages, key=lambda one: one[0]))
    frames = ported(bag, ROOT / "config/rosetta/so101.yaml")
    assert len(frames) >= 89
    ends = [frame["next.done"].item() for frame in frames]
    assert ends == [frame["next.truncated"].item() for frame in frames]
    assert ends == sorted(ends) and 4 <= sum(ends) <= 7
    labels = [one for _, one in readings_of(bag, READINGS)]
    given = list(dict.fromkeys(frame["next.reward"].item() for frame in frames))
    assert [one for one in given if one] == [one.reward for one in labels]
    seen = {tuple(frame["topreward"].tolist()[1:]) for frame in frames}
    assert {(one.progress, one.log_prob, one.success_score, 0.0) for one in labels} <= seen
