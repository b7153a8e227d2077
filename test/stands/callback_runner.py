"""What waits for others on the graph, and runs its callbacks meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable

from rclpy.executors import SingleThreadedExecutor

PATIENCE = 180.0
"""s until a test gives up, on a busy machine too; nothing ever sleeps."""


class CallbackRunner:
    """Waits by running the callbacks of its executor.

    Attributes:
        patience: s that it waits where nothing else is said.
    """

    patience = PATIENCE
    _executor: SingleThreadedExecutor

    def wait(self, condition: Callable[[], bool], seconds: float | None = None) -> None:
        """Runs callbacks until the condition holds."""
        seconds = self.patience if seconds is None else seconds
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, f"not within {seconds} s"
            self._executor.spin_once(timeout_sec=0.02)

    def linger(self, seconds: float) -> None:
        """Runs callbacks for a while: only to see that something does not happen."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.02)
