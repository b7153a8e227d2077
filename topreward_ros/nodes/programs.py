"""The nodes as programs, which a signal ends with 0 from their first moment on.

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
    "replay_node": "replay",
}
"""Where the module of each node is, which has the node's name and a `main`."""


def run(node: str) -> int:
    """Runs a node.

    Args:
        node: one of `WINGS`.

    Returns:
        The exit code.
    """
    for number in SIGNALS:
        # Nothing is there yet that would have to be ended in order. The node sets its own handlers.
        signal.signal(number, lambda *_: os._exit(0))
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


def replay_node() -> int:
    """Plays a recording; see `ReplayNode`."""
    return run("replay_node")


if __name__ == "__main__":
    sys.exit(run(sys.argv.pop(1)))
