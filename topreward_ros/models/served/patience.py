"""Asking a server until it answers, for as long as an episode can wait."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from topreward_ros.models.contract import ModelError
from topreward_ros.models.server_health import ServerHealth

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 1.0
"""s between two attempts; doubled from one to the next."""
LONGEST_ATTEMPT = 5.0
"""s after which one attempt is given up. A connection that was cut in silence never answers, and
the next attempt makes a new one."""

T = TypeVar("T")


class ServerAway(Exception):
    """The server gave no answer this time, and may give one later; the message says what came.

    Attributes:
        pause: s for which the server asked to be left alone; 0.0: it said nothing of that.
        silent: whether time was over before it said anything.
    """

    def __init__(self, reason: str, pause: float = 0.0, *, silent: bool = False) -> None:
        super().__init__(reason)
        self.pause = pause
        self.silent = silent


class ServerLost(ModelError):
    """The server has stayed away for longer than there is patience."""


class Patience:
    """Asks one server, again and again."""

    def __init__(
        self, health: ServerHealth, seconds: float, longest_attempt: float = LONGEST_ATTEMPT
    ) -> None:
        """Sets how long to wait.

        Args:
            health: is told of every answer, and of none.
            seconds: from the first attempt of a question to giving it up.
            longest_attempt: s after which one attempt is given up.
        """
        self._health = health
        self._seconds = seconds
        self._longest_attempt = longest_attempt

    def insist(self, ask: Callable[[float], T]) -> T:
        """Returns the answer.

        Args:
            ask: asks once; it gets the s that it may take, and raises `ServerAway` where there is
                no answer. Any other exception is passed on at once.

        Raises:
            ServerLost: there was no answer for as long as there is patience, or nobody waits for
                it any more.
        """
        end, pause, reason = time.monotonic() + self._seconds, FIRST_PAUSE, ""
        while True:
            before = time.monotonic()
            limit = max(0.05, min(self._longest_attempt, end - before))
            try:
                answer = ask(limit)
            except ServerAway as error:
                self._health.lost(f"The server {self._health.address} {error}.")
                # The last attempt may have no time left: that says less than what came before.
                if not (reason and error.silent and limit < self._longest_attempt):
                    reason = str(error)
                self._rest(max(pause, error.pause), end, reason)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                self._health.answered(time.monotonic() - before)
                return answer

    def _rest(self, pause: float, end: float, reason: str) -> None:
        left = end - time.monotonic()
        address = self._health.address
        if self._health.release.wait(max(0.0, min(pause, left))):
            raise ServerLost(f"The server {address} {reason}; nobody waits for it any more.")
        if left <= pause:
            raise ServerLost(
                f"The server {address} {reason}, and gave no answer for {self._seconds:g} s "
                "(server_patience); see whether it runs, and start the next episode when it does."
            )
