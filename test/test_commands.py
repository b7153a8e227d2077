"""A Ctrl-C ends each command with 130 and each node with 0, whenever it comes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from topreward_ros import commands
from topreward_ros.nodes import programs

INTERRUPTED_WHILE_IMPORTING = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)
            print("goes on", flush=True)

sys.meta_path.insert(0, Interrupt())
from {entry} import run
sys.exit(run({command!r}))
"""
INTERRUPTED_INSIDE_OF_EXEC = """
import os, signal, sys
from topreward_ros.commands import finish

def main():
    try:
        exec("os.kill(os.getpid(), signal.SIGINT); signal.pause()")
    except KeyboardInterrupt:
        print("Interrupted.")
        {after}
        return 130

sys.exit(finish(main))
"""


def run(script: str) -> subprocess.CompletedProcess[str]:
    """Runs a script in a Python of its own."""
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)


@pytest.mark.parametrize("command", commands.MODULES)
def test_an_interrupt_while_a_command_is_imported_ends_it_with_130(command: str) -> None:
    module = f"topreward_ros.{commands.MODULES[command]}"
    done = run(
        INTERRUPTED_WHILE_IMPORTING.format(
            module=module, entry="topreward_ros.commands", command=command
        )
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("program", programs.WINGS)
def test_an_interrupt_while_a_node_is_imported_ends_it_with_0(program: str) -> None:
    module = f"topreward_ros.nodes.{programs.WINGS[program]}.{program}"
    done = run(
        INTERRUPTED_WHILE_IMPORTING.format(
            module=module, entry="topreward_ros.nodes.programs", command=program
        )
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    "after", ["", "os.kill(os.getpid(), signal.SIGINT); signal.pause()"], ids=["once", "twice"]
)
def test_an_interrupt_inside_of_exec_ends_a_command_with_130(tmp_path: Path, after: str) -> None:
    """`python -m` would end itself by SIGINT, although it was caught."""
    (tmp_path / "program.py").write_text(INTERRUPTED_INSIDE_OF_EXEC.format(after=after))
    command = [sys.executable, "-m", "program"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "Interrupted.\n", "")


def test_a_command_in_the_background_goes_on_ignoring_the_interrupt() -> None:
    script = (
        "import signal, sys; signal.signal(2, signal.SIG_IGN); sys.argv[1:] = ['--help']\n"
        "from topreward_ros.commands import run\n"
        "try:\n    run('label')\n"
        "finally:\n    print(signal.getsignal(2) is signal.SIG_IGN)"
    )
    assert run(script).stdout.endswith("True\n")
