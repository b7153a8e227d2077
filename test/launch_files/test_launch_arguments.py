"""The launch file's arguments choose the nodes; RViz, which may be absent, is not run.

Skipped where launch is not installed, as with ROS 2 from PyPI.
"""

from __future__ import annotations

import runpy

import ament_index_python.packages
import pytest
from repository import ROOT

pytest.importorskip("launch_ros")

from launch import LaunchContext
from launch.actions import LogInfo
from launch.utilities import perform_substitutions
from launch_ros.actions import Node
from launch_ros.utilities import evaluate_parameters

FILE = ROOT / "launch/reward.launch.py"
VIEWERS = ("rviz2", "foxglove_bridge")


@pytest.mark.parametrize(
    ("arguments", "expected", "missing"),
    [
        ({}, ["reward_node"], ["episode_manager", "overlay_node", "rviz2", "rerun_node"]),
        ({"rerun": "true"}, ["reward_node", "rerun_node"], ["overlay_node"]),
        ({"foxglove": "true"}, ["foxglove_bridge", "overlay_node"], ["rerun_node"]),
        ({"manager": "true"}, ["reward_node", "episode_manager"], ["overlay_node"]),
        ({"rviz": "true", "rig": "yam"}, ["overlay_node", "rviz2", "-f base_link"], []),
        (
            {"rosetta": "true", "manager": "true"},
            ["~/reward:=/reward", ":=/episode_done", ":=/episode_truncated"],
            [],
        ),
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


@pytest.mark.parametrize(
    ("written", "meant"),
    [("True", True), ("TRUE", True), ("1", True), ("False", False), ("0", False), ("false", False)],
)
def test_a_switch_takes_what_launch_takes_for_a_truth_value(written, meant):
    for name, part in (("overlay", "overlay_node"), ("rviz", "rviz2"), ("rosetta", ":=/reward")):
        assert (part in "\n".join(command_lines(**{name: written}))) is meant


def test_a_switch_that_is_neither_true_nor_false_is_named():
    with pytest.raises(ValueError, match="overlay is 'perhaps'; expected true or false"):
        command_lines(overlay="perhaps")


def leave_out(monkeypatch, missing: str) -> None:
    """Lets a package be one that is not installed."""
    found = ament_index_python.packages.get_package_prefix

    def without(package):
        if package == missing:
            raise ament_index_python.packages.PackageNotFoundError(package)
        return found(package)

    monkeypatch.setattr(ament_index_python.packages, "get_package_prefix", without)


def test_without_rviz_its_package_is_named(monkeypatch):
    leave_out(monkeypatch, "rviz2")
    with pytest.raises(RuntimeError, match=r"rviz2 is not installed.*apt install ros-.*-rviz2"):
        command_lines(rviz="true")


def test_without_foxglove_bridge_one_sentence_says_so_and_the_nodes_start(monkeypatch):
    leave_out(monkeypatch, "foxglove_bridge")
    assert "reward_node" in "\n".join(command_lines(foxglove="true"))
    assert "foxglove_bridge" not in "\n".join(command_lines(foxglove="true"))
    (told,) = sayings(foxglove="true")
    assert "foxglove_bridge is not installed" in told and "-foxglove-bridge" in told


def test_foxglove_is_told_where_to_look_and_may_only_look():
    bridge = next(n for n in made(foxglove="true") if n.node_executable == "foxglove_bridge")
    (given,) = evaluate_parameters(LaunchContext(), bridge._Node__parameters)
    assert given["address"] == "127.0.0.1"
    assert "/topreward/.*" in given["topic_whitelist"]
    assert list(given["capabilities"]) == ["connectionGraph"]
    (told,) = sayings(foxglove="true")
    assert "ws://127.0.0.1:8765" in told and "foxglove/topreward.json" in told
    (told,) = sayings(foxglove="true", namespace="arm")
    assert "change /topreward to /arm" in told


@pytest.mark.parametrize("respawn", ["true", "false"])
def test_rviz_can_be_closed_whatever_is_started_again(respawn):
    nodes = made(rviz="true", rerun="true", manager="true", respawn=respawn)
    again = {node.node_executable: node._ExecuteLocal__respawn for node in nodes}
    assert again.pop("rviz2") is False and again.pop("rerun_node") is False
    assert set(again.values()) == {respawn == "true"}


@pytest.mark.parametrize("terminal", [True, False])
def test_colours_are_for_a_terminal(monkeypatch, terminal):
    monkeypatch.setattr("sys.stdout.isatty", lambda: terminal, raising=False)
    assert {node.emulate_tty for node in made(manager="true", overlay="true")} == {terminal}


def test_an_rviz_configuration_that_is_not_there_is_named_with_those_that_are():
    with pytest.raises(ValueError, match="rviz_config is 'teapot'; expected topreward, topr"):
        command_lines(rviz="true", rviz_config="teapot")


def test_a_parameter_file_that_reaches_no_node_is_refused(tmp_path):
    own = tmp_path / "own.yaml"
    own.write_text("reward_node:\n  ros__parameters:\n    model: demo\n")
    context, _ = _made({})
    context.launch_configurations["params_file"] = str(own)
    with pytest.raises(ValueError, match=r"reaches no node.*/topreward/reward_node"):
        runpy.run_path(str(FILE))["reach"](context)
    own.write_text("/**/reward_node:\n  ros__parameters:\n    model: demo\n")
    told = runpy.run_path(str(FILE))["reach"](context)
    assert f"{own}: /**/reward_node is for reward_node." in [one.msg[0].text for one in told]


@pytest.fixture(autouse=True)
def rviz_there(monkeypatch):
    """RViz need not be installed here."""
    found = ament_index_python.packages.get_package_prefix
    monkeypatch.setattr(
        ament_index_python.packages,
        "get_package_prefix",
        lambda package: "/opt/ros/any" if package in VIEWERS else found(package),
    )


def made(**arguments: str) -> list:
    """Returns the nodes."""
    return [one for one in _made(arguments)[1] if isinstance(one, Node)]


def sayings(**arguments: str) -> list[str]:
    """Returns what is said."""
    return [one.msg[0].text for one in _made(arguments)[1] if isinstance(one, LogInfo)]


def _made(arguments: dict[str, str]) -> tuple[LaunchContext, list]:
    file = runpy.run_path(str(FILE))
    context = LaunchContext()
    for argument in file["ARGUMENTS"]:
        default = argument.default_value
        context.launch_configurations[argument.name] = (
            perform_substitutions(context, default) if default else ""
        )
    context.launch_configurations.update(arguments)
    return context, file["nodes"](context)


def command_lines(**arguments: str) -> list[str]:
    """Returns each node's arguments, with remappings."""
    context, nodes = _made(arguments)
    lines = []
    for node in [one for one in nodes if isinstance(one, Node)]:
        node._perform_substitutions(context)
        words = [part.text for parts in node.cmd for part in parts if hasattr(part, "text")]
        renamed = [":=".join(pair) for pair in node.expanded_remapping_rules or ()]
        lines.append(" ".join([node.node_executable, *words, *renamed]))
    return lines
