"""Two machines with two links between them, as a robot has with cable and radio.

Network namespaces of this machine stand for them: needs root and iproute2, and leaves nothing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

ROBOT, DESK = "topreward_robot", "topreward_desk"
LINKS = (1, 2)


class TwoMachines:
    """What runs on one of them hears the other one over whatever link is up."""

    def command(self, machine: str, words: list[str]) -> list[str]:
        """Returns the command that runs words on a machine."""
        return ["ip", "netns", "exec", f"{machine}_{os.getpid()}", *words]

    def cut(self, link: int) -> None:
        """Pulls the robot's end of a link out."""
        _ip(f"-n {ROBOT}_{os.getpid()} link set robot{link} down")

    def mend(self, link: int) -> None:
        """Puts it in again."""
        _ip(f"-n {ROBOT}_{os.getpid()} link set robot{link} up")


def possible() -> bool:
    """Whether this machine lets two be made of it."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        with two_machines():
            return True
    except subprocess.CalledProcessError:
        return False


@contextmanager
def two_machines() -> Iterator[TwoMachines]:
    """Makes them; raises CalledProcessError where they cannot be."""
    names = {side: f"{side}_{os.getpid()}" for side in (ROBOT, DESK)}
    ends = {ROBOT: "robot", DESK: "desk"}
    try:
        for name in names.values():
            _ip(f"netns add {name}")
            _ip(f"-n {name} link set lo up")
        for link in LINKS:
            peers = f"name desk{link} netns {names[DESK]}"
            _ip(f"-n {names[ROBOT]} link add robot{link} type veth peer {peers}")
            for number, (side, name) in enumerate(names.items(), start=1):
                _ip(f"-n {name} addr add 10.{link}.0.{number}/24 dev {ends[side]}{link}")
                _ip(f"-n {name} link set {ends[side]}{link} up")
        for side, name in names.items():
            _ip(f"-n {name} route add 224.0.0.0/4 dev {ends[side]}1")
        yield TwoMachines()
    finally:
        for name in names.values():
            subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)


def _ip(words: str) -> None:
    subprocess.run(["ip", *words.split()], check=True, capture_output=True)
