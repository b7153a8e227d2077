"""The services `~/start_episode`, `~/stop_episode` and `~/reset`."""

from __future__ import annotations

from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from std_srvs.srv import Trigger

from topreward_msgs.msg import EpisodeEvent
from topreward_msgs.srv import StartEpisode, StopEpisode
from topreward_ros.nodes.manager.control import EpisodeControl
from topreward_ros.nodes.manager.managed_episode import EpisodeRequest, ManagedEpisode
from topreward_ros.nodes.manager.start import StartRefused

OUTCOMES = (
    EpisodeEvent.OUTCOME_UNLABELLED,
    EpisodeEvent.OUTCOME_SUCCESS,
    EpisodeEvent.OUTCOME_FAILURE,
)


class EpisodeServices:
    """Serves them on a node."""

    def __init__(self, node: Node, control: EpisodeControl, group: CallbackGroup) -> None:
        """Offers the services.

        Args:
            node: offers them.
            control: runs the episodes.
            group: of the callbacks; reentrant.
        """
        self._log = node.get_logger()
        self._control = control
        serve = {
            "~/start_episode": (StartEpisode, self._on_start),
            "~/stop_episode": (StopEpisode, self._on_stop),
            "~/reset": (Trigger, self._on_reset),
        }
        for name, (kind, callback) in serve.items():
            node.create_service(kind, name, callback, callback_group=group)

    async def _on_start(
        self, request: StartEpisode.Request, response: StartEpisode.Response
    ) -> StartEpisode.Response:
        try:
            asked = EpisodeRequest.of(request)
            episode = await self._control.start(asked, EpisodeEvent.REASON_RESET)
        except (ValueError, StartRefused) as error:
            response.message = str(error)
            self._log.error(f"No episode: {error}")
            return response
        response.success = True
        response.episode_id = episode.episode_id
        response.message = f"Episode {episode.episode_id} has started."
        return response

    async def _on_stop(
        self, request: StopEpisode.Request, response: StopEpisode.Response
    ) -> StopEpisode.Response:
        if request.outcome and request.outcome not in OUTCOMES:
            response.message = (
                f"outcome is {request.outcome!r}; expected one of {', '.join(OUTCOMES)}, or none."
            )
            return response
        if self._control.current is None:
            response.message = "No episode runs."
            return response
        episode = self._control.end(
            EpisodeEvent.REASON_STOPPED,
            _detail(request, self._control.current),
            outcome=request.outcome,
            run_actions=request.run_stop_actions,
        )
        await episode.finished
        return _stopped(episode, response)

    async def _on_reset(self, _: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        former = self._control.current
        request = former.request if former is not None else EpisodeRequest()
        try:
            episode = await self._control.start(request, EpisodeEvent.REASON_RESET)
        except StartRefused as error:
            response.message = str(error)
            return response
        response.success = True
        response.message = f"Episode {episode.episode_id} has started."
        return response


def _detail(request: StopEpisode.Request, episode: ManagedEpisode) -> str:
    """Returns who says what: ROS tells a node nothing of the caller, and no model said it."""
    asked = "Somebody asked for the stop"
    if request.outcome in ("", EpisodeEvent.OUTCOME_UNLABELLED):
        return request.detail or f"{asked}."
    last = episode.last
    claimed = "success" if last is not None and last.success_holds else "no success"
    said = f"{asked} and called the episode a {request.outcome}; the model had claimed {claimed}."
    return f"{said} {request.detail}".strip()


def _stopped(episode: ManagedEpisode, response: StopEpisode.Response) -> StopEpisode.Response:
    failed = [result.name for result in episode.stop_results if not result.done]
    response.success = not failed
    response.episode_id = episode.episode_id
    response.message = f"Episode {episode.episode_id} has ended."
    if failed:
        response.message += f" NOT STOPPED: {', '.join(failed)}."
    return response
