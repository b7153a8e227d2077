"""The labels of a recording are the readings that a live node publishes for it."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from calibration_files import write_calibration
from camera_bags import NANO, raw_image, write_image_bag
from reward_stack import stack

from topreward_ros.nodes.replay.playback import stamp_of
from topreward_ros.nodes.replay.replay_node import to_ros
from topreward_ros.offline.label import main
from topreward_ros.video.opening import open_recording

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
    for time, topic, shape, bad in sorted(shots):
        seed = 0 if 3 * NANO <= time < 4 * NANO else time
        pixels = np.random.default_rng(seed).integers(0, 256, shape, np.uint8)
        if topic == MAIN:
            pixels.flat[time // (NANO // 10)] ^= 1  # a sensor has noise
        image = raw_image(START + time, pixels, "16UC1" if bad else "rgb8")
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
    assert f"cannot be decoded: {refused}. The first: Camera" in capsys.readouterr().err
    assert len({line["log_prob"] for line in lines}) > 5
    assert {line["seen"] for line in lines} == {"False", "True"}
    if case == "everything":
        assert {line["success"] for line in lines} == {"False", "True"}


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
    command = [str(bag), "--instruction", TASK, *options, *arguments, "--output", str(output)]
    assert main(command) == 0
    with output.open() as file:
        return list(csv.DictReader(file))
