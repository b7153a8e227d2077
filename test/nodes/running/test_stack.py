"""The stack starts the launch file's nodes without launch, and stops them cleanly."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import rclpy
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node

from topreward_ros.nodes.running.stack import StackError, parameter_files

INSTRUCTION = "put \"the red\" cube: on 'it', \\ yes"
DEADLINE = 60.0


@pytest.fixture
def node() -> Iterator[Node]:
    """A node that asks."""
    rclpy.init()
    node = Node("asking")
    yield node
    node.destroy_node()
    rclpy.shutdown()


def start(*arguments: str) -> subprocess.Popen[str]:
    """Starts a stack."""
    return subprocess.Popen(
        [sys.executable, "-m", "topreward_ros.nodes.programs", "stack", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def ask(node: Node, full_name: str, *names: str) -> list[object]:
    """Returns parameters of a node once it is there."""
    client = node.create_client(GetParameters, f"{full_name}/get_parameters")
    assert client.wait_for_service(DEADLINE), f"{full_name} did not come up"
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    end = time.monotonic() + DEADLINE
    answer = None
    while answer is None:
        assert time.monotonic() < end, f"{full_name} does not answer"
        # Again and again: a service whose node was killed looks alive for a while.
        call = client.call_async(GetParameters.Request(names=list(names)))
        executor.spin_until_future_complete(call, 3.0)
        answer = call.result() if call.done() else None
    executor.shutdown()
    return [rclpy.parameter.parameter_value_to_python(value) for value in answer.values]


def child_of(stack: subprocess.Popen[str]) -> int:
    """Returns the process id of the stack's one node."""
    children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children")
    (child,) = children.read_text().split()
    return int(child)


def test_arguments_reach_the_node_in_the_namespace_over_the_files(
    node: Node, tmp_path: Path
) -> None:
    """Arguments over the user's file over the rig's over the defaults; quotes stay quotes."""
    rig, own = tmp_path / "rig.yaml", tmp_path / "own.yaml"
    rig.write_text("/**:\n  ros__parameters:\n    sample_rate: 3.0\n    max_pairs: 8\n")
    own.write_text("/**:\n  ros__parameters:\n    max_pairs: 6\n    device: cpu\n")
    stack = start(
        "--rig", str(rig), "--params-file", str(own), "--namespace", "arm/left", "--no-autostart",
        "--instruction", INSTRUCTION, "--model", "somewhere/else", "--cameras", "/one", "/two",
    )  # fmt: skip
    try:
        names = ("instruction", "model", "sample_rate", "max_pairs", "device", "cameras",
                 "success_window")  # fmt: skip
        values = ask(node, "/arm/left/reward_node", *names)
        assert values == [INSTRUCTION, "somewhere/else", 3.0, 6, "cpu", ["/one", "/two"], 3]
    finally:
        stack.send_signal(signal.SIGINT)
        output, errors = stack.communicate(timeout=DEADLINE)
    assert stack.returncode == 0, errors
    assert "reward_node ended with exit code 0" in output


def test_a_node_that_dies_ends_the_stack_with_its_name(node: Node) -> None:
    """Exit code 1 and one sentence, so that whoever started it can start it again."""
    stack = start("--no-autostart")
    try:
        ask(node, "/topreward/reward_node", "model")
        os.kill(child_of(stack), signal.SIGKILL)
        _, errors = stack.communicate(timeout=DEADLINE)
    finally:
        stack.kill()
    assert stack.returncode == 1
    assert "stack: stopped, because reward_node was ended by SIGKILL." in errors


def test_a_node_that_dies_is_started_again_where_that_was_asked_for(node: Node) -> None:
    """The stack says so, and still ends cleanly."""
    stack = start("--no-autostart", "--respawn")
    try:
        ask(node, "/topreward/reward_node", "model")
        first = child_of(stack)
        os.kill(first, signal.SIGKILL)
        limit = time.monotonic() + DEADLINE
        children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children")
        while children.read_text().split() in ([], [str(first)]):
            assert time.monotonic() < limit
            time.sleep(0.02)
        ask(node, "/topreward/reward_node", "model")
    finally:
        stack.send_signal(signal.SIGTERM)
        output, errors = stack.communicate(timeout=DEADLINE)
    assert stack.returncode == 0, errors
    assert "reward_node was ended by SIGKILL; it is started again" in output


def test_a_viewer_that_ends_ends_nothing_else(node: Node, tmp_path: Path) -> None:
    """Here it cannot even start: its port is said to be the page's."""
    own = tmp_path / "own.yaml"
    own.write_text("/**/rerun_node:\n  ros__parameters:\n    port: 9090\n")
    stack = start("--no-autostart", "--rerun", "--params-file", str(own))
    try:
        children = Path(f"/proc/{stack.pid}/task/{stack.pid}/children")
        ask(node, "/topreward/reward_node", "model")
        limit = time.monotonic() + DEADLINE
        while len(children.read_text().split()) != 1:
            assert time.monotonic() < limit and stack.poll() is None
            time.sleep(0.05)
        ask(node, "/topreward/reward_node", "model")
    finally:
        stack.send_signal(signal.SIGTERM)
        output, errors = stack.communicate(timeout=DEADLINE)
    assert stack.returncode == 0, errors
    assert "rerun_node ended with exit code 1; the others go on." in output
    assert "port and web_port are both 9090" in errors


def test_a_file_that_does_not_exist_is_named(tmp_path: Path) -> None:
    """Before anything is started."""
    with pytest.raises(StackError, match="rig is 'nosuch'"):
        parameter_files("nosuch", "")
    with pytest.raises(StackError, match=r"params-file is .*missing.yaml"):
        parameter_files("", str(tmp_path / "missing.yaml"))


def test_terminating_the_stack_leaves_no_node(node: Node) -> None:
    """SIGTERM is what service managers send."""
    stack = start("--no-autostart")
    try:
        ask(node, "/topreward/reward_node", "model")
        child = child_of(stack)
        stack.send_signal(signal.SIGTERM)
        _, errors = stack.communicate(timeout=DEADLINE)
    finally:
        stack.kill()
    assert stack.returncode == 0, errors
    limit = time.monotonic() + DEADLINE
    while Path(f"/proc/{child}").exists():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, ["Graph 0, SUBNET, not secured", "every address", "whoever reaches this machine"]),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_DOMAIN_ID": "7"},
         ["Graph 7, LOCALHOST, not secured", "every address", "whoever reaches this machine"]),
        ({"ROS_SECURITY_ENABLE": "true"}, ["only who holds a key"]),
    ],
)  # fmt: skip
def test_the_stack_says_who_can_take_part(environment, words):
    from topreward_ros.nodes.running.stack import reach

    assert all(word in reach(environment) for word in words)
