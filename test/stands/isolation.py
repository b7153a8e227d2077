"""Keeps what a test starts away from all else on the machine, and within reach of Ctrl-C."""

from __future__ import annotations

import random
import signal
import socket

LAST_DOMAIN = 101
"""Above it a domain's ports are those that Linux hands out freely."""


class Domain:
    """A ROS domain that nobody else has: no test, worker or suite on this machine.

    A name in the network's own namespace holds it, which leaves no file and is free again when the
    process ends, however it ends.

    Attributes:
        number: for ROS_DOMAIN_ID.
    """

    def __init__(self) -> None:
        """Takes one that is free; raises RuntimeError where all are taken."""
        for number in random.SystemRandom().sample(range(1, LAST_DOMAIN + 1), LAST_DOMAIN):
            self._holder = socket.socket(socket.AF_UNIX)
            try:
                self._holder.bind(f"\0topreward_ros/test/domain/{number}")
            except OSError:
                self._holder.close()
            else:
                self.number = number
                return
        raise RuntimeError(f"Tests on this machine hold all ROS domains from 1 to {LAST_DOMAIN}.")

    def release(self) -> None:
        """Gives it back."""
        self._holder.close()


def let_children_be_interrupted() -> None:
    """Gives children the usual SIGINT, also where this process was told to ignore it.

    A shell without job control tells so to its jobs in the background. A child inherits what is
    ignored, and not what is handled.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, lambda *_: None)
