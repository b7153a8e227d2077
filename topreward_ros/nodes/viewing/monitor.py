"""Shows a running reward node in the terminal, for machines with neither RViz nor a plotter."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rclpy.clock import Clock, ClockType
from rclpy.utilities import remove_ros_args

from topreward_ros.nodes.spinning import run_node
from topreward_ros.nodes.viewing.episode_watch import EpisodeWatch
from topreward_ros.nodes.viewing.live_view import View, open_view
from topreward_ros.printable import PrintableParser

REFRESH = 0.25
"""S between two drawings."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line without ROS's own part; None: this process's."""
    parser = PrintableParser(prog="monitor", description=__doc__)
    add = parser.add_argument
    add("--node", default="/topreward/reward_node", help="the reward node (%(default)s)")
    add("--camera", default="", help="image topic to show beside the numbers; default: none")
    add("--plain", action="store_true", help="lines instead of the live view")
    given = sys.argv if arguments is None else ["monitor", *arguments]
    return parser.parse_args(remove_ros_args(given)[1:])


class Monitor(EpisodeWatch):
    """Watches and draws."""

    def __init__(self, options: argparse.Namespace, view: View) -> None:
        """Subscribes.

        Args:
            options: as `parse` returns them.
            view: entered already.
        """
        super().__init__("monitor", options.node, view)
        if options.camera:
            self.watch_camera(options.camera)
        self._shown = view
        self._source = options.node
        self.create_timer(REFRESH, self._refresh, clock=Clock(clock_type=ClockType.STEADY_TIME))

    def _refresh(self) -> None:
        # What is on screen is kept by the view; an endless run must not fill the memory.
        self.frames.clear()
        del self.readings[:-1], self.events[:-1]
        event = self.events[-1] if self.events else None
        self._shown.say(f"{self._source}: {event.event} {event.detail}" if event else self._source)
        self._shown.refresh()


def main(arguments: Sequence[str] | None = None) -> int:
    """Watches until a signal; returns the exit code, 0.

    Args:
        arguments: of the command line; None: this process's.
    """
    options = parse(arguments)
    with open_view("TOPReward", "", plain=options.plain) as view:
        run_node(lambda: Monitor(options, view), Monitor.destroy_node, arguments)
    return 0
