"""What is told of statements: a failure that holds, and a stage that holds out of its turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.reward.episode_setup import asked_statements
from topreward_ros.nodes.reward.parameters import RewardParameters

if TYPE_CHECKING:
    from topreward_ros.episode import Reading
    from topreward_ros.method.statement_states import StatementState
    from topreward_ros.nodes.reward.live_episode import Equipment, LiveEpisode


class StatementEvents:
    """Tells each once in an episode and task."""

    def __init__(self, tell: Callable[[str, str, str], None], log: RcutilsLogger) -> None:
        """Has introduced none; what was told of an episode is noted there.

        Args:
            tell: publishes an event: which, its reason, and one sentence.
            log: for people.
        """
        self._publish = tell
        self._log = log
        self._remarks: tuple[str, ...] = ()

    def introduce(self, parameters: RewardParameters, equipment: Equipment) -> None:
        """Says what is to be known of the statements; once, as long as it stays the same."""
        _, remarks = asked_statements(parameters, equipment.scorer, equipment.calibration)
        if remarks != self._remarks:
            for remark in remarks:
                self._log.warning(remark)
        self._remarks = remarks

    def take(self, episode: LiveEpisode, reading: Reading) -> None:
        """Takes in what a reading says of the statements."""
        states, task = reading.statements, reading.instruction
        failed = states.failed
        for state in states.each:
            if state.held and episode.told_first("held", task, state.statement.name):
                self._log.info(f"At {reading.episode_time:.1f} s: {_held(state)}")
        if failed and episode.told_first("failed", task, failed.statement.name):
            # Never over: what has gone wrong once has gone wrong.
            self._publish(EpisodeEvent.FAULT, EpisodeEvent.REASON_FAILURE, _held(failed))
        for name in states.early:
            if episode.told_first("early", task, name):
                detail = (
                    f"The stage {name!r} has held before {states.stage!r}; the order is kept, and "
                    f"{states.stage!r} is the running one."
                )
                self._log.warning(detail)
                self._publish(EpisodeEvent.STAGE, "", detail)


def _held(state: StatementState) -> str:
    statement = state.statement
    return (
        f'The {statement.role.value} {statement.name!r} holds, "{statement.text}": its score '
        f"{state.score:.2f} nat stayed above {state.threshold:.2f}."
    )
