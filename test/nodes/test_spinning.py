"""A node's process ends with exit code 0 however often it is told to."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

pytest.importorskip("rclpy")

DEADLINE = 60.0
NODE = """
import sys
from rclpy.node import Node
from topreward_ros.nodes.spinning import run_node

def create():
    node = Node("one_of_many")
    print("ready", flush=True)
    return node

run_node(create, Node.destroy_node)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda n: n.name)
def test_the_same_signal_again_and_again_changes_nothing(number: signal.Signals) -> None:
    """Ctrl-C reaches every process of a terminal, and launch then signals its nodes itself."""
    process = subprocess.Popen([sys.executable, "-c", NODE], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "ready\n"
        end = time.monotonic() + DEADLINE
        while process.poll() is None:
            assert time.monotonic() < end
            process.send_signal(number)
            time.sleep(0.001)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
    assert process.returncode == 0
