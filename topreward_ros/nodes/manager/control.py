"""Starts, watches and ends episodes: one at a time, each with one start and one end.

An episode is the reward node's, with its id. It ends at the first reason there is; nothing that
comes after changes it, and nothing of an earlier episode counts for a later one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.ending import EpisodeEnding
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.manager.reward_events import standing_faults
from topreward_ros.nodes.manager.start import EpisodeStarter, StartRefused
from topreward_ros.nodes.manager.stop_actions import StopActions
from topreward_ros.nodes.waiting import Turn, Waiting

GOES_ON = {
    EpisodeEvent.REASON_RESET,
    EpisodeEvent.REASON_CLOCK_JUMP,
    EpisodeEvent.REASON_INSTRUCTION_CHANGED,
}
"""After these the reward node starts its next episode by itself."""


class EpisodeControl:
    """Runs the reward node's episodes.

    Attributes:
        current: the running episode.
        closed: whether the manager is about to go; no episode begins any more.
    """

    def __init__(
        self,
        client: RewardClient,
        starter: EpisodeStarter,
        ending: EpisodeEnding,
        outputs: ManagerOutputs,
        actions: StopActions,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
        log: RcutilsLogger,
    ) -> None:
        """Starts without an episode.

        Args:
            client: asks the reward node.
            starter: makes it start episodes.
            ending: does what follows an episode's end.
            outputs: published to.
            actions: that stop the robot.
            waiting: waits.
            read: returns the parameters of now.
            log: for people.
        """
        self.current: ManagedEpisode | None = None
        self.closed = False
        self._client = client
        self._starter = starter
        self._ending = ending
        self._outputs = outputs
        self._actions = actions
        self._waiting = waiting
        self._read = read
        self._log = log
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
                started = self._open(event, request, asked=True)
                started.on_reading, started.owner = on_reading, owner
                self._outputs.started(started, EpisodeEvent.STARTED, f'"{started.instruction}"')
            except RewardRefused as error:
                raise StartRefused(str(error)) from None
            finally:
                self._catch_up()
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
    ) -> ManagedEpisode:
        """Ends the running episode at once; what follows goes on until `finished` is done.

        Args:
            reason: `EpisodeEvent.REASON_*`.
            detail: one sentence.
            outcome: `EpisodeEvent.OUTCOME_*`; empty: what the reason says.
            run_actions: whether all stop actions run; None: those that name the reason.
            goes_on: whether the reward node goes on with another episode by itself; it may, unless
                somebody asked the manager for this one.
        """
        episode, self.current = self.current, None
        episode.end(reason, detail, self._waiting.now(), outcome)
        self._outputs.stopped(episode)
        actions = self._actions.due(reason) if run_actions is None else []
        if run_actions:
            actions = list(self._actions.actions)
        deactivate = self._read().manage_lifecycle and not (goes_on and not episode.asked)
        self._ending.begin(episode, actions, deactivate)
        return episode

    def take_over(self, events: Sequence[EpisodeEvent], age: float) -> None:
        """Watches over an episode that ran before the manager heard of it.

        Args:
            events: what is known of it, from the oldest on.
            age: s since its start.
        """
        # Somebody may have asked for it, so it is limited like one that was asked for.
        episode = self._open(events[0], EpisodeRequest(), asked=False, limited=True)
        episode.started -= max(0.0, age)
        self._outputs.started(
            episode,
            EpisodeEvent.RECOVERED,
            f'"{episode.instruction}"; it was running before the manager came, and is taken over.',
        )
        for event in standing_faults(events):
            self.on_event(event)

    def on_event(self, event: EpisodeEvent) -> None:
        """Takes what the reward node says of its episodes."""
        if self._starter.starting:
            self._starter.hear(event)
            return
        current = self.current
        mine = current is not None and event.episode_id == current.episode_id
        if event.event == EpisodeEvent.STARTED and not mine:
            self._on_unasked_start(event)
        elif event.event == EpisodeEvent.STOPPED and mine:
            reason = event.termination_reason
            self.end(reason, event.detail, goes_on=reason in GOES_ON)
        elif event.event == EpisodeEvent.FAULT and mine:
            current.lose_camera(self._waiting.now())
            patience = self._read().camera_patience
            self._outputs.trouble(
                current,
                EpisodeEvent.FAULT,
                event.termination_reason,
                f"{event.detail} In {patience:g} s without it the episode ends.",
            )
        elif event.event == EpisodeEvent.RECOVERED and mine:
            current.regain_camera()
            self._outputs.trouble(
                current, EpisodeEvent.RECOVERED, event.termination_reason, event.detail
            )

    def on_reading(self, reading: RewardStamped) -> None:
        """Takes a reading; of the running episode alone."""
        if self._starter.starting:
            self._starter.hear_reading(reading)
            return
        episode = self.current
        if episode is None or reading.episode_id != episode.episode_id:
            return
        if reading.instruction != episode.instruction:
            self._on_other_instruction(reading.instruction)
            return
        episode.take(reading)
        if verdict := episode.verdict():
            self.end(*verdict)

    def watch(self) -> None:
        """Looks at the clock; call it often."""
        if self.current is None:
            return
        overdue = self.current.overdue(self._waiting.now(), self._read().camera_patience)
        if overdue:
            self.end(*overdue)

    def _catch_up(self) -> None:
        """Takes what was told during a start; the new episode may have ended meanwhile."""
        readings, events = self._starter.rest()
        for reading in readings:
            self.on_reading(reading)
        for event in events:
            self.on_event(event)

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

    def _on_unasked_start(self, event: EpisodeEvent) -> None:
        former = self.current
        if former is not None:
            self.end(
                EpisodeEvent.REASON_MODEL_ERROR,
                "The reward node started another episode without ending this one; it was "
                "probably started anew.",
                goes_on=True,
            )
        if self.adopts and not self._ending.deactivating:
            episode = self._open(event, EpisodeRequest(), asked=False)
            self._outputs.started(
                episode,
                EpisodeEvent.STARTED,
                f'"{event.instruction}"; the reward node started it by itself.',
            )

    def _on_other_instruction(self, text: str) -> None:
        """An episode is one attempt at one task: the new task gets an episode of its own."""
        episode = self.current
        self.end(
            EpisodeEvent.REASON_INSTRUCTION_CHANGED,
            f'The instruction was changed to "{text}".',
            goes_on=True,
        )
        if not (episode.asked and self._read().manage_lifecycle):
            self._waiting.start(self._reset_for(text))

    async def _reset_for(self, text: str) -> None:
        try:
            await self._client.reset()
        except RewardRefused as error:
            self._log.warning(f'No new episode for "{text}": {error}')

    def _open(
        self, event: EpisodeEvent, request: EpisodeRequest, *, asked: bool, limited: bool = False
    ) -> ManagedEpisode:
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
        self._waiting.start(self._learn_hold(self.current))
        return self.current

    async def _learn_hold(self, episode: ManagedEpisode) -> None:
        hold = await self._client.success_hold()
        if hold is not None:
            episode.claim.hold = hold
