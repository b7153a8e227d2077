"""Processes that others have started, and the addresses at which they listen."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path


def runs(pid):
    """Whether a process is there and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def below(root):
    """All processes that descend from one and run; only these are looked at, for it is often."""
    found, new = set(), {root}
    while new:
        children = set()
        for pid in new:
            for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    children |= set(map(int, tasks.read_text().split()))
        new = children - found
        found |= new
    return {pid for pid in found if runs(pid)}


def title(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def await_end_of(pids, scratch, patience):
    """Waits until these processes are gone; their folder has to be empty then, and goes too."""
    end = time.monotonic() + patience
    while left := {pid: title(pid) for pid in pids if runs(pid)}:
        assert time.monotonic() < end, left
        time.sleep(0.05)
    assert list(scratch.iterdir()) == []
    scratch.rmdir()


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}
"""Of IPv4, that as IPv6 has it, and of IPv6, as Linux prints them."""


def listening(pids):
    """Addresses at which any of these processes takes connections, as Linux prints them."""
    sockets = set()
    for pid in pids:
        for path in Path(f"/proc/{pid}/fd").glob("*"):
            with contextlib.suppress(OSError):
                sockets.add(str(path.readlink()))
    found = set()
    for name in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in sockets:
                found.add(words[1].split(":")[0])
    return found
