"""A node's claim to its name: of several nodes with one name the one that had it first keeps it.

Each says on `~/name_claim` that it is there, latched. A process that was killed stays on the graph
for the twenty seconds of its lease, but says nothing: whoever is heard is alive.
"""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from typing import NamedTuple

from rclpy.clock import Clock, ClockType
from rclpy.duration import Duration
from rclpy.task import Future
from std_msgs.msg import String

from topreward_ros.nodes.messages import latched
from topreward_ros.nodes.printable_node import PrintableNode
from topreward_ros.nodes.publishers import is_named

GRACE = 3.0
"""s from a node's start until its name is its own: within it the others on the graph are heard, and
nothing is done that two of one name must not both do."""
PARTING = 2.0
"""s, at most, that a node which leaves waits until the one that stays has heard of it."""
TOPIC = "~/name_claim"
NEW, HOLDS = "new", "holds"


class Claim(NamedTuple):
    """What one node says; as text: "<standing> <key> <where>".

    Attributes:
        standing: NEW, or HOLDS once its name is its own.
        key: of the node, 32 hexadecimal digits; between equals the lower one stays.
        where: process and host, for people.
    """

    standing: str
    key: str
    where: str

    @classmethod
    def read(cls, text: str) -> Claim | None:
        """Reads the text; None for one that is none."""
        standing, _, rest = text.partition(" ")
        key, _, where = rest.partition(" ")
        right = standing in (NEW, HOLDS) and len(key) == 32 and len(where) <= 300
        return cls(standing, key, where) if right else None

    def stays(self, other: Claim) -> bool:
        """Whether this one's node stays, and the other's goes."""
        return (self.standing != HOLDS, self.key) < (other.standing != HOLDS, other.key)


class NameClaim:
    """Claims a node's name.

    Attributes:
        held: done once the name is the node's own.
    """

    def __init__(self, node: PrintableNode, kept: Callable[[str], None]) -> None:
        """Says that the node is there, and listens for others.

        Args:
            node: which has the name; it leaves where that is another's already.
            kept: told, once of each, of others that came later; one sentence.
        """
        self.held: Future = Future()
        self._node = node
        self._kept = kept
        self._own = Claim(NEW, uuid.uuid4().hex, f"process {os.getpid()} on {socket.gethostname()}")
        self._told: set[str] = set()
        self._publisher = node.create_publisher(String, TOPIC, latched())
        node.create_subscription(String, TOPIC, self._hear, latched(10))
        clock = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = node.create_timer(GRACE, self._hold, clock=clock)
        self._say()

    def _say(self) -> None:
        self._publisher.publish(String(data=" ".join(self._own)))

    def _hold(self) -> None:
        self._node.destroy_timer(self._timer)
        self._own = self._own._replace(standing=HOLDS)
        self._say()
        self.held.set_result(None)

    def _hear(self, message: String) -> None:
        other = Claim.read(message.data)
        if other is None or other.key == self._own.key or not self._named_alike():
            return
        name = self._node.get_fully_qualified_name()
        if not self._own.stays(other):
            self._be_heard()
            self._node.leave(
                f"{other.where} has the name {name} already; two of one name would both act. End "
                "it, or give this one another name or namespace."
            )
        elif other.key not in self._told:
            self._told.add(other.key)
            self._say()
            self._kept(f"{other.where} came with the name {name} too, and has to go.")

    def _be_heard(self) -> None:
        """Waits for the others to get this node's claim, which is gone from the graph with it."""
        end = time.monotonic() + PARTING
        topic = self._publisher.topic_name
        while (left := end - time.monotonic()) > 0:
            if self._publisher.get_subscription_count() >= self._node.count_publishers(topic):
                self._publisher.wait_for_all_acked(Duration(seconds=left))
                return
            time.sleep(0.01)

    def _named_alike(self) -> bool:
        """Whether only nodes of this name speak on the topic: others claim nothing."""
        own = (self._node.get_name(), self._node.get_namespace())
        speakers = self._node.get_publishers_info_by_topic(self._publisher.topic_name)
        return all(
            (one.node_name, one.node_namespace) == own or not is_named(one) for one in speakers
        )
