"""Starts, watches and ends episodes: one at a time, each with one start and one end.

An episode is the reward node's, with its id. It ends at the first reason there is; nothing that
comes after changes it, and nothing of an earlier episode counts for a later one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.task import Future

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager_outputs import ManagerOutputs
from topreward_ros.nodes.manager_parameters import ManagerParameters
from topreward_ros.nodes.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.stop_actions import StopAction, StopActions
from topreward_ros.nodes.waiting import Turn, Waiting

UP_PATIENCE = 5.0
"""s that a start waits for a reward node which is coming up."""
START_PATIENCE = 2.0
"""s from the activation to the reward node's word that an episode has started."""
TOLERANCE = 1e-3
"""s; stamps of cameras do not add up to exact seconds."""
GOES_ON = {
    EpisodeEvent.REASON_RESET,
    EpisodeEvent.REASON_CLOCK_JUMP,
    EpisodeEvent.REASON_INSTRUCTION_CHANGED,
}
"""After these the reward node starts its next episode by itself."""


class StartRefused(RuntimeError):
    """No episode was started; the sentence says why."""


class EpisodeControl:
    """Runs the reward node's episodes.

    Attributes:
        current: the running episode.
        revive: called when an episode is asked for and the reward node is not up.
    """

    def __init__(
        self,
        client: RewardClient,
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
            outputs: published to.
            actions: that stop the robot.
            waiting: waits.
            read: returns the parameters of now.
            log: for people.
        """
        self.current: ManagedEpisode | None = None
        self.revive: Callable[[], None] = lambda: None
        self._client = client
        self._outputs = outputs
        self._actions = actions
        self._waiting = waiting
        self._read = read
        self._log = log
        self._turn = Turn()
        self._finishing: list[ManagedEpisode] = []
        self._closing = 0
        self._expecting = False
        self._heard: list[EpisodeEvent] = []
        self._news = Future()

    @property
    def busy(self) -> bool:
        """Whether an episode runs, starts or is being ended."""
        return self.current is not None or self._turn.held or bool(self._finishing)

    async def start(
        self,
        request: EpisodeRequest,
        replacing: str,
        on_reading: Callable[[RewardStamped], None] | None = None,
        owner: bytes = b"",
    ) -> ManagedEpisode:
        """Starts an episode, after the running one was ended and its stop actions are done.

        Args:
            request: what is asked for.
            replacing: `EpisodeEvent.REASON_*` of the end of a running one.
            on_reading: told of the new episode's readings.
            owner: id of the goal that it belongs to.

        Raises:
            StartRefused: the reward node is not up, or refused.
        """
        async with self._turn.taken():
            if self.current is not None:
                self.end(replacing, "Another episode was asked for.")
            for episode in list(self._finishing):
                await episode.finished
            try:
                event = await self._begin(request)
            except RewardRefused as error:
                raise StartRefused(str(error)) from None
            finally:
                self._expecting = False
            started = self._open(event, request, asked=True)
            started.on_reading, started.owner = on_reading, owner
            self._outputs.started(started, EpisodeEvent.STARTED, f'"{started.instruction}"')
            for later in self._heard:
                self.on_event(later)  # it may have ended meanwhile
            return started

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
        self._closing += deactivate
        self._finishing.append(episode)
        self._waiting.start(self._finish(episode, actions, deactivate))
        return episode

    def adopt(self, event: EpisodeEvent, label: str) -> None:
        """Watches over an episode that the reward node started by itself.

        Args:
            event: its start.
            label: `EpisodeEvent.STARTED`, or `RECOVERED` where the start was long ago.
        """
        self._open(event, EpisodeRequest(), asked=False)
        who = "the reward node started it by itself" if label == EpisodeEvent.STARTED else (
            "it was running when the manager came, and is taken over")  # fmt: skip
        self._outputs.started(self.current, label, f'"{event.instruction}"; {who}.')

    def on_event(self, event: EpisodeEvent) -> None:
        """Takes what the reward node says of its episodes."""
        if self._expecting:
            self._heard.append(event)
            if not self._news.done():
                self._news.set_result(None)
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
        episode = self.current
        if episode is None or reading.episode_id != episode.episode_id:
            return
        if reading.instruction != episode.instruction:
            self._on_other_instruction(reading.instruction)
            return
        episode.take(reading)
        if reading.episode_time - TOLERANCE > episode.time_limit:
            self._time_out(episode)  # merged readings: success within the limit was not shown
        elif episode.successful and reading.episode_time + TOLERANCE >= episode.min_duration:
            self.end(
                EpisodeEvent.REASON_SUCCESS,
                f"The success score {reading.success_score:.2f} nat stayed above "
                f"{reading.success_threshold:.2f}.",
            )
        elif reading.episode_time + TOLERANCE >= episode.time_limit:
            self._time_out(episode)

    def watch(self) -> None:
        """Looks at the clock; call it often."""
        episode, now = self.current, self._waiting.now()
        if episode is None:
            return
        patience = self._read().camera_patience
        if now - episode.lost_since >= patience:
            self.end(
                EpisodeEvent.REASON_CAMERA_LOST,
                f"{episode.lost_cameras} camera(s) stayed lost for {patience:g} s.",
            )
        elif now - episode.started >= episode.time_limit:
            self._time_out(episode)

    async def wait_finished(self, seconds: float) -> None:
        """Waits until everything that follows an episode's end is done."""
        end = self._waiting.now() + seconds
        for episode in list(self._finishing):
            await self._waiting.until(episode.finished, end - self._waiting.now())

    def _time_out(self, episode: ManagedEpisode) -> None:
        self.end(
            EpisodeEvent.REASON_TIMEOUT,
            f"There was no success within the limit of {episode.time_limit:g} s.",
        )

    def _on_unasked_start(self, event: EpisodeEvent) -> None:
        former = self.current
        if former is not None:
            self.end(
                EpisodeEvent.REASON_MODEL_ERROR,
                "The reward node started another episode without ending this one; it was "
                "probably started anew.",
                goes_on=True,
            )
        if self._read().adopt_episodes and not self._closing:
            self.adopt(event, EpisodeEvent.STARTED)

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

    async def _begin(self, request: EpisodeRequest) -> EpisodeEvent:
        """Makes the reward node start an episode; returns its word."""
        managing = self._read().manage_lifecycle
        await self._come_up(managing)
        if managing and self._client.state == "active":
            await self._client.change("deactivate")
        if request.instruction:
            await self._client.set_instruction(request.instruction)
        self._heard.clear()
        self._expecting = True
        answer = ""
        if managing:
            await self._client.change("activate")
        else:
            answer = await self._client.reset()
        event = await self._word(answer)
        if event is not None:
            return event
        self._expecting = False
        if managing:
            await self._client.change("deactivate")
        raise RewardRefused("The reward node has no instruction; give one with the episode.")

    async def _come_up(self, managing: bool) -> None:
        if not self._client.up:
            self.revive()  # it refused before; whoever asks gets another attempt
        state = await self._client.lifecycle.settled(UP_PATIENCE)
        name = self._client.name
        if not self._client.up:
            raise RewardRefused(f"{name} is not up, it is {state}; try again later.")
        if not managing and state != "active":
            raise RewardRefused(
                f"{name} is {state} and manage_lifecycle is false: activate it first."
            )

    async def _word(self, answer: str) -> EpisodeEvent | None:
        """Waits for the start that was asked for; a reset's answer names the episode."""
        end = self._waiting.now() + START_PATIENCE
        while True:
            for index, event in enumerate(self._heard):
                named = not answer or event.episode_id in answer
                if event.event == EpisodeEvent.STARTED and named:
                    del self._heard[: index + 1]
                    return event
            if self._waiting.now() >= end:
                return None
            self._news = Future()
            await self._waiting.until(self._news, end - self._waiting.now())

    def _open(self, event: EpisodeEvent, request: EpisodeRequest, *, asked: bool) -> ManagedEpisode:
        parameters = self._read()
        limited = request.min_duration >= 0.0
        # Nobody waits for the end of an episode that nobody asked for.
        limit = request.time_limit or (parameters.time_limit if asked else math.inf)
        self.current = ManagedEpisode(
            event.episode_id,
            event.instruction,
            request,
            limit,
            request.min_duration if limited else parameters.min_duration,
            self._waiting.now(),
            asked,
        )
        self._waiting.start(self._learn_hold(self.current))
        return self.current

    async def _learn_hold(self, episode: ManagedEpisode) -> None:
        hold = await self._client.success_hold()
        if hold is not None:
            episode.claim.hold = hold

    async def _finish(
        self, episode: ManagedEpisode, actions: list[StopAction], deactivate: bool
    ) -> None:
        """Stops the robot and the scoring after an episode's end."""
        closing = self._waiting.start(self._deactivate()) if deactivate else None
        try:
            for action in actions:
                result = await action.run(self._waiting)
                episode.stop_results.append(result)
                self._outputs.stop_action(episode, result)
            if closing is not None:
                await closing
        finally:
            self._finishing.remove(episode)
            episode.finished.set_result(None)

    async def _deactivate(self) -> None:
        try:
            if self._client.up:
                await self._client.change("deactivate")
        except RewardRefused as error:
            self._log.warning(f"The reward node goes on scoring: {error}")
        finally:
            self._closing -= 1
