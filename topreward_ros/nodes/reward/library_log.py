"""What the ROS-free rooms log, in the log of a node."""

from __future__ import annotations

import logging

from rclpy.impl.rcutils_logger import RcutilsLogger

ROOT = "topreward_ros"
"""Python's logger of this package."""


class LibraryLog(logging.Handler):
    """Passes warnings and errors of the package on to a node's log, until it is closed."""

    def __init__(self, log: RcutilsLogger) -> None:
        """Listens from now on."""
        super().__init__(logging.WARNING)
        self._log = log
        logging.getLogger(ROOT).addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Passes a record on, from any thread."""
        # A line for each severity: rclpy binds the severity to the place of the call.
        if record.levelno >= logging.ERROR:
            self._log.error(record.getMessage())
        else:
            self._log.warning(record.getMessage())

    def close(self) -> None:
        """Listens no more."""
        logging.getLogger(ROOT).removeHandler(self)
        super().close()
