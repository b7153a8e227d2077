"""Starts reward_node beside a robot's drivers and brings it up.

ros2 launch topreward_ros reward.launch.py rig:=so101 instruction:="put the cube on the disc"
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

CONFIG = Path(get_package_share_directory("topreward_ros")) / "config"

# Passed on as parameters of reward_node when they are given.
OVERRIDES = {
    "model": "Hub id, checkpoint directory or demo.",
    "instruction": "The task in words; without one the node waits for the topic task_instruction.",
    "device": "auto, cpu, cuda or cuda:<number>.",
    "quantization": "none, int8 or nf4.",
}

ARGUMENTS = [
    DeclareLaunchArgument(
        "rig", default_value="", description="A name in config/rigs, or a parameter file."
    ),
    DeclareLaunchArgument(
        "params_file", default_value="", description="Parameter file on top of the rig's."
    ),
    *(
        DeclareLaunchArgument(
            name, default_value="", description=f"{text} Default: as in the files."
        )
        for name, text in OVERRIDES.items()
    ),
    DeclareLaunchArgument(
        "autostart",
        default_value="true",
        choices=["true", "false"],
        description="Configure and activate the node; false: wait for lifecycle services.",
    ),
    DeclareLaunchArgument("namespace", default_value="topreward", description="Of the nodes."),
    DeclareLaunchArgument(
        "use_sim_time", default_value="false", choices=["true", "false"], description="Use /clock."
    ),
    DeclareLaunchArgument(
        "respawn",
        default_value="false",
        choices=["true", "false"],
        description="Start a node that died again.",
    ),
    DeclareLaunchArgument(
        "log_level", default_value="info", description="debug, info, warn, error or fatal."
    ),
]


def rig_file(rig: str) -> Path:
    """Returns the parameter file of a rig; ValueError names the rigs there are."""
    known = {path.stem: path for path in sorted(CONFIG.glob("rigs/*.yaml"))}
    path = known.get(rig, Path(rig).expanduser())
    if not path.is_file():
        names = ", ".join(known) or "none comes with the package"
        raise ValueError(f"rig is {rig!r}; expected a parameter file or a known rig ({names}).")
    return path


def parameter_files(context: LaunchContext) -> list[str]:
    """Returns the parameter files, the later ones overriding: defaults, the rig's, the user's."""
    rig = context.launch_configurations["rig"]
    files = [CONFIG / "reward.yaml", *([rig_file(rig)] if rig else [])]
    own = context.launch_configurations["params_file"]
    if own and not Path(own).is_file():
        raise ValueError(f"params_file is {own!r}; expected a parameter file.")
    return [str(path) for path in [*files, *([Path(own)] if own else [])]]


def nodes(context: LaunchContext) -> list[Node]:
    """Returns the nodes, with the values that the launch arguments have by now."""
    given = context.launch_configurations
    files = parameter_files(context)

    def node(executable: str, **parameters: Any) -> Node:
        return Node(
            package="topreward_ros",
            executable=executable,
            namespace=given["namespace"],
            name=executable,
            parameters=[*files, {"use_sim_time": given["use_sim_time"] == "true", **parameters}],
            arguments=["--ros-args", "--log-level", LaunchConfiguration("log_level")],
            respawn=given["respawn"] == "true",
            respawn_delay=2.0,
            output="screen",
            emulate_tty=True,
        )

    overrides = {
        name: ParameterValue(given[name], value_type=str) for name in OVERRIDES if given[name]
    }
    return [node("reward_node", **overrides, autostart=given["autostart"] == "true")]


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments and the nodes."""
    return LaunchDescription([*ARGUMENTS, OpaqueFunction(function=nodes)])
