"""The labels of a recording are the readings that a live node publishes for it."""

from __future__ import annotations

import csv
import time
from itertools import pairwise

import numpy as np
import pytest
from calibration_files import write_calibration
from camera_bags import NANO, raw_image, write_image_bag
from rclpy.serialization import deserialize_message, serialize_message
from reward_stack import START as FIRST
from reward_stack import image, stack
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from topreward_msgs.msg import RewardStamped
from topreward_ros.method.progress import episode_progress
from topreward_ros.method.reward import dense_rewards
from topreward_ros.nodes.replay.playback import stamp_of
from topreward_ros.nodes.replay.replay_node import to_ros
from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.label import main
from topreward_ros.offline.message_types import EVENT_TYPE, message_types
from topreward_ros.video.recordings.opening import open_recording

TASK = "put the red cube on the disc"
ALWAYS = -1000.0
"""nat; a threshold that every log-prob exceeds."""
START = 1_700_000_000 * NANO + 123_456_789
MAIN, WRIST = "/main/image", "/wrist/image"
INSET = ({"layout": "main_inset"}, ["--layout", "main_inset"])
EVERY_FRAME = ({**INSET[0], "motion_gate": False}, [*INSET[1], "--no-motion-gate"])
EVERYTHING = (
    {
        "layout": "main_inset", "camera_max_age": 0.12, "sample_rate": 4.0,
        "motion_threshold": 8.0, "frame_size": [64, 96], "max_pairs": 4, "dtype": "bfloat16",
        "prompt_form": "raw_period", "attention": "eager", "success_threshold": ALWAYS,
        "success_window": 2, "success_hold": 0.5, "success_min_duration": 1.0,
    },
    [
        "--layout", "main_inset", "--camera-max-age", "0.12", "--sample-rate", "4",
        "--motion-threshold", "8", "--frame-size", "64", "96", "--max-pairs", "4",
        "--dtype", "bfloat16", "--prompt-form", "raw_period", "--attention", "eager",
        "--threshold", str(ALWAYS), "--window", "2", "--hold", "0.5", "--min-duration", "1",
    ],
)  # fmt: skip
pytestmark = [pytest.mark.live, pytest.mark.usefixtures("context")]


@pytest.fixture(scope="module")
def calibration(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("calibrations") / "task.yaml"
    frames = {"cameras": 2, "layout": "main_inset"}
    return write_calibration(model, path, [TASK], threshold=ALWAYS, **frames)


@pytest.fixture(scope="module")
def bag(tmp_path_factory):
    """Five seconds of two cameras that differ in size and rate.

    Nothing moves in the fourth second, in which the second camera is frozen and the first one is
    not; one image of the first camera and some of the second are
    bad, and the second one pauses.
    """
    shots = [(round(NANO * k / 10), MAIN, (48, 64, 3), k in (12, 23)) for k in range(50)]
    shots += [
        (round(NANO * (k / 7 + 0.013)), WRIST, (24, 40, 3), 10 <= k < 14)
        for k in range(35)
        if k not in (29, 30)
    ]
    messages = []
    for after, topic, shape, bad in sorted(shots):
        seed = 0 if 3 * NANO <= after < 4 * NANO else after
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        if topic == MAIN:
            pixels.flat[after // (NANO // 10)] ^= 1  # a sensor has noise
        image = raw_image(START + after, pixels, "16UC1" if bad else "rgb8")
        messages.append((topic, image))
    return write_image_bag(tmp_path_factory.mktemp("bags") / "episode", messages)


@pytest.mark.parametrize("case", ["every frame", "everything", "calibrated"])
def test_every_reading_of_a_replayed_bag_is_a_line_of_its_labels(
    model, calibration, bag, tmp_path, capsys, case
):
    parameters, arguments = {
        "every frame": EVERY_FRAME,
        "everything": EVERYTHING,
        "calibrated": (
            {**INSET[0], "calibration_file": calibration},
            [*INSET[1], "--calibration-file", calibration],
        ),
    }[case]
    readings, refused = live_readings(model, bag, parameters)
    lines = labels(model, bag, arguments, tmp_path / "labels.csv")
    assert len(lines) == len(readings) > 8
    for line, reading in zip(lines, readings, strict=True):
        stamp = reading.header.stamp
        assert float(line["stamp"]) == pytest.approx(stamp.sec + stamp.nanosec / NANO, abs=1e-6)
        for name in ("log_prob", "progress", "reward", "success_score", "success_threshold"):
            value = float(line[name] or "nan")  # the message has no other way to say none
            assert value == pytest.approx(getattr(reading, name), abs=1e-5, nan_ok=True), name
        assert line["success"] == str(reading.success)
        assert line["success_holds"] == str(reading.success_holds)
        assert line["progress_source"] == reading.progress_source
    same_in_the_bag(tmp_path / "copy", readings)
    assert f"cannot be decoded: {refused}. The first: Camera" in capsys.readouterr().err
    assert len({line["log_prob"] for line in lines}) > 5
    assert {line["seen"] for line in lines} == {"False", "True"}
    if case == "everything":
        assert {line["success"] for line in lines} == {"False", "True"}


def test_stages_of_a_replayed_bag_are_those_of_its_labels(model, bag, tmp_path):
    statements = [f"grasp | stage | {ALWAYS} | grasp the cube", "place | stage | place the cube"]
    given = {**EVERY_FRAME[0], "statements": statements, "success_window": 1, "success_hold": 0.5}
    readings, _ = live_readings(model, bag, given)
    output = tmp_path / "labels.csv"
    options = ["--model", str(model), "--device", "cpu", "--cameras", MAIN, WRIST, *EVERY_FRAME[1]]
    command = [str(bag), "--instruction", TASK, *options, "--output", str(output)]
    detector = ["--window", "1", "--hold", "0.5"]
    assert main([*command, *detector, "--statements", *statements]) == 0
    lines = list(csv.DictReader(output.open()))
    assert len(lines) == len(readings)
    for line, reading in zip(lines, readings, strict=True):
        assert line["stage"] == reading.stage
        assert float(line["stage_progress"]) == pytest.approx(
            reading.stage_progress, abs=1e-5, nan_ok=True
        )
        assert float(line["log_prob"]) == pytest.approx(reading.log_prob, abs=1e-5)
    assert {line["stage"] for line in lines} == {"grasp", "place"}


def live_readings(model, bag, parameters):
    """What a real node publishes, every frame being scored, and how many images it refuses."""
    given = {"instruction": TASK, "reward_form": "exp_clip", **parameters}
    with stack(model, cameras=2, qos={"reliability": "reliable"}, **given) as live:
        live.up()
        node = live.reward_node
        cameras = [one for one in node.subscriptions if one.topic_name in live.topics]
        live.wait(lambda: all(camera.get_publisher_count() for camera in cameras))
        publishers = dict(zip((MAIN, WRIST), live.cameras, strict=True))
        intake = node.runner.episode.intake
        for number, image in enumerate(open_recording(bag), start=1):
            publishers[image.topic].publish(to_ros(image.message, stamp_of(image.message), 0))
            live.wait(lambda n=number: live.received() == n)
            live.wait(lambda: len(live.readings) == intake.selected + intake.gated)
        assert bool(intake.gated) == parameters.get("motion_gate", True)
        return live.readings, sum(intake.bad.values())


def labels(model, bag, arguments, output):
    options = ["--model", str(model), "--device", "cpu", "--cameras", MAIN, WRIST]
    outputs = ["--output", str(output), "--bag", str(output.with_name("copy"))]
    command = [str(bag), "--instruction", TASK, *options, *arguments, *outputs]
    assert main(command) == 0
    with output.open() as file:
        return list(csv.DictReader(file))


def same_in_the_bag(copy, readings, *, named=False):
    """Holds the readings in a labelled bag against those that were published, field by field."""
    with Reader(copy) as reader:
        mine = [one for one in reader.connections if one.topic == "/topreward/reward_node/reading"]
        found = [deserialize_message(data, RewardStamped) for *_, data in reader.messages(mine)]
    assert len(found) == len(readings)
    measured = {"latency", "model_time", "pending_frames", *(() if named else ("episode_id",))}
    for one, live in zip(found, readings, strict=True):
        assert one.header == live.header
        for name in RewardStamped.get_fields_and_field_types():
            if name in measured:
                continue
            value, expected = getattr(one, name), getattr(live, name)
            if isinstance(value, float):
                expected = pytest.approx(expected, abs=1e-5, nan_ok=True)
            assert value == expected, name


def four_episodes(model):
    """Records them live, each ended in another way, and pictures between and after them."""
    recorded = []
    with stack(model, cameras=1, reward_form="exp_clip") as live:

        def note(kind, topic, message):
            recorded.append((time.time_ns(), topic, kind, serialize_message(message)))

        def hear(count):
            """Waits for as many events in all, and records those that are new."""
            known = sum(kind == EVENT_TYPE for _, _, kind, _ in recorded)
            live.wait(lambda: len(live.events) >= count)
            for message in live.events[known:]:
                note(EVENT_TYPE, "/reward_node/event", message)

        def play(first, last):
            for index in range(first, last + 1):
                note("sensor_msgs/msg/Image", "/lens", image(FIRST + index / 2, seed=index))
                live.play(index, index)

        live.up(TASK)
        hear(1)
        play(0, 4)
        assert live.change("deactivate")
        hear(2)
        live.set(instruction="open the drawer")
        assert live.change("activate")
        live.match()
        hear(3)
        play(5, 8)
        live.reset()
        hear(5)
        play(9, 11)
        jump = len(live.readings)
        lens = live.reward_node.runner.episode.intake.cameras[live.topics[0]]

        def jumped():
            return len(live.named("stopped")) > 2

        for index in range(40, 60):  # it goes on 14 s later, of which one is sure in half a second
            shot = image(FIRST + index / 2, seed=index)
            note("sensor_msgs/msg/Image", "/lens", shot)
            before = lens.outlying
            live.cameras[0].publish(shot)
            live.wait(lambda n=before: jumped() or lens.outlying > n)
            if jumped():
                break
        hear(7)
        live.wait(lambda: len(live.readings) > jump)
        play(index + 1, index + 3)
        assert live.change("deactivate")
        hear(8)
        note("sensor_msgs/msg/Image", "/lens", image(FIRST + 6.0, seed=12))
        return recorded, list(live.readings)


def each_frame_alone(readings):
    """Whether none was merged with the next: a busy machine does, and labels never."""
    frames = [reading.frames for reading in readings]
    return all(b in (1, a + 1) for a, b in pairwise([0, *frames]))


def test_episodes_recorded_live_are_cut_by_their_events_and_labelled_as_they_were(model, tmp_path):
    for _ in range(5):
        recorded, readings = four_episodes(model)
        if each_frame_alone(readings):
            break
    path = write_serialised(tmp_path / "bag", recorded)
    source = open_source(path)
    assert [each.name for each in source] == list(dict.fromkeys(one.episode_id for one in readings))
    assert [each.instruction for each in source] == [TASK, *["open the drawer"] * 3]
    assert source.notes == ()
    outputs = ["--bag", str(tmp_path / "copy"), "--output", str(tmp_path / "lines.csv")]
    assert main([str(path), "--model", str(model), "--device", "cpu", *outputs]) == 0
    assert len(readings) > 14
    same_in_the_bag(tmp_path / "copy", readings, named=True)
    with (tmp_path / "lines.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["episode"] for line in lines] == [one.episode_id for one in readings]


def write_serialised(path, messages):
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        made = {}
        for received, topic, kind, data in messages:
            if topic not in made:
                made[topic] = writer.add_connection(topic, kind, typestore=message_types())
            writer.write(made[topic], received, data)
    return path


def test_progress_and_weights_of_a_data_sets_frames_are_those_of_the_live_readings(model, tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    from lerobot_sets import write_v30

    dataset = write_v30(tmp_path / "set", [["open the drawer"], ["close it"]], [23, 17])
    expected, rewards = [], []
    for episode in open_source(dataset):
        readings = shown(model, episode)
        stamps = [one.header.stamp for one in readings]
        values = episode_progress([one.log_prob for one in readings]).values
        times = [stamp.sec + stamp.nanosec / NANO for stamp in stamps]
        assert len(times) > 3 and len(set(values)) > 2
        frames = episode.rows().stamps
        expected += np.interp(frames, times, values).tolist()
        steps = [next((k for k, end in enumerate(times) if end > stamp - 1e-6), len(times) - 1)
                 for stamp in frames]  # fmt: skip
        rewards += dense_rewards(values)[steps].tolist()
    given = ["--model", str(model), "--device", "cpu", "--progress", str(tmp_path / "p.parquet")]
    assert main([str(dataset), *given, "--weights", str(tmp_path / "w.parquet")]) == 0
    found = parquet.read_table(tmp_path / "p.parquet")["progress_sparse"].to_pylist()
    np.testing.assert_allclose(found, expected, atol=1e-5)
    found = parquet.read_table(tmp_path / "w.parquet")["advantage"].to_pylist()
    np.testing.assert_allclose(found, np.array(rewards) - np.mean(rewards), atol=1e-4)


def shown(model, episode):
    """What a real node publishes of an episode's pictures."""
    with stack(model, cameras=1, qos={"reliability": "reliable"}) as live:
        live.up(episode.instruction)
        intake = live.reward_node.runner.episode.intake
        for number, shot in enumerate(episode.open(), start=1):
            live.cameras[0].publish(to_ros(shot.message, stamp_of(shot.message), 0))
            live.wait(lambda n=number: live.received() == n)
            live.wait(lambda: len(live.readings) == intake.selected + intake.gated)
        return live.readings
