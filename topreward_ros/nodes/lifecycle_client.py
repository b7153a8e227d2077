"""Another node's lifecycle: its state and transitions, asked for without blocking.

A request that got no answer in time proves nothing (loading a model takes minutes, and answers get
lost), so the state is asked for before anything is concluded. Services and labels are those of
`lifecycle_msgs`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lifecycle_msgs.msg import TransitionEvent
from lifecycle_msgs.srv import ChangeState, GetState
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node

from topreward_ros.nodes.lifecycle import NAMES, Change
from topreward_ros.nodes.waiting import Waiting

UNKNOWN = "unknown"
GOALS = {
    "configure": "inactive",
    "activate": "active",
    "deactivate": "inactive",
    "cleanup": "unconfigured",
    "shutdown": "finalized",
}
"""Where each transition leads."""
UNDER_WAY = {
    "configuring",
    "activating",
    "deactivating",
    "cleaningup",
    "shuttingdown",
    "errorprocessing",
}
STEP = 1.0
"""s between looks at a node that works on a transition."""
PATIENCE = 3.0
"""s for the answer that decides."""
LOADING_SILENCE = 20.0
"""s for which a node that loads libraries may be deaf before it counts as gone."""


@dataclass(frozen=True)
class Answer(Change):
    """How a request to another node ended.

    Attributes:
        answered: whether the node itself said yes or no.
    """

    answered: bool = False


class LifecycleClient:
    """Asks one lifecycle node.

    Attributes:
        name: full name of the node.
        state: label as known last; `unknown` before the first answer and while none comes.
    """

    def __init__(
        self,
        node: Node,
        name: str,
        *,
        waiting: Waiting,
        group: CallbackGroup,
        changed: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Makes the clients.

        Args:
            node: which asks.
            name: full name of the other node.
            waiting: waits.
            group: a reentrant callback group.
            changed: told of each new state.
        """
        self.name = name
        self.state = UNKNOWN
        self._waiting = waiting
        self._changed = changed
        self._get = node.create_client(GetState, f"{name}/get_state", callback_group=group)
        self._change = node.create_client(ChangeState, f"{name}/change_state", callback_group=group)
        node.create_subscription(
            TransitionEvent,
            f"{name}/transition_event",
            lambda event: self._note(event.goal_state.label),
            100,
            callback_group=group,
        )

    async def ask(self, seconds: float) -> str:
        """Returns the state, `unknown` where no answer comes within `seconds`."""
        end = self._waiting.now() + seconds
        left, step, answer = seconds, STEP, None
        while answer is None and left > 0.0:
            # A request to a process that was killed is lost, also when another has come instead;
            # a busy one needs more time than a step.
            answer = await self._waiting.answer(self._get, GetState.Request(), min(step, left))
            left, step = end - self._waiting.now(), 2 * step
        self._note(answer.current_state.label if answer is not None else UNKNOWN)
        return self.state

    async def change(self, transition: str, seconds: float) -> Answer:
        """Asks for a transition and waits until it is made.

        Args:
            transition: `configure`, `activate`, `deactivate`, `cleanup` or `shutdown`.
            seconds: how long it may take; what was asked for goes on after that.
        """
        goal = GOALS[transition]
        end = self._waiting.now() + seconds
        request = ChangeState.Request()
        request.transition.label = transition
        request.transition.id = next(n for n, label in NAMES.items() if label == transition)
        asked = self._waiting.start(self._waiting.answer(self._change, request, seconds))
        heard = self._waiting.now()
        began = False
        while (now := self._waiting.now()) < end:
            if await self._waiting.until(asked, min(STEP, end - now)):
                break
            state = await self.ask(STEP)
            heard = self._waiting.now() if state != UNKNOWN else heard
            began = began or state in UNDER_WAY
            if state == goal:
                return Answer(True, f"{self.name} is {goal}.", True)
            if began and state == "unconfigured":
                break  # it was started anew, the request is lost
            if self._waiting.now() - heard > LOADING_SILENCE:
                break
        if asked.done() and asked.result() is not None and asked.result().success:
            self._note(goal)
            return Answer(True, f"{self.name} is {goal}.", True)
        answered = asked.done() and asked.result() is not None
        return await self._conclude(transition, goal, end, answered)

    async def settled(self, seconds: float) -> str:
        """Waits for an answer and while a transition is under way; returns the state."""
        end = self._waiting.now() + seconds
        state = await self.ask(STEP)
        while (state in UNDER_WAY or state == UNKNOWN) and self._waiting.now() < end:
            await self._waiting.pause(0.1)
            state = await self.ask(STEP)
        return state

    async def _conclude(self, transition: str, goal: str, end: float, answered: bool) -> Answer:
        """Asks for the state after a refusal or no answer."""
        state = await self.ask(PATIENCE)
        if state in UNDER_WAY:
            state = await self.settled(end - self._waiting.now())
        if state == goal:
            return Answer(True, f"{self.name} is {goal}.", True)
        if state == UNKNOWN:
            return Answer(False, f"{self.name} does not answer; is it running?", answered)
        if state in UNDER_WAY:
            return Answer(False, f"{self.name} is still {state}; its own log says why.", answered)
        return Answer(
            False,
            f"{self.name} did not {transition}, it is {state}; its own log says why.",
            answered,
        )

    def _note(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self._changed(state)
