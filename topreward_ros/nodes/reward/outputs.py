"""What `reward_node` publishes of its episodes."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from rclpy.node import Node
from std_msgs.msg import Bool, Float32, Float64

from topreward_msgs.msg import EpisodeEvent, RewardStamped, Statements
from topreward_ros.nodes.messages import ACKNOWLEDGED, event_message, latched, statements_message
from topreward_ros.nodes.reward.live_episode import LiveEpisode

if TYPE_CHECKING:
    from topreward_ros.method.statement_states import StatementStates


class Outputs:
    """The topics ~/reading, ~/progress, ~/reward, ~/success, ~/statements and ~/event."""

    def __init__(self, node: Node) -> None:
        """Advertises them."""
        self._clock = node.get_clock()
        self._log = node.get_logger()
        self._claimed = False
        self._reading = node.create_publisher(RewardStamped, "~/reading", 10)
        self._progress = node.create_publisher(Float32, "~/progress", 10)
        self._reward = node.create_publisher(Float64, "~/reward", 10)
        self._success = node.create_publisher(Bool, "~/success", latched())
        self._statements = node.create_publisher(Statements, "~/statements", 10)
        self._event = node.create_publisher(EpisodeEvent, "~/event", latched(10))

    def reading(self, reading: RewardStamped, statements: StatementStates) -> None:
        """Publishes a reading, its statements and its plain mirrors; says so when success comes."""
        self._reading.publish(reading)
        if statements.each:
            self._statements.publish(statements_message(statements, reading))
        self._progress.publish(Float32(data=reading.progress))
        self._reward.publish(Float64(data=reading.reward))
        self._success.publish(Bool(data=reading.success))
        if reading.success and not self._claimed:
            self._log.info(
                f'Success at {reading.episode_time:.1f} s of "{reading.instruction}": the score '
                f"{reading.success_score:.2f} nat stayed above {reading.success_threshold:.2f}."
            )
        self._claimed = reading.success

    def no_success(self) -> None:
        """Takes an earlier episode's success back."""
        self._claimed = False
        self._success.publish(Bool(data=False))

    def event(
        self,
        event: str,
        episode: LiveEpisode | None,
        instruction: str,
        reason: str = "",
        detail: str = "",
    ) -> None:
        """Publishes what happened.

        Args:
            event: `EpisodeEvent.STARTED`, `STOPPED`, `FAULT` or `RECOVERED`.
            episode: the running one, if there is one.
            instruction: the task.
            reason: `EpisodeEvent.REASON_*`; of a fault, what it is about.
            detail: one sentence for people.
        """
        started = episode.started if episode and event != EpisodeEvent.STARTED else None
        self._event.publish(
            event_message(
                event,
                stamp=self._clock.now().to_msg(),
                episode_id=episode.episode_id if episode else "",
                instruction=instruction,
                reason=reason,
                detail=detail,
                duration=0.0 if started is None else time.monotonic() - started,
                last=episode.last if episode else None,
            )
        )

    def flush(self) -> None:
        """Waits a moment until the last event has arrived."""
        self._event.wait_for_all_acked(ACKNOWLEDGED)
