"""A lifecycle node that no request can kill and that answers while a transition takes its time.

rclpy 7's own lifecycle node raises out of `spin()` on an illegal transition, swallows exceptions of
transition callbacks, and answers nothing while one of them runs. Here the transitions are
coroutines on the executor: loading a model may take minutes, `get_state` still answers at once.
Transitions and states are those of `lifecycle_msgs`, https://design.ros2.org/articles/node_lifecycle.html.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.lifecycle import LifecycleNodeMixin, TransitionCallbackReturn

from topreward_ros.nodes.printable_node import PrintableNode

SHUTDOWN = "shutdown"


class TransitionRefused(RuntimeError):
    """A transition that cannot be made now; the sentence says why. The node stays where it was."""


@dataclass(frozen=True)
class Change:
    """How a request for a transition ended.

    Attributes:
        done: whether the node is in the state that was asked for.
        message: one sentence.
    """

    done: bool
    message: str


class GuardedLifecycleNode(LifecycleNodeMixin, PrintableNode):
    """Base of nodes whose transitions take time or fail.

    Override `configure`, `activate`, `deactivate`, `cleanup` (coroutines), `finish` and `recover`.
    A hook that raises `TransitionRefused` leaves the state as it was; any other exception calls
    `recover` and leads to `unconfigured`.
    """

    def __init__(self, name: str, **options: object) -> None:
        """Creates the node in state `unconfigured`.

        Args:
            name: of the node.
            options: as `rclpy.node.Node` takes them.
        """
        PrintableNode.__init__(self, name, **options)
        self.reentrant = ReentrantCallbackGroup()
        """For callbacks that await: others go on meanwhile."""
        LifecycleNodeMixin.__init__(self, callback_group=self.reentrant)
        self._service_change_state.callback = self._serve_change_state
        self._running: str | None = None
        self.failure = ""
        """Why the last transition that was tried did not succeed; empty when it did."""

    @property
    def state(self) -> str:
        """Label of the current state: `unconfigured`, `inactive`, `active`, `configuring`, …."""
        return self._state_machine.current_state[1]

    async def configure(self) -> None:
        """Leads from `unconfigured` to `inactive`."""

    async def activate(self) -> None:
        """Leads from `inactive` to `active`."""

    async def deactivate(self) -> None:
        """Leads from `active` to `inactive`."""

    async def cleanup(self) -> None:
        """Leads from `inactive` to `unconfigured`."""

    def finish(self) -> None:
        """Leads to `finalized`, from wherever the node is; must not wait."""

    def recover(self) -> None:
        """Gives everything back after a hook failed; must not wait."""

    async def change_state(self, transition: str) -> Change:
        """Makes a transition.

        Args:
            transition: `configure`, `activate`, `deactivate`, `cleanup` or `shutdown`.
        """
        refusal = self._refusal(transition)
        if refusal:
            self.get_logger().warning(refusal)
            return Change(False, refusal)
        if transition == SHUTDOWN:
            return self._shut_down()
        hook = {
            "configure": self.configure,
            "activate": self.activate,
            "deactivate": self.deactivate,
            "cleanup": self.cleanup,
        }[transition]
        self._running = transition
        try:
            self._state_machine.trigger_transition_by_label(transition, True)
            return self._conclude(transition, await _outcome(hook()))
        finally:
            self._running = None

    def close(self) -> None:
        """Shuts the node down as a transition would, and destroys it."""
        if self._running is None and self._possible(SHUTDOWN):
            self._shut_down()
        else:
            self._guard(self.finish)
        self.destroy_node()

    def _refusal(self, transition: str) -> str | None:
        if self._running:
            return f"Cannot {transition}: the transition {self._running} is still under way."
        if self._possible(transition):
            return None
        possible = sorted(label for _, label, *_ in self._state_machine.available_transitions)
        return f"Cannot {transition}: the node is {self.state}; " + (
            f"possible: {', '.join(possible)}." if possible else "its life is over."
        )

    def _possible(self, transition: str) -> bool:
        return any(
            label == transition for _, label, *_ in self._state_machine.available_transitions
        )

    def _shut_down(self) -> Change:
        self._state_machine.trigger_transition_by_label(SHUTDOWN, True)
        self._guard(self.finish)
        self._settle(TransitionCallbackReturn.SUCCESS)
        return Change(True, "The node is shut down.")

    def _conclude(self, transition: str, error: Exception | None) -> Change:
        self.failure = ""
        if error is None:
            self._settle(TransitionCallbackReturn.SUCCESS)
            return Change(True, f"The node is {self.state}.")
        if isinstance(error, TransitionRefused):
            self._settle(TransitionCallbackReturn.FAILURE)
            message = f"Cannot {transition}: {error} The node stays {self.state}."
            self.failure = message
            self.get_logger().error(message)
            return Change(False, message)
        self._settle(TransitionCallbackReturn.ERROR)
        self._guard(self.recover)
        self._settle(TransitionCallbackReturn.SUCCESS)
        message = f"The transition {transition} failed ({error!r}); the node is {self.state}."
        self.failure = message
        self.get_logger().error(f"{message}\n{_trace(error)}")
        return Change(False, message)

    def _settle(self, result: TransitionCallbackReturn) -> None:
        self._state_machine.trigger_transition_by_label(result.to_label(), True)

    def _guard(self, hook: object) -> None:
        try:
            hook()
        except Exception as error:
            self.get_logger().error(f"{hook.__name__} failed: {error!r}\n{_trace(error)}")

    async def _serve_change_state(
        self, request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        # A label rules over the number, as in rclpy; `shutdown` has a number in each state.
        label = request.transition.label or next(
            (
                label
                for number, label, *_ in self._state_machine.available_transitions
                if number == request.transition.id
            ),
            NAMES.get(request.transition.id, f"transition {request.transition.id}"),
        )
        response.success = (await self.change_state(label)).done
        return response


NAMES = {
    ChangeState.Request().transition.TRANSITION_CONFIGURE: "configure",
    ChangeState.Request().transition.TRANSITION_CLEANUP: "cleanup",
    ChangeState.Request().transition.TRANSITION_ACTIVATE: "activate",
    ChangeState.Request().transition.TRANSITION_DEACTIVATE: "deactivate",
    ChangeState.Request().transition.TRANSITION_UNCONFIGURED_SHUTDOWN: SHUTDOWN,
    ChangeState.Request().transition.TRANSITION_INACTIVE_SHUTDOWN: SHUTDOWN,
    ChangeState.Request().transition.TRANSITION_ACTIVE_SHUTDOWN: SHUTDOWN,
}


async def _outcome(hook: object) -> Exception | None:
    try:
        await hook
    except Exception as error:
        return error
    return None


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))
