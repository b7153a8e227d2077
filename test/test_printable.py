"""Text of others is made printable in one place, and every sink uses it."""

from __future__ import annotations

import ast
import inspect
import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from repository import ROOT

from topreward_ros.printable import (
    CONTINUED,
    LONGEST,
    keep_errors_printable,
    printable,
    printable_lines,
)

PACKAGE = ROOT / "topreward_ros"
CONTROLS = "".join(map(chr, [*range(0x20), 0x7F, *range(0x80, 0xA0)]))
TURNS = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
LINES = "\u2028\u2029"
HIDDEN = "\u200b\u00ad\ud800\ufeff\udcff\U000e0041"
HOSTILE = f"a\x1b]0;owned\x07{CONTROLS}{TURNS}{LINES}{HIDDEN}z"
"""Every C0 and C1 control, DEL, what turns words around, breaks lines or cannot be seen."""
SENT = "".join(c for c in HOSTILE if c != "\0" and not "\ud800" <= c <= "\udfff")
"""What of it a message of ROS can carry."""
NAME = "".join(c for c in HOSTILE if c not in "\0/" and c != "\ud800")
"""What of it a file's name can hold."""
RAW = set(CONTROLS + TURNS + LINES + HIDDEN)


def raw(text: str, *, lines: bool = True) -> set[str]:
    """The characters of a sink's output that must not be in it."""
    return {c for c in text if c in RAW} - ({"\n"} if lines else set())


@pytest.mark.parametrize("letter", HOSTILE, ids=lambda c: f"U+{ord(c):04X}")
def test_no_control_is_left(letter: str) -> None:
    shown = printable(f"a{letter}z")
    assert raw(shown, lines=False) == set()
    assert shown == "az".replace("a", f"a{letter}") if letter in "az]0;owned" else "\\" in shown


def test_what_people_write_stays_as_it_is() -> None:
    text = "Räum den Würfel, 把红色方块放好,\u3000žluťoučký kůň — ½ ☕ 🤖 \xa0!"
    assert printable(text) == text


def test_long_texts_are_cut_and_say_how_long_they_were() -> None:
    shown = printable("x" * 10_000_000)
    assert len(shown) < LONGEST + 50 and "10000000 characters" in shown


def test_a_line_of_a_text_never_passes_for_a_line_of_the_log() -> None:
    shown = printable_lines("sentence\n[INFO] [1.0] [manager]: forged\r\x1b[2Kgone")
    assert shown.splitlines()[1].startswith(CONTINUED)
    assert raw(shown) == set()


def test_whatever_is_printed_is_made_printable() -> None:
    """Each print and console.print of the package shows a literal, or goes through printable."""
    found = []
    for path in (one for one in PACKAGE.rglob("*.py") if "print(" in one.read_text()):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = ast.unparse(node.func)
            shown = node.args[0]
            wrapped = ast.unparse(shown).startswith(("printable(", "printable_lines("))
            if (name == "print" or name.endswith("console.print")) and not (
                wrapped or isinstance(shown, ast.Constant)
            ):
                found.append(f"{path.name}:{node.lineno}")
    assert not found


def test_every_node_has_a_printable_log() -> None:
    """No class of the package is a bare rclpy node but the one that makes its log printable."""
    bare = {
        node.name
        for path in PACKAGE.rglob("*.py")
        if "Node)" in (text := path.read_text()) or "Node," in text
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "Node" for b in node.bases)
    }
    assert bare == {"PrintableNode"}


def reading(**changes: object):
    from topreward_ros.offline.report import LoggedReading

    return LoggedReading(0.0, 1.0, 2, -1.0, 0.5, 0.1, **changes)


@pytest.mark.parametrize("kind", ["plain", "live"])
def test_the_terminal_views_show_nothing_raw(kind: str) -> None:
    from rich.console import Console

    from topreward_ros.nodes.viewing.live_view import LiveView, PlainView

    output = io.StringIO()
    if kind == "plain":
        view = PlainView(HOSTILE, HOSTILE, output)
    else:  # no colours: every escape that is left is the text's
        console = Console(file=output, force_terminal=False, width=200, no_color=True)
        view = LiveView(HOSTILE, HOSTILE, console)
    with view:
        view.begin(f"{HOSTILE}!")
        view.say(HOSTILE, HOSTILE)
        view.show_reading(reading(progress_source=HOSTILE, reward_form=HOSTILE))
        view.refresh()
        if kind == "live":
            console.print(view.render())
    assert "owned" in output.getvalue()
    assert raw(output.getvalue()) == set()


def command(name: str):
    from importlib import import_module

    module = {"label": "offline.label", "calibrate": "offline.calibrate"}.get(
        name, f"nodes.running.{name}"
    )
    return import_module(f"topreward_ros.{module}").main


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("label", [NAME, "--instruction", "go"]),
        ("label", ["{bag}", "--instruction", "go", "--calibration-file", "{calibration}"]),
        ("calibrate", ["{labels}"]),
        ("calibrate", ["{labels}", "--verify", "{calibration}"]),
        ("demo", ["--episode", NAME, "--output", "{folder}"]),
        ("demo", ["--episode", "{bag}", "--camera", NAME, "--output", "{folder}"]),
        ("stack", ["--rig", NAME]),
    ],
)
def test_commands_say_nothing_raw(name, arguments, tmp_path, capfd) -> None:
    pytest.importorskip("rclpy")
    (tmp_path / "labels.csv").write_text(
        f'path,instruction,success\n"{SENT.replace(chr(34), "")}",go,1\n', newline=""
    )
    (tmp_path / "calibration.yaml").write_text(
        json.dumps({"format": "topreward_ros/calibration", "version": SENT})
    )
    places = {
        "{bag}": str(ROOT / "demo" / "success"),
        "{labels}": str(tmp_path / "labels.csv"),
        "{calibration}": str(tmp_path / "calibration.yaml"),
        "{folder}": str(tmp_path / "out"),
    }
    assert command(name)([places.get(one, one) for one in arguments]) == 1
    said = capfd.readouterr()
    assert said.err
    assert raw(said.err + said.out) == set()


def test_every_program_keeps_its_errors_printable() -> None:
    from topreward_ros import commands
    from topreward_ros.nodes import programs

    for module in (commands, programs):
        assert "    keep_errors_printable()\n" in inspect.getsource(module.run)


def test_lines_of_the_library_log_are_printable_in_programs(capfd, monkeypatch) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # put back at the end
    keep_errors_printable()
    record = logging.LogRecord("any", logging.WARNING, "", 1, "%s", (HOSTILE,), None)
    logging.lastResort.handle(record)  # what nobody else handles, as in a command
    assert "owned" in (said := capfd.readouterr().err)
    assert raw(said) == set()


@pytest.mark.parametrize("name", ["label", "calibrate", "demo", "stack"])
def test_a_wrong_command_line_is_told_printable(name, capfd) -> None:
    pytest.importorskip("rclpy")
    with pytest.raises(SystemExit) as end:
        command(name)(["--nothing", "x", NAME, f"--{NAME}"])
    assert end.value.code == 2
    assert raw(capfd.readouterr().err) == set()


def test_the_trace_of_an_error_is_printable() -> None:
    program = (
        "from topreward_ros.printable import keep_errors_printable\n"
        f"keep_errors_printable()\nraise ValueError({SENT!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 1 and "owned" in done.stderr and "Traceback" in done.stderr
    assert raw(done.stderr) == set()


def test_a_calibration_report_is_printable(tmp_path: Path) -> None:
    from topreward_ros.offline.calibration_report import _write_json

    _write_json({"recording": HOSTILE}, tmp_path / "x.json")
    text = (tmp_path / "x.json").read_text()
    assert raw(text) == set()
    assert json.loads(text)["recording"] == HOSTILE
