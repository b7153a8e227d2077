"""A start says which sections of a file reach which node, and refuses a file that is no use."""

from __future__ import annotations

import pytest
from repository import ROOT

from topreward_ros.nodes.running.parameter_reach import UnreachedError, file_reach
from topreward_ros.nodes.running.stack import StackError, main, reach_lines

NODES = ("reward_node", "episode_manager")


def reach(tmp_path, text, namespace="topreward"):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    return file_reach(file, namespace, NODES).reached


def section(key):
    return f"{key}:\n  ros__parameters:\n    model: demo\n"


@pytest.mark.parametrize(
    ("key", "namespace", "nodes"),
    [
        ("/**/reward_node", "topreward", ("reward_node",)),
        ("/**", "topreward", NODES),
        ("/topreward/reward_node", "topreward", ("reward_node",)),
        ("/*/reward_node", "/arm", ("reward_node",)),
        ("/**/reward_node", "left/arm", ("reward_node",)),
        ("reward_node", "", ("reward_node",)),
        ("/reward_node", "/", ("reward_node",)),
    ],
)
def test_a_section_reaches_the_nodes_whose_full_name_it_matches(tmp_path, key, namespace, nodes):
    assert reach(tmp_path, section(f'"{key}"'), namespace) == {key: nodes}


def test_a_nested_namespace_is_a_path(tmp_path):
    text = "topreward:\n  reward_node:\n    ros__parameters:\n      model: demo\n"
    assert reach(tmp_path, text) == {"topreward/reward_node": ("reward_node",)}


@pytest.mark.parametrize("key", ["reward_node", "/*/*/reward_node", "/**/rewardnode"])
def test_a_file_that_reaches_no_node_is_refused_with_what_to_write(tmp_path, key):
    with pytest.raises(UnreachedError, match=r"reaches no node.*write /\*\*/reward_node:"):
        reach(tmp_path, section(f'"{key}"'))


def test_a_section_for_nobody_is_said_beside_one_that_is_read(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(section('"/**/reward_node"') + section("reward_node"))
    assert reach_lines([file], "topreward") == [
        f"{file}: /**/reward_node is for reward_node.",
        f"{file}: reward_node is for no node here, and is ignored.",
    ]


@pytest.mark.parametrize(
    "text", ["", "[]", "/**:\n\treward_node: 1\n", "reward_node: {model: demo}"]
)
def test_what_is_no_parameter_file_is_one_sentence(tmp_path, text, capsys):
    file = tmp_path / "own.yaml"
    file.write_text(text)
    assert main(["--params-file", str(file)]) == 1
    told = capsys.readouterr().err.strip()
    assert "\n" not in told and str(file) in told


def test_every_rig_and_the_defaults_reach_all_of_their_nodes():
    files = [*ROOT.glob("config/rigs/*.yaml"), ROOT / "config/reward.yaml"]
    assert not [line for line in reach_lines(files, "topreward") if "no node" in line]


def test_the_stack_refuses_before_anything_starts(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(section("reward_node"))
    with pytest.raises(StackError, match="reaches no node"):
        reach_lines([file], "topreward")
