"""What is given to `make` arrives letter by letter, and nothing of it runs; with the real make."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

TEXTS = [
    "put the $5 note on the disc",
    "$$5 and $(HOME) and ${HOME} and $HOME",
    "$(shell touch owned)put",
    "$(error no)",
    "`touch owned` $(touch owned); touch owned",
    'it\'s "quoted" \\ # % * ~ a\tb',
    "put the cube, (really) = there : now",
    "Räum auf",
]
GIVEN = ["EPISODE", "INSTRUCTION", "MODEL"], ["RIG", "INSTRUCTION", "MODEL", "PARAMS"]
OPTIONS = {
    "EPISODE": "--episode",
    "INSTRUCTION": "--instruction",
    "MODEL": "--model",
    "RIG": "--rig",
    "PARAMS": "--params-file",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The Makefile with a python that writes down what it is called with."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    programs = {
        "scripts/setup": "#!/bin/sh\n",
        "scripts/env.sh": 'PATH="$PWD/bin:$PATH"\n',
        "bin/python": f"#!{sys.executable}\nimport json, sys\n"
        "open('called.json', 'w').write(json.dumps(sys.argv[1:]))\n",
    }
    for name, text in programs.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    return tmp_path


def called(place: Path, target: str, *words: str, **environment: str) -> list[str]:
    (place / "called.json").unlink(missing_ok=True)
    clean = {k: v for k, v in os.environ.items() if k not in OPTIONS and "MAKE" not in k}
    subprocess.run(
        ["make", target, *words], cwd=place, env=clean | environment, check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    assert not (place / "owned").exists()
    return json.loads((place / "called.json").read_text())[3:]  # after -m, module and program


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("way", ["command line", "environment"])
@pytest.mark.parametrize(("target", "names"), [("demo", GIVEN[0]), ("run", GIVEN[1])])
def test_texts_arrive_letter_by_letter(place, target, names, way, text) -> None:
    if way == "environment":
        arguments = called(place, target, **dict.fromkeys(names, text))
    else:
        arguments = called(place, target, *(f"{name}={text}" for name in names))
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    assert given == {OPTIONS[name]: text for name in names}


def test_what_is_not_given_is_not_passed_on(place) -> None:
    assert called(place, "demo") == ["--episode", "success"]
    assert called(place, "run") == []
    assert called(place, "demo", "RERUN=1") == ["--episode", "success", "--rerun"]
    assert called(place, "label") == called(place, "calibrate") == called(place, "replay") == []


@pytest.mark.parametrize(
    ("target", "name"),
    [
        *(("demo", "DEMO_ARGS"), ("run", "RUN_ARGS")),
        *((command, "ARGS") for command in ("label", "calibrate", "replay", "monitor")),
    ],
)
def test_further_arguments_are_words_of_the_shell_and_not_of_make(place, target, name) -> None:
    arguments = called(place, target, f"{name}=--rate 0.5 --x 'a $(shell touch owned) $$b'")
    assert arguments[-4:] == ["--rate", "0.5", "--x", "a $(shell touch owned) $$b"]


@pytest.mark.parametrize(
    ("target", "program"),
    [
        ("label", ["topreward_ros.commands", "label"]),
        ("calibrate", ["topreward_ros.commands", "calibrate"]),
        ("monitor", ["topreward_ros.nodes.programs", "monitor"]),
        ("replay", ["topreward_ros.nodes.programs", "replay_node"]),
    ],
)
def test_each_command_has_a_front_of_its_own_that_runs_where_no_ros_is(place, target, program):
    called(place, target, "ARGS='a b' c")
    words = json.loads((place / "called.json").read_text())
    assert words == ["-m", *program, "a b", "c"]
