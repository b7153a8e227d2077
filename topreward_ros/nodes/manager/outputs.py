"""What `episode_manager` publishes: events, the flags of an end, diagnostics."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.node import Node
from std_msgs.msg import Bool

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.diagnostics import diagnostic_array, diagnostic_status
from topreward_ros.nodes.manager.managed_episode import BLIND, ManagedEpisode
from topreward_ros.nodes.manager.stop_actions import StopResult
from topreward_ros.nodes.messages import ACKNOWLEDGED, ending, event_message, latched
from topreward_ros.nodes.waiting import Waiting

KEPT_EVENTS = 100
"""Events that a late subscriber still gets."""
OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR


class ManagerOutputs:
    """The topics ~/episode_event, ~/episode_done, ~/episode_truncated and /diagnostics.

    Attributes:
        fault: what is wrong with the reward node; empty if nothing.
        suspicion: who else speaks on the reward node's topics; empty if nobody.
        unstopped: by stop action, how it failed; until it succeeds.
    """

    def __init__(self, node: Node, waiting: Waiting) -> None:
        """Advertises them."""
        self.fault = self.suspicion = ""
        self.unstopped: dict[str, str] = {}
        self._node = node
        self._waiting = waiting
        self._event = node.create_publisher(EpisodeEvent, "~/episode_event", latched(KEPT_EVENTS))
        self._done = node.create_publisher(Bool, "~/episode_done", latched())
        self._truncated = node.create_publisher(Bool, "~/episode_truncated", latched())
        self._diagnostics = node.create_publisher(DiagnosticArray, "/diagnostics", 10)

    def started(self, episode: ManagedEpisode, event: str, detail: str) -> None:
        """Tells that an episode runs: newly started, or taken over by a manager that came later."""
        self._log(f"Episode {episode.episode_id}: {detail}")
        self._publish(episode, event, detail)
        self._tell(done=False, truncated=False)

    def stopped(self, episode: ManagedEpisode) -> None:
        """Tells that an episode has ended."""
        event = self._publish(episode, EpisodeEvent.STOPPED)
        self._log(
            f"Episode {episode.episode_id} has ended after {episode.duration:.1f} s: "
            f"{ending(event)}. {episode.detail}"
        )
        self._tell(done=True, truncated=episode.truncated)

    def stop_action(self, episode: ManagedEpisode, result: StopResult) -> None:
        """Tells how a stop action ended; loudly when it did not stop anything."""
        if result.done:
            self.unstopped.pop(result.name, None)
            self._log(result.detail)
        else:
            self.unstopped[result.name] = f"Episode {episode.episode_id}: {result.detail}"
            self._node.get_logger().error(
                f"NOT STOPPED: {result.detail} Episode {episode.episode_id} has ended "
                f"({episode.reason}), and what this action should stop may still run."
            )
        self._publish(episode, EpisodeEvent.STOP_ACTION, result.detail)
        if not result.done:
            self.report("", None)

    def trouble(self, episode: ManagedEpisode | None, event: str, reason: str, detail: str) -> None:
        """Tells of a fault, or that one is over.

        Args:
            episode: the running one.
            event: `EpisodeEvent.FAULT`, `RECOVERED`, `CHANGED` or `STAGE`.
            reason: for which an episode would end by it.
            detail: one sentence.
        """
        warn = self._node.get_logger().warning if event == EpisodeEvent.FAULT else self._log
        warn(detail)
        if episode is not None:
            self._publish(episode, event, detail, reason)
            return
        stamp = self._node.get_clock().now().to_msg()
        self._event.publish(
            event_message(
                event, stamp=stamp, episode_id="", instruction="", reason=reason, detail=detail
            )
        )

    def report(self, state: str, episode: ManagedEpisode | None) -> None:
        """Publishes diagnostics.

        Args:
            state: of the reward node; empty: only the stop actions are reported.
            episode: the running one.
        """
        statuses = [self._stop_status()]
        name = self._node.get_fully_qualified_name().lstrip("/")
        if state:
            fault = self.suspicion or self.fault
            level = ERROR if fault else OK if state in ("inactive", "active") else WARN
            text = fault or f"The reward node is {state}."
            statuses.append(diagnostic_status(name, "reward node", level, text, {"state": state}))
            statuses.append(self._episode_status(name, episode))
        stamp = self._node.get_clock().now().to_msg()
        self._diagnostics.publish(diagnostic_array(stamp, statuses))

    def flush(self) -> None:
        """Waits a moment until the last event has arrived."""
        self._event.wait_for_all_acked(ACKNOWLEDGED)

    def _stop_status(self) -> DiagnosticStatus:
        name = self._node.get_fully_qualified_name().lstrip("/")
        level = ERROR if self.unstopped else OK
        text = "NOT STOPPED: " + ", ".join(self.unstopped) if self.unstopped else "As asked."
        return diagnostic_status(name, "stop actions", level, text, self.unstopped)

    def _episode_status(self, name: str, episode: ManagedEpisode | None) -> DiagnosticStatus:
        if episode is None:
            return diagnostic_status(name, "episode", OK, "No episode.", {})
        blind = [f"{n} camera(s) {BLIND[reason]}." for reason, n in episode.blind.items() if n]
        text = " ".join(blind) or "An episode runs."
        values = {
            "episode_id": episode.episode_id,
            "instruction": episode.instruction,
            "readings": str(episode.readings),
            "duration_s": f"{self._waiting.now() - episode.started:.1f}",
            "time_limit_s": f"{episode.time_limit:g}",
        }
        return diagnostic_status(name, "episode", WARN if blind else OK, text, values)

    def _publish(
        self, episode: ManagedEpisode, event: str, detail: str = "", reason: str = ""
    ) -> EpisodeEvent:
        stamp = self._node.get_clock().now().to_msg()
        message = episode.event(event, stamp, self._waiting.now(), detail)
        if reason:
            message.termination_reason = reason
        self._event.publish(message)
        return message

    def _tell(self, *, done: bool, truncated: bool) -> None:
        """Publishes both flags; the one that says more of an end first, for who acts on `done`."""
        self._truncated.publish(Bool(data=truncated))
        self._done.publish(Bool(data=done))

    def _log(self, text: str) -> None:
        self._node.get_logger().info(text)
