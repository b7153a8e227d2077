"""A group of processes that starts together, ends together and never leaves an orphan.

Where ROS comes without launch, entry points start the nodes through this. A child runs in a session
of its own, so that Ctrl-C reaches the parent alone, which then stops the children one by one, the
last started first. What a child started itself goes with it. A parent that is killed outright takes
its children along: Linux sends them SIGKILL (prctl(2), PR_SET_PDEATHSIG).
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType

_FOLLOW_PARENT = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("the parent is gone")
os.execvp(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class Patience:
    """How long a child may take to end before the next, harder signal.

    Attributes:
        interrupt: s from SIGINT to SIGTERM.
        terminate: s from SIGTERM to SIGKILL.
    """

    interrupt: float = 10.0
    terminate: float = 5.0


@dataclass(frozen=True)
class Exit:
    """How a child ended.

    Attributes:
        name: the name it was started under.
        code: its exit code; negative: the number of the signal that ended it.
        asked: whether `stop` had asked it to end.
    """

    name: str
    code: int
    asked: bool

    def __str__(self) -> str:
        """One clause for people."""
        if self.code < 0:
            return f"{self.name} was ended by {signal.Signals(-self.code).name}"
        return f"{self.name} ended with exit code {self.code}"


@dataclass
class _Child:
    name: str
    process: subprocess.Popen[bytes]
    gone: threading.Event = field(default_factory=threading.Event)
    asked: bool = False

    def signal(self, number: int) -> None:
        """Signals the child and all it has started."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class ProcessGroup:
    """Children under one parent. As a context manager it stops them on the way out."""

    def __init__(self, patience: Patience | None = None) -> None:
        """Starts empty."""
        self._patience = patience or Patience()
        self._children: list[_Child] = []
        self._exits: queue.SimpleQueue[Exit | None] = queue.SimpleQueue()
        self.interrupted = False
        """Whether `interrupt` was called."""

    def __enter__(self) -> ProcessGroup:
        """Returns the group itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stops whatever still runs."""
        self.stop()

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        """Starts a child. The calling thread must outlive it: the child ends with that thread.

        Args:
            name: what it is called in reports.
            command: program and arguments.
            environment: variables on top of the parent's.
            log: file that gets its output; None: the parent's terminal.

        Raises:
            OSError: the log cannot be written.
        """
        follow = [sys.executable, "-I", "-S", "-c", _FOLLOW_PARENT, str(os.getpid()), *command]
        output = open(log, "wb") if log else None  # noqa: SIM115 - closed below, kept by the child
        try:
            process = subprocess.Popen(
                follow,
                env={**os.environ, **(environment or {})},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()
        child = _Child(name, process)
        self._children.append(child)
        threading.Thread(
            target=self._watch, args=(child,), name=f"watch {name}", daemon=True
        ).start()

    def wait(self, timeout: float | None = None) -> Exit | None:
        """Waits for the next child that ends.

        Args:
            timeout: s; None: without limit.

        Returns:
            How it ended; None after the timeout or after `interrupt`.
        """
        with suppress(queue.Empty):
            return self._exits.get(timeout=timeout)
        return None

    def poll(self) -> Exit | None:
        """Returns how the next ended child ended, None where there is none; does not wait."""
        with suppress(queue.Empty):
            return self._exits.get_nowait()
        return None

    def interrupt(self) -> None:
        """Makes a running or the next `wait` return None. May be called by a signal handler."""
        self.interrupted = True
        self._exits.put(None)

    def running(self) -> list[str]:
        """Returns the names of the children that have not ended, in the order of their start."""
        return [child.name for child in self._children if not child.gone.is_set()]

    def stop(self) -> list[Exit]:
        """Stops the children, the last started first: SIGINT, then SIGTERM, then SIGKILL.

        Returns:
            How those ended that were still running, in the order of their end.
        """
        stopped = [child for child in reversed(self._children) if not child.gone.is_set()]
        for child in stopped:
            child.asked = True
            for number, patience in (
                (signal.SIGINT, self._patience.interrupt),
                (signal.SIGTERM, self._patience.terminate),
                (signal.SIGKILL, None),
            ):
                child.signal(number)
                if child.gone.wait(patience):
                    break
        return [_exit_of(child) for child in stopped]

    def _watch(self, child: _Child) -> None:
        """Waits for the child's end, ends what it left behind, and reports it."""
        # Not reaped yet, its number cannot belong to anybody else when the group is signalled.
        os.waitid(os.P_PID, child.process.pid, os.WEXITED | os.WNOWAIT)
        child.signal(signal.SIGKILL)
        child.process.wait()
        self._exits.put(_exit_of(child))
        child.gone.set()


def _exit_of(child: _Child) -> Exit:
    return Exit(child.name, child.process.wait(), child.asked)


@contextmanager
def interrupted_by_signals(group: ProcessGroup) -> Iterator[None]:
    """SIGINT and SIGTERM, while this is entered, end `group.wait` instead of the program."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        group.interrupt()

    former = {
        number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
