"""A process group stops its children in order, by force where needed, and leaves no orphan."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from topreward_ros.nodes.processes import Patience, ProcessGroup, interrupted_by_signals

QUICK = Patience(interrupt=0.3, terminate=0.3)

OBEDIENT = """
import pathlib, signal, sys, time
def end(number, frame):
    pathlib.Path(sys.argv[1]).write_text(f"{time.monotonic()}")
    sys.exit(0)
signal.signal(signal.SIGINT, end)
print("ready", flush=True)
signal.pause()
"""
DEAF = """
import signal, sys
for number in sys.argv[1].split(","):
    signal.signal(int(number), signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


def start(group: ProcessGroup, name: str, script: str, log: Path, *arguments: str) -> None:
    """Starts a Python script and waits until it says that it is ready."""
    group.start(name, [sys.executable, "-u", "-c", script, *arguments], log=log)
    until(lambda: "ready" in log.read_text())


def until(happens: Callable[[], bool], limit: float = 10.0) -> None:
    """Waits until something is so; fails after the limit, s."""
    end = time.monotonic() + limit
    while not happens():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


def exists(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_last_started_is_stopped_first_by_sigint(tmp_path: Path) -> None:
    """Consumers, started last, end before what they depend on."""
    with ProcessGroup() as group:
        for name in ("first", "second"):
            start(group, name, OBEDIENT, tmp_path / f"{name}.log", str(tmp_path / name))
        assert group.running() == ["first", "second"]
        exits = group.stop()
    assert [(end.name, end.code, end.asked) for end in exits] == [
        ("second", 0, True),
        ("first", 0, True),
    ]
    assert float((tmp_path / "second").read_text()) < float((tmp_path / "first").read_text())
    assert group.running() == []


@pytest.mark.parametrize(
    ("ignored", "ended_by"),
    [
        ([], signal.SIGINT),
        ([signal.SIGINT], signal.SIGTERM),
        ([signal.SIGINT, signal.SIGTERM], signal.SIGKILL),
    ],
)
def test_a_child_that_ignores_a_signal_gets_the_next_harder_one(
    tmp_path: Path, ignored: list[signal.Signals], ended_by: signal.Signals
) -> None:
    """SIGINT, SIGTERM, SIGKILL, each after the stated patience."""
    plain = "import signal\nsignal.signal(2, signal.SIG_DFL)\nprint('ready')\nsignal.pause()"
    with ProcessGroup(QUICK) as group:
        numbers = ",".join(str(int(number)) for number in ignored)
        start(group, "deaf", DEAF if ignored else plain, tmp_path / "log", numbers)
        before = time.monotonic()
        (end,) = group.stop()
        took = time.monotonic() - before
    assert end.code == -ended_by
    assert str(end) == f"deaf was ended by {ended_by.name}"
    assert 0.3 * len(ignored) <= took < 0.3 * len(ignored) + 10.0


def test_an_exit_code_is_reported_as_it_is() -> None:
    """A child that fails by itself is told from one that was stopped."""
    with ProcessGroup() as group:
        group.start("failing", [sys.executable, "-c", "raise SystemExit(7)"])
        end = group.wait(10.0)
    assert end is not None
    assert (end.name, end.code, end.asked) == ("failing", 7, False)
    assert str(end) == "failing ended with exit code 7"
    assert group.poll() is None


def test_a_program_that_does_not_exist_is_an_exit_and_not_a_hang(tmp_path: Path) -> None:
    """The reason stands in the log."""
    log = tmp_path / "log"
    with ProcessGroup() as group:
        group.start("missing", ["/nowhere/program"], log=log)
        end = group.wait(10.0)
    assert end is not None
    assert end.code == 1
    assert "/nowhere/program" in log.read_text() or "No such file" in log.read_text()


def test_what_a_child_started_itself_ends_with_it(tmp_path: Path) -> None:
    """A grandchild that ignores every polite signal does not outlive its parent."""
    script = (
        "import subprocess, sys, signal\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import signal,time\\n"
        "signal.signal(2, signal.SIG_IGN)\\nsignal.signal(15, signal.SIG_IGN)\\ntime.sleep(99)'])\n"
        "print('ready', child.pid, flush=True)\nsignal.pause()\n"
    )
    with ProcessGroup(QUICK) as group:
        start(group, "parent", script, tmp_path / "log")
        until(lambda: len((tmp_path / "log").read_text().split()) == 2)
        grandchild = int((tmp_path / "log").read_text().split()[1])
        assert exists(grandchild)
        group.stop()
        until(lambda: not exists(grandchild))


def test_children_die_with_a_parent_that_is_killed_outright() -> None:
    """SIGKILL runs no handler and no finally; the kernel takes the children along."""
    parent = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time\n"
            "from topreward_ros.nodes.processes import ProcessGroup\n"
            "group = ProcessGroup()\n"
            "group.start('child', [sys.executable, '-c',"
            " 'import os, time; print(os.getpid(), flush=True); time.sleep(99)'])\n"
            "time.sleep(99)",
        ],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    assert exists(child)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not exists(child))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_and_not_the_program(number: signal.Signals) -> None:
    """The program gets the chance to stop its children in order."""
    with ProcessGroup() as group:
        group.start("sleeping", [sys.executable, "-c", "import time; time.sleep(99)"])
        with interrupted_by_signals(group):
            os.kill(os.getpid(), number)
            assert group.wait(10.0) is None
        assert group.running() == ["sleeping"]


def test_children_are_not_reached_by_the_terminals_interrupt(tmp_path: Path) -> None:
    """Ctrl-C goes to the terminal's foreground group; a child is in another session."""
    with ProcessGroup() as group:
        script = "import os; print('ready', os.getsid(0), flush=True); os.read(0, 1)"
        group.start("child", [sys.executable, "-c", script], log=tmp_path / "log")
        until(lambda: len((tmp_path / "log").read_text().split()) == 2)
        assert int((tmp_path / "log").read_text().split()[1]) != os.getsid(0)
