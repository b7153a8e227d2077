"""Each command of the guides is one that its program takes: no guide falls behind the code."""

from __future__ import annotations

import configparser
import re
import shlex
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest
import yaml
from repository import ROOT

from topreward_ros.nodes.replay.parameters import ReplayParameters

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PARSERS = {
    "label": "offline.label:parse_arguments",
    "calibrate": "offline.calibrate_arguments:parse_arguments",
    "evaluate": "offline.evaluation.command:parse_arguments",
    "serve": "serving.arguments:parse_arguments",
    "monitor": "nodes.viewing.monitor:parse",
}
FOREIGN = {
    "colcon", "export", "pip", "python3", "rosdep", "rosetta_port", "source", "ss", "sudo",
    # The loop of docs/security.md; its second line begins with ros2.
    "for", "do", "done",
}  # fmt: skip
"""Programs that are not ours."""
NO_COMMANDS = "path,instruction,success"
"""Begins the blocks that show a file."""


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```(?:bash|sh)?\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Returns the words of each command of a page."""
    found = []
    for block in blocks(page):
        if block.startswith(NO_COMMANDS):
            continue
        line = ""
        for piece in block.splitlines():
            line += piece + "\n"
            try:
                words = shlex.split(line.replace("\\\n", " "), comments=True)
            except ValueError:  # within quotes
                continue
            if not piece.endswith("\\"):
                found += [words] if words else []
                line = ""
        assert not line.strip(), f"{page.name}: {line} has no end"
    return found


def parameters(node: str) -> dict[str, object]:
    """Returns a node's parameters."""
    if node == "replay_node":  # config/reward.yaml shows those of all others
        return vars(ReplayParameters())
    shown = yaml.safe_load((ROOT / "config" / "reward.yaml").read_text())
    return shown[f"/**/{node}"]["ros__parameters"]


def check_node(node: str, words: list[str]) -> None:
    known = parameters(node)
    for flag, word in pairwise(words):
        if flag == "-p":
            name, assigned, _ = word.partition(":=")
            assert assigned and name in known, word


def check_run(words: list[str]) -> None:
    package, program, *rest = words
    assert package == "topreward_ros"
    if program in PARSERS:
        check_ours(program, rest)
    else:
        check_node(program, rest)


def check_ours(program: str, words: list[str]) -> None:
    module, _, name = PARSERS[program].partition(":")
    own = words[: words.index("--ros-args")] if "--ros-args" in words else words
    getattr(import_module(f"topreward_ros.{module}"), name)(own)


def check_launch(words: list[str]) -> None:
    package, file, *given = words
    assert package == "topreward_ros"
    text = (ROOT / "launch" / file).read_text()
    for word in given:
        name, assigned, value = word.partition(":=")
        assert assigned and re.search(rf'^    "{name}": \(?', text, re.MULTILINE), word
        assert name != "rig" or (ROOT / "config" / "rigs" / f"{value}.yaml").exists(), word


def check_param(words: list[str]) -> None:
    verb, node, name, _ = words
    assert verb == "set" and name in parameters(node.rsplit("/", 1)[1])


def check_message(words: list[str]) -> None:
    *_, name, text = [word for word in words if not word.startswith("-") and word != "1"][:4]
    package, kind, type_name = name.split("/")
    type_of = getattr(import_module(f"{package}.{kind}"), type_name)
    fields = type_of.Goal if kind == "action" else type_of
    assert set(yaml.safe_load(text)) <= set(fields.get_fields_and_field_types())


def check_ros2(words: list[str]) -> None:
    verbs: dict[str, Callable[[list[str]], None]] = {
        "run": check_run,
        "launch": check_launch,
        "param": check_param,
        "action": check_message,
    }
    verb, *rest = words
    if verb in verbs:
        verbs[verb](rest)
    elif words[:2] == ["topic", "pub"]:
        check_message([word for word in rest if word != "transient_local"])
    else:
        assert words[:2] == ["topic", "echo"] or verb == "security", words


def check_make(words: list[str]) -> None:
    target, *given = words
    text = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}:", text, re.MULTILINE), target
    variables = re.search(r"^GIVEN := (.*)$", text, re.MULTILINE).group(1).split()
    assert {word.partition("=")[0] for word in given} <= {*variables, "WORKERS"}


def check_script(words: list[str]) -> None:
    assert (ROOT / words[0]).is_file()
    if words[0] == "scripts/setup":
        settings = configparser.ConfigParser()
        settings.read(ROOT / "setup.cfg")
        extras = [word for word in words[1:] if word != "--extra"]
        assert set(extras) <= set(settings["options.extras_require"])


def check(words: list[str]) -> None:
    """Raises what a program says of words that it does not take."""
    first, *rest = words
    if first == "ros2":
        check_ros2(rest)
    elif first == "make":
        check_make(rest)
    elif first in PARSERS:
        check_ours(first, rest)
    elif first == "python":
        assert rest[0] == "-m" and find_spec(rest[1])
    elif first.startswith(("scripts/", "config/")):
        check_script(words)
    else:
        assert first in FOREIGN, words


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_of_a_page_is_one_that_its_program_takes(page, monkeypatch):
    monkeypatch.chdir(ROOT)
    for words in commands(page):
        try:
            check(words)
        except SystemExit:  # the parser has said why
            pytest.fail(shlex.join(words))


@pytest.mark.parametrize(
    "command",
    [
        "label my_bag --colour red",
        "ros2 run topreward_ros reward_node --ros-args -p colour:=red",
        "ros2 launch topreward_ros reward.launch.py colour:=red",
        "ros2 launch topreward_ros reward.launch.py rig:=none",
        "ros2 param set /topreward/reward_node colour red",
        "ros2 action send_goal -f /t/run_episode topreward_msgs/action/RunEpisode '{colour: red}'",
        "make paint",
        "make demo COLOUR=red",
        "scripts/setup --extra paint",
        "python -m tools.paint",
        "paint",
    ],
)
def test_a_command_that_no_program_takes_is_noticed(command):
    with pytest.raises((AssertionError, KeyError, SystemExit)):
        check(shlex.split(command))
