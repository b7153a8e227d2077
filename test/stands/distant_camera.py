"""A camera on another machine that listens to the reward node, and prints what it hears.

    python distant_camera.py

Lines: "reading", "event <which> <reason>".
"""

from __future__ import annotations

import time

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import latched

PERIOD = 0.1
"""s between two pictures."""


def main() -> None:
    """Publishes until it is killed."""
    rclpy.init()
    node = Node("camera")
    camera = node.create_publisher(Image, "/camera/image", 10)
    random = np.random.default_rng(0)

    def shoot() -> None:
        picture = Image(height=48, width=64, encoding="rgb8", step=192)
        picture.data = random.integers(0, 256, 48 * 192, np.uint8).tobytes()
        picture.header.stamp = node.get_clock().now().to_msg()
        camera.publish(picture)

    def hear(event: EpisodeEvent) -> None:
        print("event", event.event, event.termination_reason, flush=True)

    reward = "/topreward/reward_node"
    node.create_subscription(
        RewardStamped, f"{reward}/reading", lambda _: print("reading", flush=True), 10
    )
    node.create_subscription(EpisodeEvent, f"{reward}/event", hear, latched(10))
    due = time.monotonic()
    while True:
        if time.monotonic() >= due:
            shoot()
            due += PERIOD
        rclpy.spin_once(node, timeout_sec=max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
