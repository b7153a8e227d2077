"""Waiting in coroutines on the executor: for an answer, for a while, for one's turn.

Nothing here blocks. Time is the steady clock's, so that a paused /clock delays nothing.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.client import Client
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

SHORTEST = 1e-3
"""s; a timer with a period of 0 may never be called."""
LOOK = 0.05
"""s between two looks for a service."""


class Waiting:
    """Waits for a node's coroutines."""

    def __init__(self, node: Node) -> None:
        """Waits for nothing yet.

        Args:
            node: whose executor runs the coroutines.
        """
        self._node = node
        self.clock = Clock(clock_type=ClockType.STEADY_TIME)

    def start(self, work: Coroutine[Any, Any, Any]) -> Future:
        """Runs a coroutine beside others; returns its end."""
        return self._node.executor.create_task(work)

    async def until(self, future: Future, seconds: float) -> bool:
        """Waits for a future; says whether it is done.

        Args:
            future: what is waited for.
            seconds: how long at most.
        """
        woken: Future = Future()

        def wake(_: object = None) -> None:
            if not woken.done():
                woken.set_result(None)

        # In a group of its own: rclpy's never forget what was in them, 170 bytes for each timer.
        alone = ReentrantCallbackGroup()
        timer = self._node.create_timer(
            max(seconds, SHORTEST), wake, callback_group=alone, clock=self.clock
        )
        future.add_done_callback(wake)
        try:
            await woken
        finally:
            future.remove_done_callback(wake)
            self._node.destroy_timer(timer)
        return future.done()

    async def pause(self, seconds: float) -> None:
        """Lets time pass."""
        await self.until(Future(), seconds)

    async def found(self, client: Client, seconds: float) -> bool:
        """Waits for a service; says whether it is there."""
        end = self.now() + seconds
        while not client.service_is_ready():
            if self.now() >= end:
                return False
            await self.pause(min(LOOK, max(end - self.now(), SHORTEST)))
        return True

    async def answer(self, client: Client, request: Any, seconds: float) -> Any | None:
        """Calls a service; returns its response, None where none came.

        Args:
            client: of the service.
            request: what is asked.
            seconds: for the service to be there and to answer.
        """
        end = self.now() + seconds
        if not await self.found(client, seconds):
            return None
        future = client.call_async(request)
        if await self.until(future, end - self.now()):
            return future.result()
        client.remove_pending_request(future)
        return None

    def now(self) -> float:
        """Returns s of the steady clock."""
        return self.clock.now().nanoseconds * 1e-9


class Turn:
    """One coroutine after another, in the order of their asking."""

    def __init__(self) -> None:
        """Starts free."""
        self._waiting: deque[Future] = deque()
        self.held = False

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Holds the turn while entered."""
        if self.held:
            mine: Future = Future()
            self._waiting.append(mine)
            await mine  # handed over while still taken
        self.held = True
        try:
            yield
        finally:
            if self._waiting:
                self._waiting.popleft().set_result(None)
            else:
                self.held = False
