"""Keeps the reward node up: brings it up, notices when it dies, brings up what was started anew.

The node is asked for its state all the time: a process that was killed says nothing itself, and DDS
takes its twenty seconds to miss it.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Protocol

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.lifecycle_client import UNKNOWN
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.reward_client import RewardClient
from topreward_ros.nodes.waiting import Waiting

PERIOD = 0.5
"""s between two looks."""


class Report(Protocol):
    """Who is told of the reward node's troubles."""

    def trouble(self, event: str, reason: str, detail: str) -> None:
        """Takes a FAULT or RECOVERED."""

    def running(self) -> str:
        """Returns the id of the running episode, empty if none runs."""

    def cut_off(self, reason: str, detail: str) -> None:
        """Ends the running episode, because nothing scores it any more."""


class RewardKeeper:
    """Watches over one reward node.

    Attributes:
        trouble: what is wrong with it, one sentence; empty if nothing.
    """

    def __init__(
        self,
        client: RewardClient,
        report: Report,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
        log: RcutilsLogger,
    ) -> None:
        """Watches nothing yet; see `watch`."""
        self.trouble = ""
        self._client = client
        self._report = report
        self._waiting = waiting
        self._read = read
        self._log = log
        self._up = False
        self._refused = False
        self._idle = ("", 0)
        self._unconfigured = 0

    async def watch(self) -> None:
        """Looks after the node until the executor ends."""
        while True:
            try:
                await self._look()
            except Exception:
                self._log.error(f"Watching over the reward node failed:\n{traceback.format_exc()}")
            await self._waiting.pause(PERIOD)

    def retry(self) -> None:
        """Lets a node that refused to configure try again."""
        self._refused = False

    async def _look(self) -> None:
        parameters = self._read()
        state = await self._client.lifecycle.ask(parameters.node_timeout)
        self._notice_death(state, parameters.node_timeout)
        if state == UNKNOWN:
            return
        self._notice_idleness(state)
        self._unconfigured = self._unconfigured + 1 if state == "unconfigured" else 0
        # Seen twice: a node that has just come may be about to configure itself.
        wanted = parameters.manage_lifecycle and not self._refused
        if self._unconfigured > 1 and wanted:
            self._unconfigured = 0
            await self._bring_up(parameters.bringup_timeout)
        if self.trouble and self._client.up:
            self.trouble = ""
            self._report.trouble(
                EpisodeEvent.RECOVERED,
                EpisodeEvent.REASON_MODEL_ERROR,
                f"{self._client.name} is up again.",
            )

    async def _bring_up(self, seconds: float) -> None:
        name = self._client.name
        self._log.info(f"Bringing {name} up; loading its model may take minutes.")
        started = self._waiting.now()
        change = await self._client.lifecycle.change("configure", seconds)
        if change.done:
            self._up = True  # it may die before the next look
            took = self._waiting.now() - started
            self._log.info(f"{name} is up, after {took:.1f} s.")
            return
        # Loading the same model again would fail the same way: whoever asks for an episode, or
        # starts the node anew, gets another attempt.
        self._refused = change.answered
        self._complain(f"Bringing {name} up failed: {change.message}")

    def _notice_death(self, state: str, timeout: float) -> None:
        if state != UNKNOWN:
            self._up = self._client.up
            return
        self._refused = False
        # Before it was up, it may be deaf while it imports its libraries.
        if self._up or self._report.running():
            self._up = False
            detail = f"{self._client.name} did not answer for {timeout:g} s; it has died or hangs."
            self._complain(detail)
            self._report.cut_off(EpisodeEvent.REASON_MODEL_ERROR, detail)

    def _notice_idleness(self, state: str) -> None:
        """Ends an episode that runs in a node which is not active, seen twice."""
        episode = self._report.running()
        if not episode or state == "active":
            self._idle = ("", 0)
            return
        former, looks = self._idle
        looks = looks + 1 if former == episode else 1
        self._idle = (episode, looks)
        if looks < 2:
            return  # the event that tells why may still be on its way
        name = self._client.name
        if state in ("inactive", "deactivating"):
            self._report.cut_off(
                EpisodeEvent.REASON_DEACTIVATED, f"{name} is {state}: something deactivated it."
            )
        else:
            detail = f"{name} is {state} in the middle of an episode: it was started anew."
            self._complain(detail)
            self._report.cut_off(EpisodeEvent.REASON_MODEL_ERROR, detail)

    def _complain(self, detail: str) -> None:
        self.trouble = detail
        self._report.trouble(EpisodeEvent.FAULT, EpisodeEvent.REASON_MODEL_ERROR, detail)
