"""Nodes, their monitor and their stack as programs, which a signal ends with 0 from the start.

rclpy and what a node needs take a second and more to import. A Ctrl-C in that time would end it
with a trace, or with the signal's number, which launch takes for a death.
"""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module

SIGNALS = (signal.SIGINT, signal.SIGTERM)
WINGS = {
    "reward_node": "reward",
    "episode_manager": "manager",
    "overlay_node": "viewing",
    "rerun_node": "viewing",
    "replay_node": "replay",
    "monitor": "viewing",
    "stack": "running",
}
"""Where the module of each is, which has its name and a `main`."""


def run(node: str) -> int:
    """Runs a program.

    Args:
        node: one of `WINGS`.

    Returns:
        The exit code.
    """
    for number in SIGNALS:
        # Nothing is there yet that would have to be ended in order. The node sets its own handlers.
        signal.signal(number, lambda *_: os._exit(0))
    from topreward_ros.printable import keep_errors_printable  # not before the handlers

    keep_errors_printable()
    return import_module(f"topreward_ros.nodes.{WINGS[node]}.{node}").main()


def reward_node() -> int:
    """Watches the cameras; see `RewardNode`."""
    return run("reward_node")


def episode_manager() -> int:
    """Runs episodes; see `EpisodeManager`."""
    return run("episode_manager")


def overlay_node() -> int:
    """Draws over the camera; see `OverlayNode`."""
    return run("overlay_node")


def rerun_node() -> int:
    """Shows episodes in Rerun; see `RerunNode`."""
    return run("rerun_node")


def replay_node() -> int:
    """Plays a recording; see `ReplayNode`."""
    return run("replay_node")


def monitor() -> int:
    """Shows a reward node in the terminal; see `viewing.monitor`."""
    return run("monitor")


def stack() -> int:
    """Starts the nodes; see `running.stack`."""
    return run("stack")


if __name__ == "__main__":
    sys.exit(run(sys.argv.pop(1)))
