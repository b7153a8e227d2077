"""Processes that others have started, and the addresses at which they listen."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path


def parents():
    """The parent of every process that runs."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, parent = path.read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                found[int(path.parent.name)] = int(parent)
    return found


def below(root):
    """All processes that descend from one."""
    known, found = parents(), set()
    while more := {pid for pid, parent in known.items() if parent in {root, *found}} - found:
        found |= more
    return found


def title(pid):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    return ""


def await_end_of(pids, scratch, patience):
    """Waits until these processes are gone; their folder has to be empty then, and goes too."""
    end = time.monotonic() + patience
    while left := {pid: title(pid) for pid in pids & set(parents())}:
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
