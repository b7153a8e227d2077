"""The profile of Fast DDS for large pictures: it is read, and a picture of 6 MB arrives."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from repository import ROOT

from topreward_ros.nodes.running.demo import PROFILES

PROFILE = ROOT / "config" / "dds" / "large_pictures.xml"
PROGRAM = """
import time
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

rclpy.init()
camera, watching = Node("camera"), Node("watching")
heard = []
watching.create_subscription(Image, "picture", heard.append, qos_profile_sensor_data)
publisher = camera.create_publisher(Image, "picture", qos_profile_sensor_data)
picture = Image(height=1080, width=1920, encoding="rgb8", step=5760)
picture.data = bytes(1080 * 5760)
end = time.monotonic() + 60.0
while not heard and time.monotonic() < end:
    publisher.publish(picture)
    rclpy.spin_once(watching, timeout_sec=0.5)
print("arrived", len(heard[0].data) if heard else 0)
"""


@pytest.mark.live
def test_a_picture_of_six_megabytes_arrives_with_the_profile():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **dict.fromkeys(PROFILES, str(PROFILE))},
        capture_output=True, text=True, check=True, timeout=120,
    )  # fmt: skip
    assert done.stdout.split() == ["arrived", str(1080 * 5760)]
    assert "XMLPARSER" not in done.stderr and "Error" not in done.stderr
