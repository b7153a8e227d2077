"""Starts, watches and ends episodes: one at a time, each with one start and one end.

An episode is the reward node's, with its id. It ends at the first reason there is; nothing that
comes after changes it, and nothing of an earlier episode counts for a later one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.ending import EpisodeEnding
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.reward_client import RewardRefused
from topreward_ros.nodes.manager.start import EpisodeStarter, StartRefused
from topreward_ros.nodes.manager.stop_actions import StopActions
from topreward_ros.nodes.waiting import Turn, Waiting


class EpisodeControl:
    """Runs the reward node's episodes.

    Attributes:
        current: the running episode.
        closed: whether the manager is about to go; no episode begins any more.
        catch_up: called after a start, to take what was told meanwhile.
    """

    def __init__(
        self,
        starter: EpisodeStarter,
        ending: EpisodeEnding,
        outputs: ManagerOutputs,
        actions: StopActions,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
    ) -> None:
        """Starts without an episode.

        Args:
            starter: makes it start episodes.
            ending: does what follows an episode's end.
            outputs: published to.
            actions: that stop the robot.
            waiting: waits.
            read: returns the parameters of now.
        """
        self.current: ManagedEpisode | None = None
        self.closed = False
        self.catch_up: Callable[[], None] = lambda: None
        self._starter = starter
        self._ending = ending
        self._outputs = outputs
        self._actions = actions
        self._waiting = waiting
        self._read = read
        self._turn = Turn()

    @property
    def busy(self) -> bool:
        """Whether an episode runs, starts or is being ended."""
        return self.current is not None or self.starting or self._ending.busy

    @property
    def starting(self) -> bool:
        """Whether somebody who has asked for an episode waits for its start."""
        return self._turn.held

    @property
    def deactivating(self) -> bool:
        """Whether the reward node is being deactivated after an episode."""
        return self._ending.deactivating

    @property
    def adopts(self) -> bool:
        """Whether episodes that nobody asked for are watched over."""
        return self._read().adopt_episodes and not self.closed

    async def start(
        self,
        request: EpisodeRequest,
        replacing: str,
        on_reading: Callable[[RewardStamped], None] | None = None,
        owner: bytes = b"",
        withdrawn: Callable[[], bool] = lambda: False,
    ) -> ManagedEpisode:
        """Starts an episode, after the running one was ended and its stop actions are done.

        Args:
            request: what is asked for.
            replacing: `EpisodeEvent.REASON_*` of the end of a running one.
            on_reading: told of the new episode's readings.
            owner: id of the goal that it belongs to.
            withdrawn: says whether nobody wants it any more.

        Raises:
            StartRefused: the reward node is not up, or refused; or it is too late.
        """

        def check() -> None:
            self._check_open()
            if withdrawn():
                raise StartRefused("The goal was canceled.", EpisodeEvent.REASON_CANCELED)

        async with self._turn.taken():
            check()
            await self._make_room(replacing)
            check()
            try:
                event = await self._starter.begin(request, self._check_open)
                started = self.open(event, request, asked=True)
                started.on_reading, started.owner = on_reading, owner
                self._outputs.started(started, EpisodeEvent.STARTED, f'"{started.instruction}"')
            except RewardRefused as error:
                raise StartRefused(str(error)) from None
            finally:
                self.catch_up()
            if self.closed:
                self._end_for_good()
            return started

    async def close(self, seconds: float) -> None:
        """Ends the running episode and whatever is being started, for good.

        Args:
            seconds: how long it waits for that and for the stop actions.
        """
        self.closed = True
        self._end_for_good()
        await self._waiting.until(self._waiting.start(self._settle()), seconds)

    def end(
        self,
        reason: str,
        detail: str,
        *,
        outcome: str = "",
        run_actions: bool | None = None,
        goes_on: bool = False,
        gone: bool = False,
    ) -> ManagedEpisode:
        """Ends the running episode at once; what follows goes on until `finished` is done.

        Args:
            reason: `EpisodeEvent.REASON_*`.
            detail: one sentence.
            outcome: `EpisodeEvent.OUTCOME_*`; empty: what the reason says.
            run_actions: whether all stop actions run; None: those that name the reason.
            goes_on: whether the reward node goes on with another episode by itself; it may, unless
                somebody asked the manager for this one.
            gone: whether the reward node goes itself, so that there is nothing to deactivate.
        """
        episode, self.current = self.current, None
        episode.end(reason, detail, self._waiting.now(), outcome)
        actions = self._actions.due(reason) if run_actions is None else []
        if run_actions:
            actions = list(self._actions.actions)
        left_alone = gone or (goes_on and not episode.asked)
        deactivate = self._read().manage_lifecycle and not left_alone
        self._ending.begin(episode, actions, deactivate)  # noted first; it runs later
        self._outputs.stopped(episode)
        return episode

    def watch(self) -> None:
        """Looks at the clock; call it often."""
        if self.current is None:
            return
        overdue = self.current.overdue(self._waiting.now(), self._read().camera_patience)
        if overdue:
            self.end(*overdue)

    def open(
        self, event: EpisodeEvent, request: EpisodeRequest, *, asked: bool, limited: bool = False
    ) -> ManagedEpisode:
        """Makes an episode that the reward node has started the running one.

        Args:
            event: its start.
            request: what was asked for; the defaults where nobody did.
            asked: whether somebody asked the manager for it.
            limited: whether the time limit holds though nobody did.
        """
        parameters, now = self._read(), self._waiting.now()
        # Nobody waits for the end of an episode that nobody asked for.
        limit = parameters.time_limit if asked or limited else math.inf
        own_minimum = request.min_duration >= 0.0
        self.current = ManagedEpisode(
            event.episode_id,
            event.instruction,
            request,
            request.time_limit or limit,
            request.min_duration if own_minimum else parameters.min_duration,
            started=now,
            asked=asked,
            watched=now,
        )
        return self.current

    def _check_open(self) -> None:
        if self.closed:
            raise StartRefused("The manager was asked to stop.", EpisodeEvent.REASON_SHUTDOWN)

    async def _make_room(self, reason: str) -> None:
        """Ends what runs, and waits; meanwhile another one may be adopted, which ends too."""
        while self.current is not None or self._ending.busy:
            if self.current is not None:
                self.end(reason, "Another episode was asked for.")
            await self._ending.finished()

    def _end_for_good(self) -> None:
        if self.current is not None:
            self.end(EpisodeEvent.REASON_SHUTDOWN, "The manager was asked to stop.")

    async def _settle(self) -> None:
        async with self._turn.taken():
            await self._ending.finished()
