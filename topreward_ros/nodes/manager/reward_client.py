"""What the manager asks of the reward node: transitions, an instruction, a new start."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.srv import SetParameters
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_srvs.srv import Trigger

from topreward_ros.nodes.lifecycle_client import LifecycleClient
from topreward_ros.nodes.waiting import Waiting

PATIENCE = 3.0
"""s for an answer that takes the reward node milliseconds."""


class RewardRefused(RuntimeError):
    """The reward node did not do what was asked; one sentence."""


class RewardClient:
    """Asks one reward node.

    Attributes:
        name: full name of the node.
        lifecycle: its states and transitions.
    """

    def __init__(
        self, node: Node, name: str, *, waiting: Waiting, group: CallbackGroup,
        changed: Callable[[str], None],
    ) -> None:  # fmt: skip
        """Makes the clients.

        Args:
            node: which asks.
            name: of the reward node; relative: in this node's namespace.
            waiting: waits.
            group: a reentrant callback group.
            changed: told of each new state.
        """
        self.name = node.resolve_service_name(name)
        self.lifecycle = LifecycleClient(
            node, self.name, waiting=waiting, group=group, changed=changed
        )
        self._waiting = waiting
        self._set = node.create_client(
            SetParameters, f"{self.name}/set_parameters", callback_group=group
        )
        self._reset = node.create_client(Trigger, f"{self.name}/reset", callback_group=group)

    @property
    def state(self) -> str:
        """Its state as known last."""
        return self.lifecycle.state

    @property
    def up(self) -> bool:
        """Whether it has a model."""
        return self.state in ("inactive", "active")

    async def change(self, transition: str, seconds: float = PATIENCE) -> None:
        """Asks for a transition; raises RewardRefused."""
        change = await self.lifecycle.change(transition, seconds)
        if not change.done:
            raise RewardRefused(change.message)

    async def set_instruction(self, text: str) -> None:
        """Sets the task; raises RewardRefused."""
        await self._set_parameter("instruction", text)

    async def set_episode_statements(self, entries: Sequence[str]) -> None:
        """Gives the next episode statements of its own, or none; raises RewardRefused."""
        await self._set_parameter("episode_statements", list(entries) or [""])

    async def _set_parameter(self, name: str, value: Any) -> None:
        parameter = Parameter(name, value=value).to_parameter_msg()
        request = SetParameters.Request(parameters=[parameter])
        answer = await self._waiting.answer(self._set, request, PATIENCE)
        if answer is None:
            raise RewardRefused(f"{self.name} took no {name} within {PATIENCE:g} s.")
        if not answer.results[0].successful:
            raise RewardRefused(answer.results[0].reason)

    async def reset(self) -> str:
        """Asks for a new episode in place; returns the answer; raises RewardRefused."""
        answer = await self._waiting.answer(self._reset, Trigger.Request(), PATIENCE)
        if answer is None:
            raise RewardRefused(f"{self.name} did not answer a reset within {PATIENCE:g} s.")
        if not answer.success:
            raise RewardRefused(answer.message)
        return answer.message
