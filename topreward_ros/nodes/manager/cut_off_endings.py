"""Carries out what followed an episode's end when the manager was killed, before anything starts.

The robot may still run: its stop actions run now, each is told, and no episode starts before. What
is older than `owed_patience` is told and not run: somebody may have the robot in hand by now.
"""

from __future__ import annotations

from collections.abc import Callable

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.manager.ending import EpisodeEnding
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager.outputs import ManagerOutputs
from topreward_ros.nodes.manager.owed_stops import OwedStop, OwedStops, ago
from topreward_ros.nodes.manager.parameters import ManagerParameters
from topreward_ros.nodes.manager.stop_actions import StopActions, StopResult
from topreward_ros.nodes.waiting import Waiting

HEARD = 1.0
"""s in which a manager of the same name, whose work it is then, is heard."""


class CutOffEndings:
    """The ends that an earlier process has left."""

    def __init__(
        self,
        owed: OwedStops,
        ending: EpisodeEnding,
        actions: StopActions,
        outputs: ManagerOutputs,
        *,
        waiting: Waiting,
        read: Callable[[], ManagerParameters],
    ) -> None:
        """Holds back what would start, until `settle`.

        Args:
            owed: what is owed.
            ending: of episodes.
            actions: that stop the robot.
            outputs: told.
            waiting: waits.
            read: returns the parameters of now.
        """
        self._owed = owed
        self._ending = ending
        self._actions = actions
        self._outputs = outputs
        self._waiting = waiting
        self._read = read
        self._cut_off = [(stop, _episode(stop, waiting.now())) for stop in owed.former]
        for stop, episode in self._cut_off:
            ending.hold(episode, stop.deactivate)

    async def settle(self) -> None:
        """Runs or reports all of it, the oldest end first."""
        if self._cut_off:
            await self._waiting.pause(HEARD)
        if self._owed.problem:
            self._fault(None, self._owed.problem)
        for stop, episode in self._cut_off:
            recent = stop.age <= self._read().owed_patience
            self._fault(episode, _sentence(stop, recent))
            due = []
            for name in stop.actions:
                action = self._actions.named(name)
                if recent and action is not None:
                    due.append(action)
                else:
                    self._leave(stop, episode, name, known=action is not None)
            await self._ending.carry_out(episode, due, stop.deactivate)

    def _leave(self, stop: OwedStop, episode: ManagedEpisode, name: str, known: bool) -> None:
        why = (
            f"the episode ended {ago(stop.age)}, longer than owed_patience"
            if known
            else "no stop action has this name any more"
        )
        detail = f"{name} was cut off and is NOT run: {why}."
        self._owed.done(stop.episode_id, name)
        self._outputs.stop_action(episode, StopResult(name, False, detail))

    def _fault(self, episode: ManagedEpisode | None, detail: str) -> None:
        reason = "" if episode is None else episode.reason
        self._outputs.trouble(episode, EpisodeEvent.FAULT, reason, detail)


def _sentence(stop: OwedStop, recent: bool) -> str:
    what = ", ".join(stop.actions) or "the deactivation of the reward node"
    follows = "That is carried out now." if recent else "Look whether the robot has stopped."
    return (
        f"The last process of this manager went while it ended episode {stop.episode_id} "
        f"({stop.reason}, {ago(stop.age)}): {what} was cut off. {follows}"
    )


def _episode(stop: OwedStop, now: float) -> ManagedEpisode:
    episode = ManagedEpisode(
        stop.episode_id,
        stop.instruction,
        EpisodeRequest(),
        time_limit=0.0,
        min_duration=0.0,
        started=now,
        asked=True,
        watched=now,
    )
    episode.end(stop.reason, "", now, stop.outcome)
    return episode
