"""The node that runs episodes: it brings the reward node up, starts, watches and ends them.

Every callback runs on one executor thread, and none of them waits: what takes time is a coroutine.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import rclpy
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.node import Node
from rclpy.qos import QoSProfile

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.manager.action import EpisodeAction
from topreward_ros.nodes.manager.control import EpisodeControl
from topreward_ros.nodes.manager.cut_off_endings import CutOffEndings
from topreward_ros.nodes.manager.ending import EpisodeEnding
from topreward_ros.nodes.manager.hearing import RewardHearing
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.owed_stops import OwedStops, owed_path
from topreward_ros.nodes.manager.parameters import ManagerSettings
from topreward_ros.nodes.manager.reward_client import RewardClient
from topreward_ros.nodes.manager.reward_events import HISTORY_PATIENCE, RewardEvents
from topreward_ros.nodes.manager.reward_keeper import RewardKeeper
from topreward_ros.nodes.manager.services import EpisodeServices
from topreward_ros.nodes.manager.start import EpisodeStarter
from topreward_ros.nodes.manager.stop_actions import StopActions
from topreward_ros.nodes.manager.strangers import Strangers
from topreward_ros.nodes.name_claim import NameClaim
from topreward_ros.nodes.parameters import ParameterError
from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.spinning import run_node
from topreward_ros.nodes.waiting import SHORTEST, Waiting
from topreward_ros.printable import printable

WATCH_PERIOD = 0.05
"""s between looks at the running episode's limits."""
STRANGER_PERIOD = 0.5
"""s between looks for others that publish on the reward node's topics."""
REPORT_PERIOD = 1.0
"""s between diagnostics."""
SPOKEN = ("reading", "event", "transition_event")
"""Topics below the reward node on which nobody else may speak."""
END_PATIENCE = 4.0
"""s that stop actions get when the manager is asked to stop; launch loses patience after 5."""
RESULT_PAUSE = 0.05
"""s in which a goal's result leaves before the node goes."""


class EpisodeManager(PrintableNode):
    """Node `episode_manager`.

    Attributes:
        control: runs the episodes.
        client: asks the reward node.
        actions: that stop the robot.
    """

    def __init__(self, **options: Any) -> None:
        """Creates the node; it begins as soon as an executor runs it.

        Args:
            options: as `rclpy.node.Node` takes them.

        Raises:
            ParameterError: a parameter has a value that is not allowed.
        """
        super().__init__("episode_manager", **{"namespace": "topreward", **options})
        self._group = ReentrantCallbackGroup()
        self._waiting = Waiting(self)
        self._settings = ManagerSettings(self)
        parameters = self._settings.read()
        self._outputs = ManagerOutputs(self, self._waiting)
        self.actions = StopActions(
            self,
            self._settings.actions,
            waiting=self._waiting,
            group=self._group,
            allow_emergency_stop=parameters.allow_emergency_stop,
        )
        self.client = RewardClient(
            self,
            parameters.reward_node,
            waiting=self._waiting,
            group=self._group,
            changed=lambda state: self.get_logger().debug(f"The reward node is {state}."),
        )
        self._topics = [f"{self.client.name}/{one}" for one in SPOKEN]
        self._strangers = Strangers(self, self.client.name, self._topics, self._waiting.now)
        self._events = RewardEvents(
            self, f"{self.client.name}/event", waiting=self._waiting, group=self._group
        )
        common = {"waiting": self._waiting, "read": self._settings.read}
        starter = EpisodeStarter(self.client, self._events, **common)
        log = self.get_logger()
        owed = OwedStops(owed_path(self.get_fully_qualified_name()))
        ending = EpisodeEnding(self.client, self._outputs, owed, waiting=self._waiting, log=log)
        self._cut_off = CutOffEndings(owed, ending, self.actions, self._outputs, **common)
        self._name = NameClaim(self, self._tell_of_namesake)
        self.control = EpisodeControl(starter, ending, self._outputs, self.actions, **common)
        self._hearing = RewardHearing(
            self.control, self.client, starter, self._outputs, log=log, **common
        )
        self.control.catch_up = self._hearing.catch_up
        self._keeper = RewardKeeper(self.client, self, log=log, **common)
        starter.revive = self._keeper.retry
        starter.suspicion = self._look_for_strangers
        self._add_timers()

    def serve(self) -> None:
        """Listens to the reward node, and offers the action and the services."""
        self._listen()
        common = {"waiting": self._waiting, "read": self._settings.read}
        self._episode_action = EpisodeAction(self, self.control, group=self._group, **common)
        self._episode_services = EpisodeServices(self, self.control, self._group)

    def trouble(self, event: str, reason: str, detail: str) -> None:
        """Publishes a FAULT of the reward node, or that it is over."""
        self._outputs.fault = detail if event == EpisodeEvent.FAULT else ""
        self._outputs.trouble(self.control.current, event, reason, detail)

    def running(self) -> str:
        """Returns the id of the running episode, empty if none runs."""
        return self.control.current.episode_id if self.control.current else ""

    def cut_off(self, reason: str, detail: str) -> None:
        """Ends the running episode, because nothing scores it any more."""
        if self.control.current is not None:
            self.control.end(reason, detail)

    async def finish(self) -> None:
        """Ends what runs and what starts before the node goes, and waits for what follows."""
        await self.control.close(END_PATIENCE)
        await self._waiting.pause(RESULT_PAUSE)  # the goal's result leaves
        self._outputs.flush()

    def _listen(self) -> None:
        reading, event, *_ = self._topics

        def on_reading(message: RewardStamped) -> None:
            if self._believes(reading):
                self._hearing.on_reading(message)

        def on_event(message: EpisodeEvent) -> None:
            if self._believes(event):
                self._hearing.on_event(message)

        self.create_subscription(
            RewardStamped, reading, on_reading, QoSProfile(depth=100), callback_group=self._group
        )
        self._events.listen(on_event, self._look_back)

    def _believes(self, topic: str) -> bool:
        """Whether what has just come on a topic is the reward node's; else says why not."""
        believed = self._strangers.believed(topic)
        if not believed:
            self._look_for_strangers()
        return believed

    def _look_for_strangers(self) -> str:
        """Tells, once, of those who speak in the reward node's place; returns the sentence."""
        former, now = self._strangers.told, self._strangers.look()
        if now == former:
            return now
        self._outputs.suspicion = now
        event = EpisodeEvent.FAULT if now else EpisodeEvent.RECOVERED
        detail = now or f"{self.client.name} is alone on its topics again."
        self._outputs.trouble(self.control.current, event, EpisodeEvent.REASON_MODEL_ERROR, detail)
        if now:
            self.cut_off(EpisodeEvent.REASON_MODEL_ERROR, now)
        return now

    def _tell_of_namesake(self, detail: str) -> None:
        self._outputs.trouble(self.control.current, EpisodeEvent.FAULT, "", detail)

    def _add_timers(self) -> None:
        def every(period: float, act: Any) -> Any:
            return self.create_timer(
                period, act, callback_group=self._group, clock=self._waiting.clock
            )

        every(WATCH_PERIOD, self.control.watch)
        every(STRANGER_PERIOD, self._look_for_strangers)
        every(REPORT_PERIOD, self._report)
        self._begin = every(SHORTEST, self._on_begin)

    def _on_begin(self) -> None:
        self.destroy_timer(self._begin)
        # A robot that is owed a stop does not wait for the name.
        self._settled = self._waiting.start(self._cut_off.settle())
        self._waiting.start(self._serve_once_named())
        self._waiting.start(self._keeper.watch())

    async def _serve_once_named(self) -> None:
        await self._name.held  # two of one name would both act
        self.serve()

    def _report(self) -> None:
        self._outputs.report(self.client.state, self.control.current)

    async def _look_back(self, events: Sequence[EpisodeEvent]) -> None:
        """Takes an episode over that ran before the manager heard of it."""
        await self._settled  # what the last process has ended may still be scored
        if self.control.busy or not self.control.adopts or self._look_for_strangers():
            return
        if await self.client.lifecycle.ask(HISTORY_PATIENCE) == "active" and not self.control.busy:
            self._hearing.take_over(events, self._age(events[0]))

    def _age(self, event: EpisodeEvent) -> float:
        """Returns s since the start of an event's episode, as far as two clocks agree."""
        stamp = event.header.stamp
        now = self.get_clock().now().nanoseconds * 1e-9
        return now - (stamp.sec + stamp.nanosec * 1e-9) + event.duration


def main(arguments: list[str] | None = None) -> int:
    """Runs the node until SIGINT or SIGTERM.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        The exit code: 0 after a signal, 1 with one sentence where it cannot start or go on.
    """
    try:
        return run_node(EpisodeManager, Node.destroy_node, arguments, EpisodeManager.finish)
    except ParameterError as error:
        print(printable(f"episode_manager: {error}"), file=sys.stderr)
        return 1
    finally:
        rclpy.try_shutdown()


if __name__ == "__main__":
    sys.exit(main())
