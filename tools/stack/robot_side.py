"""A stand-in for the robot: it takes the calls that end its episode, and asks for episodes."""

from __future__ import annotations

from typing import Any

from lifecycle_msgs.msg import State
from lifecycle_msgs.srv import GetState
from rclpy.action import ActionClient
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.subscription import Subscription
from rclpy.task import Future
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import String
from std_srvs.srv import SetBool, Trigger

from tools.stack.rig_file import COMPRESSED, Rig, call
from topreward_msgs.action import RunEpisode
from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import latched

QUEUE = 100


class RobotSide(Node):
    """The robot of a rig, and whoever runs episodes on it.

    Attributes:
        calls: what ended episodes, in order, as `rig_file.call` writes it.
        started: ids of the episodes that the manager has started.
        faults: what the manager has complained of, one sentence each.
        readings: by episode id, in order.
    """

    def __init__(self, rig: Rig, namespace: str) -> None:
        """Offers what the rig's stop actions call.

        Args:
            rig: whose.
            namespace: of the nodes.
        """
        super().__init__("robot_side")
        self.calls: list[str] = []
        self.started: list[str] = []
        self.faults: list[str] = []
        self.readings: dict[str, list[RewardStamped]] = {}
        for action in rig.stop_actions:
            self._offer(action.type, action.target)
        manager, reward = f"/{namespace}/episode_manager", f"/{namespace}/reward_node"
        self.run_episode = ActionClient(self, RunEpisode, f"{manager}/run_episode")
        self.state = self.create_client(GetState, f"{reward}/get_state")
        self.create_subscription(RewardStamped, f"{reward}/reading", self._on_reading, QUEUE)
        self.create_subscription(
            EpisodeEvent, f"{manager}/episode_event", self._on_event, latched(QUEUE)
        )

    def ask_state(self) -> Future:
        """Asks for the reward node's lifecycle state."""
        return self.state.call_async(GetState.Request())

    def see(self, topic: str) -> Subscription:
        """Subscribes a camera without looking at it; replay_node waits for that."""
        kind = CompressedImage if topic.endswith(COMPRESSED) else Image
        return self.create_subscription(kind, topic, lambda _: None, qos_profile_sensor_data)

    def _offer(self, kind: str, target: str) -> None:
        def note(said: str = "") -> None:
            self.calls.append(call(target, said))

        def serve(request: Any, response: Any) -> Any:
            note(str(request.data) if kind == "set_bool" else "")
            response.success = True
            return response

        if kind == "string":
            self.create_subscription(String, target, lambda message: note(message.data), QUEUE)
        else:
            self.create_service(SetBool if kind == "set_bool" else Trigger, target, serve)

    def _on_reading(self, reading: RewardStamped) -> None:
        self.readings.setdefault(reading.episode_id, []).append(reading)

    def _on_event(self, event: EpisodeEvent) -> None:
        if event.event == EpisodeEvent.STARTED:
            self.started.append(event.episode_id)
        elif event.event == EpisodeEvent.FAULT:
            self.faults.append(event.detail)


def is_loaded(answer: GetState.Response) -> bool:
    """Says whether the reward node has its model."""
    return answer.current_state.id in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE)
