"""The node's side: what camera intake costs, and how soon a reading follows its frame."""

from __future__ import annotations

import os
import random
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Before rclpy: nothing that is measured here may leave this machine or meet another graph.
os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
os.environ["ROS_DOMAIN_ID"] = str(random.randrange(1, 232))

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image

from benchmarks.models import MIDSIZE, TASK, write_config
from benchmarks.results import Results
from topreward_msgs.msg import RewardStamped
from topreward_ros.nodes.running.node_commands import node_command

RATE = 30.0
SLOW = 2.0
SIZE = (480, 640)
PART_GOALS = dict.fromkeys(
    ("frame to reading beyond the model", "handing over and publishing of it"), "<= 5"
)
SMALL = MIDSIZE | {
    "text_config": MIDSIZE["text_config"] | {"num_hidden_layers": 2, "hidden_size": 128},
    "vision_config": MIDSIZE["vision_config"]
    | {"depth": 4, "hidden_size": 64, "intermediate_size": 128, "out_hidden_size": 128},
}
"""A model that leaves most of a core to what is measured."""


def measure(results: Results, *, quick: bool = False) -> None:
    """Runs the real node in a process of its own, cameras and listener in this one."""
    seconds = 3.0 if quick else 20.0
    with _graph() as model:
        for transport in ("raw", "compressed"):
            for count in (1,) if quick else (1, 2, 3):
                _measure_cameras(results, model, transport, count, seconds)


@contextmanager
def _graph() -> Iterator[str]:
    """Begins and ends ROS; yields the directory of the small model."""
    rclpy.init()
    try:
        with tempfile.TemporaryDirectory() as directory:
            write_config(SMALL, Path(directory))
            yield directory
    finally:
        rclpy.shutdown()


def _measure_cameras(
    results: Results, model: str, transport: str, count: int, seconds: float
) -> None:
    """The node's CPU time at 30 Hz, less that at 2 Hz, which holds the same scoring."""
    topics = [f"/camera_{number}/image" for number in range(count)]
    group = f"(f) {count} x 640x480 {transport} at 30 Hz"
    with _listener() as listener, _node(model, topics, transport) as process:
        cameras = _Cameras(listener, topics, transport)
        cameras.play(RATE, until=lambda: len(listener.readings) >= 4, limit=60.0)
        shares = {}
        for rate in (SLOW, RATE):
            listener.readings.clear()
            before = _cpu_seconds(process.pid)
            images = cameras.play(rate, until=lambda: False, limit=seconds)
            shares[rate] = (_cpu_seconds(process.pid) - before) / seconds
        intake = shares[RATE] - shares[SLOW]
        goal = "<= 12" if count == 2 else ""
        results.add(group, "camera intake, of one core", 100 * intake, "%", goal)
        results.add(group, "camera intake, per image", 1e3 * intake * seconds / images, "ms")
        beyond = [1e3 * (reading.latency - reading.model_time) for reading in listener.readings]
        group = f"(g) {count} camera{'s' if count > 1 else ''} {transport}"
        for part, p50, p95 in (
            ("frame to reading beyond the model", *np.percentile(beyond, (50, 95))),
            ("decoding, tiling and resizing of it", *listener.percentiles("picture")),
            ("handing over and publishing of it", *listener.percentiles("overhead")),
        ):
            results.add(group, f"{part}, p50", float(p50), "ms")
            results.add(group, f"{part}, p95", float(p95), "ms", PART_GOALS.get(part, ""))


class _Listener(Node):
    def __init__(self) -> None:
        super().__init__("benchmark")
        self.readings: list[RewardStamped] = []
        self._diagnostics = DiagnosticArray()
        self.create_subscription(
            RewardStamped, "/topreward/reward_node/reading", self.readings.append, 100
        )
        self.create_subscription(DiagnosticArray, "/diagnostics", self._take_diagnostics, 1)

    def percentiles(self, part: str) -> tuple[float, float]:
        """Returns the 50th and 95th of a part of the latency, in ms, as the node tells them."""
        told = {
            value.key: value.value for status in self._diagnostics.status for value in status.values
        }
        return float(told[f"{part}_ms_p50"]), float(told[f"{part}_ms_p95"])

    def received(self, topic: str) -> int:
        """Returns how many pictures of a camera have reached the node, as it tells itself."""
        told = {
            value.key: value.value
            for status in self._diagnostics.status
            if status.name.endswith(f"camera {topic}")
            for value in status.values
        }
        return int(told.get("received", 0))

    def _take_diagnostics(self, message: DiagnosticArray) -> None:
        self._diagnostics = message


@contextmanager
def _listener() -> Iterator[_Listener]:
    node = _Listener()
    try:
        yield node
    finally:
        node.destroy_node()


@contextmanager
def _node(model: str, topics: list[str], transport: str) -> Iterator[subprocess.Popen[bytes]]:
    parameters = {
        "model": f"random:{model}",
        "device": "cpu",
        "frame_size": [64, 64],
        "motion_gate": False,  # the pictures stand still, and each is to be scored
        "frozen_check": False,
        "instruction": TASK,
        "cameras": topics,
        "transport": transport,
        "autostart": True,
    }
    command = node_command("reward_node", parameters, namespace="topreward")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, env=environment)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)


class _Cameras:
    """Publishers that send one noise picture each, stamped anew."""

    def __init__(
        self, node: Node, topics: list[str], transport: str, size: tuple[int, int] = SIZE
    ) -> None:
        self._node = node
        kind = Image if transport == "raw" else CompressedImage
        picture = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
        picture = cv2.GaussianBlur(picture, (0, 0), 4)
        if transport == "raw":
            self._message = Image(height=size[0], width=size[1], encoding="rgb8", step=3 * size[1])
            self._message.data = picture.tobytes()
        else:
            self._message = CompressedImage(format="jpeg")
            self._message.data = cv2.imencode(".jpg", picture)[1].tobytes()
        self._publishers = [
            node.create_publisher(kind, topic, qos_profile_sensor_data) for topic in topics
        ]

    def play(self, rate: float, *, until: object, limit: float) -> int:
        """Publishes at a rate until a condition or a time limit; returns the images sent."""
        start, sent = time.monotonic(), 0
        while not until() and time.monotonic() - start < limit:
            self._message.header.stamp = self._node.get_clock().now().to_msg()
            for publisher in self._publishers:
                publisher.publish(self._message)
                sent += 1
            due = start + sent / len(self._publishers) / rate
            while (left := due - time.monotonic()) > 0:
                rclpy.spin_once(self._node, timeout_sec=left)
        return sent


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
