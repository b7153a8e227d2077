"""The launch file's arguments choose the nodes; RViz, which may be absent, is not run.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import runpy

import pytest
from repository import ROOT

pytest.importorskip("launch_ros")

from launch import LaunchContext
from launch.utilities import perform_substitutions

FILE = ROOT / "launch/reward.launch.py"


@pytest.mark.parametrize(
    ("arguments", "expected", "missing"),
    [
        ({}, ["reward_node"], ["episode_manager", "overlay_node", "rviz2"]),
        ({"manager": "true"}, ["reward_node", "episode_manager"], ["overlay_node"]),
        ({"rviz": "true", "rig": "yam"}, ["overlay_node", "rviz2", "-f base_link"], []),
        ({"rosetta": "true", "manager": "true"}, ["~/reward:=/reward", ":=/episode_done"], []),
        (
            {"rviz": "true", "rviz_config": "topreward_overlay", "namespace": "arm"},
            ["topreward_overlay.rviz", "/topreward/overlay_node/overlay:=/arm/overlay_node"],
            [],
        ),
    ],
)
def test_arguments_choose_the_nodes(arguments, expected, missing):
    text = "\n".join(command_lines(**arguments))
    assert all(part in text for part in expected), text
    assert not any(part in text for part in missing), text


def test_an_rviz_configuration_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="rviz_config is 'teapot'; expected topreward, topr"):
        command_lines(rviz="true", rviz_config="teapot")


def command_lines(**arguments: str) -> list[str]:
    """Returns each node's arguments, with remappings."""
    file = runpy.run_path(str(FILE))
    context = LaunchContext()
    for argument in file["ARGUMENTS"]:
        default = argument.default_value
        context.launch_configurations[argument.name] = (
            perform_substitutions(context, default) if default else ""
        )
    context.launch_configurations.update(arguments)
    lines = []
    for node in file["nodes"](context):
        node._perform_substitutions(context)
        words = [part.text for parts in node.cmd for part in parts if hasattr(part, "text")]
        renamed = [":=".join(pair) for pair in node.expanded_remapping_rules or ()]
        lines.append(" ".join([node.node_executable, *words, *renamed]))
    return lines
