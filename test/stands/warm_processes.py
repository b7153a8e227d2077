"""Processes of Python modules that begin at once: forked from one that has imported what is slow.

A node that loads a model imports for four seconds on an idle machine, and a suite starts it a
hundred times. Each is a process of its own all the same. Tests of a start itself, of signals in it
and of its environment, start theirs from nothing.
"""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from topreward_ros.nodes.processes import _FOLLOW_PARENT

PRELOADED = (
    "__main__",
    "warm_processes",
    "topreward_ros.nodes.reward.reward_node",
    "topreward_ros.nodes.manager.episode_manager",
    "topreward_ros.models.checkpoints.loading",
    "topreward_ros.offline.label",
    "transformers.models.qwen3_vl.modeling_qwen3_vl",
    "frozen_heap",  # the last
)
_PR_SET_PDEATHSIG = 1
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


class WarmProcess:
    """What `subprocess.Popen` is to tests, of a command `python -m MODULE ARGUMENTS`."""

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | str | None = None,
        output: Path | str = os.devnull,
    ) -> None:
        """Starts it.

        Args:
            command: begins with this interpreter, `-m` and a module.
            env: its environment; this process's, if None.
            cwd: its folder; this process's, if None.
            output: the file that its output and its errors are added to.
        """
        interpreter, flag, *words = command
        assert (interpreter, flag) == (sys.executable, "-m"), command
        given = (words, dict(os.environ if env is None else env), str(cwd or "."), str(output))
        open(output, "ab").close()  # it is there before the process is
        self._process = _context.Process(target=_become, args=given, daemon=True)
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit code; -N after signal N; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """Returns the exit code, or None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end; returns the exit code.

        Raises:
            subprocess.TimeoutExpired: it runs after `timeout` seconds.
        """
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(self._process.name, timeout or 0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Signals it, where it still runs."""
        if self.returncode is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Sends SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends SIGKILL."""
        self.send_signal(signal.SIGKILL)


def fresh_process(
    command: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    output: Path | str = os.devnull,
) -> subprocess.Popen:
    """Starts a command from nothing; it keeps its number, and dies with this process."""
    follow = [sys.executable, "-I", "-S", "-c", _FOLLOW_PARENT, str(os.getpid()), *command]
    with open(output, "ab") as log:
        return subprocess.Popen(follow, env=env, stdout=log, stderr=subprocess.STDOUT)


def _become(words: list[str], environment: dict[str, str], folder: str, output: str) -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for number in (1, 2):
        os.dup2(file, number)
    os.close(file)
    sys.stdout, sys.stderr = open(1, "w"), open(2, "w", buffering=1)  # noqa: SIM115
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # which the server takes for itself,
    signal.signal(signal.SIGINT, signal.default_int_handler)  # and this too
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = words
    sys.modules.pop(words[0], None)  # it runs as __main__
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)
