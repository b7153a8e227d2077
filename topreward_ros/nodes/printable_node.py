"""A node whose log is printable, whatever the graph and the files bring into its sentences."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from rclpy.impl import rcutils_logger
from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.node import Node

from topreward_ros.printable import printable_lines

# rclpy tells calls apart by where they come from, and skips files named here.
rcutils_logger._internal_callers.append(os.path.realpath(__file__))


class PrintableLogger(RcutilsLogger):
    """A logger that passes every message through `printable_lines`."""

    def log(self, message: object, severity: Any, **options: Any) -> bool:
        """Logs as rclpy's logger does."""
        return super().log(printable_lines(message), severity, **options)

    def get_child(self, name: str) -> PrintableLogger:
        """Returns a logger of that kind below this one, as for an action of the node."""
        child = super().get_child(name)
        child.__class__ = PrintableLogger  # rclpy names its own class there
        return child


class PrintableNode(Node):
    """A node with such a logger; all nodes of this package are ones.

    Attributes:
        give_up: while it is spun, ends the node at once, as one that failed.
    """

    give_up: Callable[[], None] | None = None
    _printable: PrintableLogger | None = None

    def leave(self, why: str) -> None:
        """Ends the node, which cannot go on.

        Args:
            why: one sentence.
        """
        self.get_logger().error(why)
        if self.give_up is not None:
            self.give_up()

    def get_logger(self) -> PrintableLogger:
        """Returns the node's logger."""
        if self._printable is None:
            self._printable = PrintableLogger(super().get_logger().name)
        return self._printable
