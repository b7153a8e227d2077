"""Who else publishes what only the reward node may: on an open graph anyone can.

A message does not say who sent it (rclpy 7 gives its times and sequence numbers, no publisher), so
that with a second publisher on a topic nothing on it can be believed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rclpy.node import Node

from topreward_ros.nodes.publishers import NOBODY, full_name, is_named

NAMING = 25.0
"""s for a publisher's node to become known, as discovery tells of endpoints first, and for one of a
killed process to be forgotten, whose name may go before it. Meanwhile nothing of it is believed."""


class Strangers:
    """Looks for publishers on the reward node's topics that are another node's.

    Attributes:
        told: the sentence about them that was told last; empty while there are none.
    """

    def __init__(
        self, node: Node, name: str, topics: Sequence[str], now: Callable[[], float]
    ) -> None:
        """Knows nobody yet.

        Args:
            node: which listens.
            name: full name of the reward node.
            topics: full names of what only it may publish.
            now: returns s of the steady clock.
        """
        self.told = ""
        self._seen: set[tuple[int, ...]] = set()
        self._node = node
        self._name = name
        self._topics = tuple(topics)
        self._now = now
        self._nameless: dict[tuple[int, ...], float] = {}

    def believed(self, topic: str) -> bool:
        """Whether a message that has come on a topic just now is the reward node's."""
        own, nameless, others = self._publishers(topic)
        # A nameless one may be the reward node itself, just found, unless that is there already.
        return not others and not (own and nameless)

    def look(self) -> str:
        """Looks for all strangers of now; returns one sentence, empty if there are none."""
        self._seen.clear()
        found: dict[str, list[str]] = {}
        for topic in self._topics:
            for name in self._publishers(topic)[2]:
                found.setdefault(name, []).append(topic)
        self._nameless = {gid: at for gid, at in self._nameless.items() if gid in self._seen}
        who = "; ".join(f"{name} publishes on {', '.join(where)}" for name, where in found.items())
        self.told = who and (
            f"{who}, where {self._name} alone may speak: nothing that is heard there can be "
            "believed. End that node, or secure the graph (docs/security.md)."
        )
        return self.told

    def _publishers(self, topic: str) -> tuple[int, int, list[str]]:
        """Counts the reward node's own and the nameless publishers; names the other nodes."""
        own, nameless, others = 0, 0, []
        for one in self._node.get_publishers_info_by_topic(topic):
            name = full_name(one)
            if name == self._name:
                own += 1
            elif not is_named(one):
                gid = tuple(one.endpoint_gid)
                self._seen.add(gid)
                nameless += 1
                if self._now() - self._nameless.setdefault(gid, self._now()) > NAMING:
                    others.append(NOBODY)
            else:
                others.append(name)
        return own, nameless, sorted(set(others))
