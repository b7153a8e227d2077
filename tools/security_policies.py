"""Writes config/security/*.xml, SROS2 policies, from what the real nodes have on the graph.

python -m tools.security_policies

One file for each rig and one without; in it, one enclave for each node, with what this node
publishes, subscribes, serves and calls, and nothing else. docs/security.md says how to use them.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar
from xml.etree import ElementTree

import rclpy
from rclpy.action import graph
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from topreward_ros.nodes.camera_subscriptions import CameraSubscriptions
from topreward_ros.nodes.manager.episode_manager import EpisodeManager
from topreward_ros.nodes.replay.replay_node import ReplayNode
from topreward_ros.nodes.reward.reward_node import RewardNode
from topreward_ros.nodes.running.node_commands import ENCLAVES, package_directory
from topreward_ros.nodes.running.stack import parameter_files
from topreward_ros.nodes.viewing.live_view import PlainView
from topreward_ros.nodes.viewing.monitor import Monitor, parse
from topreward_ros.nodes.viewing.overlay_node import OverlayNode
from topreward_ros.nodes.viewing.rerun_node import RerunNode
from topreward_ros.video.recordings.opening import open_recording

Made = TypeVar("Made", bound=Node)
Right = tuple[str, str, str]
"""Kind (topics, services, actions), what is allowed with it, and the full name."""
NAMESPACE = "/topreward"
SPACED = ("reward_node", "episode_manager", "overlay_node", "rerun_node")
"""Nodes that stand in it."""
WITHOUT = "topreward"
"""Name of the file without a rig."""
ORDER = ("publish", "subscribe", "reply", "request", "execute", "call")
ACTION = "/_action/"
NOTE = """
     Written by `python -m tools.security_policies` from the nodes themselves; docs/security.md.
     With use_sim_time each node subscribes /clock on top, and replay_node may publish it. """
FOUND = 10.0
"""s for the graph to be known."""


def names() -> list[str]:
    """Returns the names of all policies: of each rig, and the one without."""
    rigs = (package_directory("config") / "rigs").glob("*.yaml")
    return [WITHOUT, *sorted(path.stem for path in rigs)]


@contextmanager
def nodes(name: str) -> Iterator[tuple[dict[str, Node], list[str]]]:
    """Makes the real nodes of a rig; yields them by name, and the rig's cameras."""
    files = parameter_files("" if name == WITHOUT else name, "")
    words = ["--ros-args", *(word for file in files for word in ("--params-file", str(file)))]
    made: dict[str, Node] = {}

    def make(kind: type[Made], **given: object) -> Made:
        overrides = [Parameter(key, value=value) for key, value in given.items()]
        node = kind(cli_args=words, parameter_overrides=overrides, use_global_arguments=False)
        made[node.get_name()] = node
        return node

    watching = make(RewardNode)
    cameras = list(watching.get_parameter("cameras").value)
    CameraSubscriptions(watching, cameras, "raw", lambda *_: None)  # as configure does
    make(EpisodeManager).serve()  # as once its name is its own
    make(OverlayNode, cameras=cameras, transport="raw")
    make(RerunNode, cameras=cameras, transport="raw", show="save", folder=tempfile.gettempdir())
    make(ReplayNode, path=str(_recording()))
    with PlainView("", "", open("/dev/null", "w")) as view:
        made["monitor"] = Monitor(parse([]), view)
    try:
        yield made, cameras
    finally:
        watching.scoring.close(FOUND)
        for node in made.values():
            node.destroy_node()


def rights(observer: Node, node: Node) -> set[Right]:
    """Returns what a node has on the graph, as an observer sees it."""
    who = (node.get_name(), node.get_namespace())
    seen = {
        ("topics", "publish"): observer.get_publisher_names_and_types_by_node,
        ("topics", "subscribe"): observer.get_subscriber_names_and_types_by_node,
        ("services", "reply"): observer.get_service_names_and_types_by_node,
        ("services", "request"): observer.get_client_names_and_types_by_node,
    }
    found = {
        (kind, may, name)
        for (kind, may), look in seen.items()
        for name, _ in look(*who)
        if ACTION not in name
    }
    for may, look in (
        ("execute", graph.get_action_server_names_and_types_by_node),
        ("call", graph.get_action_client_names_and_types_by_node),
    ):
        found |= {("actions", may, name) for name, _ in look(observer, *who)}
    return found


def needed(name: str, domain: int = 0) -> dict[str, set[Right]]:
    """Returns by node what it needs with a rig.

    In a process and on a graph of its own: a node that was destroyed is seen for a while.

    Args:
        name: one of `names`.
        domain: ROS domain that nobody else uses; 0: some.
    """
    with ProcessPoolExecutor(1, multiprocessing.get_context("forkserver")) as alone:
        return alone.submit(_needed, name, domain).result()


def _needed(name: str, domain: int) -> dict[str, set[Right]]:
    os.environ["ROS_DOMAIN_ID"] = str(domain or random.SystemRandom().randint(1, 101))
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    rclpy.init()
    try:
        with nodes(name) as (made, cameras):
            observer = Node("observer", use_global_arguments=False)
            found = _settled(observer, list(made.values()))
            observer.destroy_node()
    finally:
        rclpy.shutdown()
    # It plays what was recorded; in a rig's graph that takes the place of the rig's cameras.
    recorded = {("topics", "publish", topic) for topic in open_recording(_recording()).topics}
    found["replay_node"] -= recorded
    found["replay_node"] |= {("topics", "publish", topic) for topic in cameras}
    return found


def document(found: dict[str, set[Right]], spaces: dict[str, str]) -> ElementTree.Element:
    """Returns a policy.

    Args:
        found: by node, its rights.
        spaces: by node, its namespace.
    """
    policy = ElementTree.Element("policy", version="0.2.0")
    policy.append(ElementTree.Comment(NOTE))
    enclaves = ElementTree.SubElement(policy, "enclaves")
    for node, its in found.items():
        enclave = ElementTree.SubElement(enclaves, "enclave", path=f"{ENCLAVES}/{node}")
        profiles = ElementTree.SubElement(enclave, "profiles")
        profile = ElementTree.SubElement(profiles, "profile", ns=spaces[node], node=node)
        for kind, may in sorted({one[:2] for one in its}, key=lambda one: ORDER.index(one[1])):
            group = ElementTree.SubElement(profile, kind, {may: "ALLOW"})
            for name in sorted(name for *of, name in its if of == [kind, may]):
                ElementTree.SubElement(group, kind.removesuffix("s")).text = name
    ElementTree.indent(policy)
    return policy


def _settled(observer: Node, made: Sequence[Node]) -> dict[str, set[Right]]:
    """Waits until what is seen of the nodes has not changed for a while."""
    executor = SingleThreadedExecutor()
    executor.add_node(observer)
    former: dict[str, set[Right]] = {}
    changed = time.monotonic()
    while time.monotonic() - changed < 1.0:
        executor.spin_once(timeout_sec=0.1)
        now = {node.get_name(): rights(observer, node) for node in made}
        if now != former:
            former, changed = now, time.monotonic()
    executor.shutdown()
    return former


def _recording() -> Path:
    return package_directory("demo") / "success"


def main() -> int:
    """Writes all policies."""
    folder = package_directory("config") / "security"
    folder.mkdir(exist_ok=True)
    for name in names():
        spaces = dict.fromkeys(
            ("reward_node", "episode_manager", "overlay_node", "rerun_node"), NAMESPACE
        )
        found = needed(name)
        policy = document(found, {node: spaces.get(node, "/") for node in found})
        text = ElementTree.tostring(policy, encoding="unicode")
        (folder / f"{name}.xml").write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n')
    return 0


if __name__ == "__main__":
    sys.exit(main())
