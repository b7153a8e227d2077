"""Plays a recorded episode on its camera topic for reward_node with the demo model.

ros2 launch topreward_ros demo.launch.py episode:=failure

After the last picture the episode ends, and reward_node stays until Ctrl-C, so that RViz or
PlotJuggler can look on. The live view, the film and the plot come with
`ros2 run topreward_ros demo` or `make demo`.
"""

from __future__ import annotations

from launch import Action, LaunchContext, LaunchDescription
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    OpaqueFunction,
    RegisterEventHandler,
    TimerAction,
)
from launch.event_handlers import OnProcessExit
from launch.events import matches_action
from launch_ros.actions import LifecycleNode, Node
from launch_ros.event_handlers import OnStateTransition
from launch_ros.events.lifecycle import ChangeState
from launch_ros.parameter_descriptions import ParameterValue
from lifecycle_msgs.msg import Transition

from topreward_ros.nodes.running.demo_episode import choose_episode, model_environment

LAST_READING = 3.0
"""s that the last pictures get to be scored."""
ARGUMENTS = [
    DeclareLaunchArgument(
        "episode", default_value="success", description="success, failure, a bag or a video file."
    ),
    DeclareLaunchArgument(
        "instruction", default_value="", description="Default: what the episode was recorded for."
    ),
    DeclareLaunchArgument(
        "model", default_value="demo", description="demo, a hub id or a checkpoint directory."
    ),
    DeclareLaunchArgument(
        "rate", default_value="1.0", description="Seconds of the episode per second."
    ),
]


def nodes(context: LaunchContext) -> list[Action]:
    """Returns reward_node, and what starts replay_node once that is active."""
    given = context.launch_configurations
    episode = choose_episode(given["episode"], instruction=given["instruction"])
    reward = {
        "model": ParameterValue(given["model"], value_type=str),
        "instruction": ParameterValue(episode.instruction, value_type=str),
        "cameras": [episode.topic],
        "autostart": True,
        # The replay has yet to start when the first picture is awaited.
        "camera_timeout": 10.0,
        **episode.reception(),
    }
    replay = {
        "path": ParameterValue(str(episode.path), value_type=str),
        "topics": [episode.recorded_topic],
        "rate": float(given["rate"]),
        "quality": episode.quality,
        "wait_for_subscribers": 1,
    }
    common = {"package": "topreward_ros", "namespace": "topreward", "output": "screen"}
    watching = LifecycleNode(
        executable="reward_node",
        name="reward_node",
        parameters=[reward],
        additional_env=model_environment(given["model"]),
        **common,
    )
    playing = Node(executable="replay_node", name="replay_node", parameters=[replay], **common)
    # The model takes its time to load, and pictures before that would be lost.
    ready = OnStateTransition(
        target_lifecycle_node=watching, goal_state="active", entities=[playing]
    )
    # A recording that has ended is no lost camera.
    end = EmitEvent(
        event=ChangeState(
            lifecycle_node_matcher=matches_action(watching),
            transition_id=Transition.TRANSITION_DEACTIVATE,
        )
    )
    ended = OnProcessExit(
        target_action=playing, on_exit=[TimerAction(period=LAST_READING, actions=[end])]
    )
    return [RegisterEventHandler(ready), RegisterEventHandler(ended), watching]


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments and the nodes."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes)])
