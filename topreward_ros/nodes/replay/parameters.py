"""The parameters of replay_node: each is declared once, with its type, range and meaning."""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node

from topreward_ros.nodes.parameters import declare, parameter


@dataclass(frozen=True)
class ReplayParameters:
    """Values of all parameters; the descriptions are in the fields' metadata."""

    path: str = parameter("", "A rosbag2 (directory or file; mcap or sqlite3), or a video file.")
    rate: float = parameter(
        1.0, "Seconds of the recording per second; stamps keep their spacing.", limits=(0.01, 100.0)
    )
    loop: bool = parameter(False, "Play pass after pass, without end.")
    fps: float = parameter(
        0.0, "Pictures per second of a video file; 0: what the file says.", limits=(0.0, 1000.0)
    )
    topics: tuple[str, ...] = parameter(
        ("",), "Recorded image topics to play; empty: all. Rename them by ROS remapping."
    )
    stamps: str = parameter(
        "now",
        "now: shifted to the node's clock and going on in a loop; recorded: as they are, jumping "
        "back in a loop.",
        choices=("now", "recorded"),
    )
    wait_for_subscribers: int = parameter(
        0, "Subscribers that each played topic needs before it begins.", limits=(0, 1000)
    )
    start_delay: float = parameter(
        0.5,
        "s from the last awaited subscriber to the first picture; the subscriber's side needs a "
        "moment to know the publisher.",
        limits=(0.0, 3600.0),
    )
    quality: int = parameter(
        0,
        "JPEG quality in which raw pictures are published, on <topic>/compressed; 0: raw.",
        limits=(0, 100),
    )
    reliability: str = parameter(
        "reliable", "QoS of the image topics.", choices=("reliable", "best_effort")
    )
    publish_clock: bool = parameter(False, "Publish /clock, for nodes with use_sim_time.")
    shutdown_when_done: bool = parameter(True, "End with exit code 0 after the last picture.")


def declare_parameters(node: Node) -> ReplayParameters:
    """Declares all parameters on a node and returns their values.

    Raises:
        ParameterError: a value is of another type, out of range or not among the choices.
    """
    return declare(node, ReplayParameters)
