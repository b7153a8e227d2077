"""Makes the reward node start an episode, and finds its word of that among what it tells."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.task import Future

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.reward_client import RewardClient, RewardRefused
from topreward_ros.nodes.manager.reward_events import RewardEvents
from topreward_ros.nodes.waiting import Waiting

UP_PATIENCE = 5.0
"""s that a start waits for a reward node which is coming up."""
START_PATIENCE = 2.0
"""s from the activation to the reward node's word that an episode has started."""
LOOK = 0.05
"""s between two looks whether the reward node's events are heard."""


class StartRefused(RuntimeError):
    """No episode was started; the sentence says why.

    Attributes:
        reason: `EpisodeEvent.REASON_*`.
    """

    def __init__(self, sentence: str, reason: str = EpisodeEvent.REASON_MODEL_ERROR) -> None:
        """Says why not."""
        super().__init__(sentence)
        self.reason = reason


class EpisodeStarter:
    """Starts episodes of one reward node, one at a time.

    While it starts one it keeps all events to itself: what an episode that nobody asked for tells
    meanwhile must not be taken for the one that was asked for. It keeps the readings too: those of
    the new episode may come before it is known which that is.

    Attributes:
        revive: called when the reward node is not up.
        suspicion: returns why what the reward node tells cannot be believed, empty if it can.
        starting: whether it takes events and readings.
    """

    def __init__(
        self,
        client: RewardClient,
        events: RewardEvents,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
    ) -> None:
        """Starts nothing yet.

        Args:
            client: asks the reward node.
            events: what the reward node tells.
            waiting: waits.
            read: returns the parameters of now.
        """
        self.revive: Callable[[], None] = lambda: None
        self.suspicion: Callable[[], str] = lambda: ""
        self.starting = False
        self._client = client
        self._events = events
        self._waiting = waiting
        self._read = read
        self._heard: list[EpisodeEvent] = []
        self._readings: list[RewardStamped] = []
        self._news = Future()

    def hear(self, event: EpisodeEvent) -> None:
        """Takes an event while it starts an episode."""
        self._heard.append(event)
        if not self._news.done():
            self._news.set_result(None)

    def hear_reading(self, reading: RewardStamped) -> None:
        """Takes a reading while it starts an episode."""
        self._readings.append(reading)

    async def begin(self, request: EpisodeRequest, check: Callable[[], None]) -> EpisodeEvent:
        """Makes the reward node start an episode; `rest` has to follow.

        Args:
            request: what is asked for.
            check: raises what ends the start as long as nothing runs.

        Returns:
            The reward node's word.

        Raises:
            RewardRefused: the reward node is not up, or refused.
        """
        self.starting = True
        managing = self._read().manage_lifecycle
        await self._come_up(managing)
        if why := self.suspicion():
            raise RewardRefused(why)
        if managing and self._client.state == "active":
            await self._client.change("deactivate")
        await self._client.set_episode_statements(request.statements)
        if request.instruction:
            await self._client.set_instruction(request.instruction)
        check()
        former = len(self._heard)
        answer = ""
        if managing:
            await self._client.change("activate")
        else:
            answer = await self._client.reset()
        event = await self._word(answer, former)
        if event is not None:
            return event
        why = await self._silence(request, answer)
        if managing:
            await self._client.change("deactivate")
        raise RewardRefused(why)

    def rest(self) -> tuple[list[RewardStamped], list[EpisodeEvent]]:
        """Ends the start.

        Returns:
            All readings meanwhile; and the events since the word, or all of them where none came.
        """
        self.starting = False
        readings, self._readings = self._readings, []
        heard, self._heard = self._heard, []
        return readings, heard

    async def _come_up(self, managing: bool) -> None:
        if not self._client.up:
            self.revive()  # it refused before; whoever asks gets another attempt
        end = self._waiting.now() + UP_PATIENCE
        state = await self._client.lifecycle.settled(UP_PATIENCE)
        name = self._client.name
        if not self._client.up:
            raise RewardRefused(f"{name} is not up, it is {state}; try again later.")
        if not managing and state != "active":
            raise RewardRefused(
                f"{name} is {state} and manage_lifecycle is false: activate it first."
            )
        while not self._events.hears:  # services may be found before topics are
            if self._waiting.now() >= end:
                raise RewardRefused(f"The events of {name} are not heard; try again later.")
            await self._waiting.pause(LOOK)

    async def _word(self, answer: str, former: int) -> EpisodeEvent | None:
        """Waits for the start that was asked for; a reset's answer names the episode.

        Args:
            answer: the reset's; empty: the first start counts.
            former: how many events came before the request.
        """
        end = self._waiting.now() + START_PATIENCE
        while True:
            for index, event in enumerate(self._heard[former:], start=former):
                named = not answer or event.episode_id in answer
                if event.event == EpisodeEvent.STARTED and named:
                    # Of the earlier ones nobody was told that they had started.
                    del self._heard[: index + 1]
                    return event
            if self._waiting.now() >= end:
                return None
            self._news = Future()
            await self._waiting.until(self._news, end - self._waiting.now())

    async def _silence(self, request: EpisodeRequest, answer: str) -> str:
        """Returns why the reward node told of no start."""
        if not answer and not request.instruction:
            answer = await self._client.reset()  # says whether there is an instruction
        if request.instruction or answer.startswith("Episode "):
            return (
                f"{self._client.name} is active, but told of no start within "
                f"{START_PATIENCE:g} s; try again."
            )
        return "The reward node has no instruction; give one with the episode."
