"""A service call that may take longer than one is willing to wait at a time.

A request that was delivered is not made twice: whoever stops a recorder and is asked again while it
still writes would answer that nothing is being recorded.
"""

from __future__ import annotations

from typing import Any

from rclpy.client import Client
from rclpy.task import Future

from topreward_ros.nodes.waiting import Waiting


class PatientCall:
    """Calls one service, and goes on waiting for the answer where none came in time."""

    def __init__(self, client: Client, request: Any, waiting: Waiting) -> None:
        """Calls nothing yet.

        Args:
            client: of the service.
            request: what is asked.
            waiting: waits.
        """
        self._client = client
        self._request = request
        self._waiting = waiting
        self._pending: Future | None = None

    async def answer(self, seconds: float) -> Any | None:
        """Returns the service's response, None where none came.

        Args:
            seconds: for the service to be there and to answer.
        """
        end = self._waiting.now() + seconds
        if not self._client.service_is_ready():
            self.forget()  # nobody is left to answer
        if not await self._waiting.found(self._client, seconds):
            return None
        if self._pending is None:
            self._pending = self._client.call_async(self._request)
        if not await self._waiting.until(self._pending, end - self._waiting.now()):
            return None
        response = self._pending.result()
        self._pending = None
        return response

    def forget(self) -> None:
        """Waits for no former request any more."""
        if self._pending is not None:
            self._client.remove_pending_request(self._pending)
        self._pending = None
