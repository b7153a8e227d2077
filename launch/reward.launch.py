"""Starts reward_node beside a robot's drivers and brings it up; more by argument.

ros2 launch topreward_ros reward.launch.py rig:=so101 instruction:="fold the towel"

manager:=true runs episodes when they are asked for, and the rig's stop actions; overlay:=true and
rviz:=true show them, rerun:=true and foxglove:=true in a browser; rosetta:=true gives reward and
end of episode the names that rosetta reads.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import yaml
from ament_index_python import packages
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, LogInfo, OpaqueFunction
from launch.conditions import InvalidConditionExpressionError, evaluate_condition_expression
from launch.substitutions import TextSubstitution
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue

from topreward_ros.nodes.running.node_commands import ENCLAVES, package_directory
from topreward_ros.nodes.running.stack import (
    ONLY_WATCHES,
    ROSETTA,
    parameter_files,
    reach_lines,
)
from topreward_ros.small_files import load_yaml, read_small

# Passed on as parameters of reward_node when they are given.
OVERRIDES = {
    "model": "Hub id, checkpoint directory or demo.",
    "instruction": "The task in words; without one the node waits for the topic task_instruction.",
    "device": "auto, cpu, cuda or cuda:<number>.",
    "quantization": "none, int8 or nf4.",
}


# Each with its default.
SWITCHES = {
    "autostart": (
        "true",
        "Configure and activate reward_node, so that an episode begins at once; false: wait for "
        "lifecycle services. With manager:=true the manager does it for each episode.",
    ),
    "manager": ("false", "Start episode_manager: it runs episodes and the rig's stop actions."),
    "overlay": ("false", "Start overlay_node: the camera with progress, and markers."),
    "rviz": ("false", "Start RViz, with overlay_node."),
    "rerun": (
        "false",
        "Start rerun_node: episodes in Rerun, in a browser of this machine (its parameter show).",
    ),
    "foxglove": (
        "false",
        "Start foxglove_bridge where it is installed, with overlay_node; the layout is "
        "config/foxglove/topreward.json.",
    ),
    "rosetta": (
        "false",
        "Publish on /reward, /episode_done and /episode_truncated, as rosetta reads them.",
    ),
    "use_sim_time": ("false", "Use /clock."),
    "respawn": ("false", "Start a node that died again."),
}

VALUES = {
    "rig": ("", "A name in config/rigs, or a parameter file."),
    "params_file": ("", "Parameter file on top of the rig's."),
    "cameras": ("", "Image topics, as [/left/image, /right/image]. Default: as in the files."),
    "rviz_config": (
        "topreward",
        "topreward (stock displays), topreward_overlay (rviz_2d_overlay_plugins) or a file.",
    ),
    "foxglove_address": ("127.0.0.1", "On which foxglove_bridge listens, port 8765."),
    "namespace": ("topreward", "Of the nodes."),
    "log_level": ("info", "debug, info, warn, error or fatal."),
}

# What RViz shows, below the nodes' namespace.
SHOWN = ("overlay_node/overlay", "overlay_node/markers", "reward_node/progress")

ARGUMENTS = [
    *(
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in VALUES.items()
    ),
    *(
        DeclareLaunchArgument(
            name, default_value="", description=f"{text} Default: as in the files."
        )
        for name, text in OVERRIDES.items()
    ),
    *(
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in SWITCHES.items()
    ),
]


def reach(context: LaunchContext) -> list[LogInfo]:
    """Returns what is said of the parameter files: which section is for which node."""
    given = context.launch_configurations
    files = parameter_files(given["rig"], given["params_file"])
    return [LogInfo(msg=line) for line in reach_lines(files, given["namespace"])]


def nodes(context: LaunchContext) -> list[Node | LogInfo]:
    """Returns the nodes, with the values that the launch arguments have by now."""
    given = context.launch_configurations
    asked = {name: truth(name, given[name]) for name in SWITCHES}
    files = [str(path) for path in parameter_files(given["rig"], given["params_file"])]

    def node(executable: str, **parameters: Any) -> Node:
        return Node(
            package="topreward_ros",
            executable=executable,
            namespace=given["namespace"],
            name=executable,
            parameters=[*files, {"use_sim_time": asked["use_sim_time"], **parameters}],
            remappings=ROSETTA[executable] if asked["rosetta"] else [],
            arguments=[
                *("--ros-args", "--log-level", given["log_level"]),
                *("--enclave", f"{ENCLAVES}/{executable}"),
            ],
            respawn=asked["respawn"] and executable != ONLY_WATCHES,
            respawn_delay=2.0,
            output="screen",
            emulate_tty=sys.stdout.isatty(),  # colours are for a terminal, not for a file
        )

    overrides = {
        name: ParameterValue(given[name], value_type=str) for name in OVERRIDES if given[name]
    }
    if given["cameras"]:
        topics = yaml.safe_load(given["cameras"])
        overrides["cameras"] = topics if isinstance(topics, list) else [topics]
    # The manager brings the reward node up itself.
    overrides["autostart"] = asked["autostart"] and not asked["manager"]
    return [
        *([rviz(given, files)] if asked["rviz"] else []),
        node("reward_node", **overrides),
        *([node("episode_manager")] if asked["manager"] else []),
        *([node("overlay_node")] if any(map(asked.get, ("overlay", "rviz", "foxglove"))) else []),
        *([node("rerun_node")] if asked["rerun"] else []),
        *(foxglove(given) if asked["foxglove"] else []),
    ]


def truth(name: str, written: str) -> bool:
    """Returns a switch's value, written in any way that launch knows.

    Raises:
        ValueError: it is none.
    """
    try:
        return evaluate_condition_expression(LaunchContext(), [TextSubstitution(text=written)])
    except InvalidConditionExpressionError:
        raise ValueError(f"{name} is {written!r}; expected true or false.") from None


def rviz(given: dict[str, str], files: list[str]) -> Node:
    """Returns RViz with a file, or with a configuration of this package by its name.

    It looks from the frame in which the parameter files place the markers, at this namespace. It is
    never started again: who closes its window means it.

    Raises:
        RuntimeError: it is not installed.
        ValueError: there is no such file.
    """
    wanted, namespace = given["rviz_config"], given["namespace"]
    known = {path.stem: path for path in package_directory("config").glob("rviz/*.rviz")}
    path = known.get(wanted, Path(wanted).expanduser())
    if not path.is_file():
        raise ValueError(
            f"rviz_config is {wanted!r}; expected {', '.join(sorted(known))} or a file."
        )
    try:
        packages.get_package_prefix("rviz2")
    except packages.PackageNotFoundError:
        raise RuntimeError(
            "rviz2 is not installed here, and rviz:=true asks for it: apt install "
            f"ros-{os.environ.get('ROS_DISTRO', 'jazzy')}-rviz2, or leave rviz:=true out and watch "
            "from another machine, or with `ros2 run topreward_ros monitor`."
        ) from None
    frame: list[str] = []
    for file in files:
        section = (load_yaml(read_small(Path(file))) or {}).get("/**/overlay_node", {})
        if "frame_id" in section.get("ros__parameters", {}):
            frame = ["-f", section["ros__parameters"]["frame_id"]]
    return Node(
        package="rviz2",
        executable="rviz2",
        arguments=["-d", str(path), *frame],
        remappings=[(f"/topreward/{topic}", f"/{namespace.strip('/')}/{topic}") for topic in SHOWN],
    )


def foxglove(given: dict[str, str]) -> list[Node | LogInfo]:
    """Returns foxglove_bridge, and where the layout is; without it a sentence, and all else starts.

    It lets a browser see the topics of this namespace, and neither call nor publish nor set.
    """
    try:
        packages.get_package_prefix("foxglove_bridge")
    except packages.PackageNotFoundError:
        distro = os.environ.get("ROS_DISTRO", "jazzy")
        return [
            LogInfo(
                msg="foxglove_bridge is not installed here, so that foxglove:=true shows nothing: "
                f"apt install ros-{distro}-foxglove-bridge, or watch with rerun:=true."
            )
        ]
    namespace = given["namespace"].strip("/")
    layout = package_directory("config") / "foxglove" / "topreward.json"
    other = f", and change /topreward to /{namespace} in it" if namespace != "topreward" else ""
    told = (
        f"In Foxglove, open ws://{given['foxglove_address']}:8765 and import the layout "
        f"{layout}{other}."
    )
    bridge = Node(
        package="foxglove_bridge",
        executable="foxglove_bridge",
        parameters=[
            {
                "address": given["foxglove_address"],
                "port": 8765,
                "topic_whitelist": [rf"/{namespace}/.*", "/rosout", "/diagnostics"],
                "capabilities": ["connectionGraph"],
            }
        ],
    )
    return [bridge, LogInfo(msg=told)]


def generate_launch_description() -> LaunchDescription:
    """Returns the arguments and the nodes."""
    told = [OpaqueFunction(function=reach), OpaqueFunction(function=nodes)]
    return LaunchDescription([*ARGUMENTS, *told])
