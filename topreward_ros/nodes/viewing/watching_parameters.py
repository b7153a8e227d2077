"""The parameters of every node that shows an episode: whom it watches, and which cameras."""

from __future__ import annotations

from dataclasses import dataclass

from topreward_ros.nodes.parameters import parameter

KEPT_EVENTS = 10
"""Of the manager: its stop actions are told after the end that is to be shown."""


@dataclass(frozen=True)
class WatchingParameters:
    """Values of them, read at the start; the descriptions are in the fields' metadata."""

    reward_node: str = parameter(
        "reward_node", "Name of the reward node; relative: in this namespace."
    )
    episode_manager: str = parameter(
        "episode_manager", "Name of the manager, if there is one; relative: in this namespace."
    )
    cameras: tuple[str, ...] = parameter(
        ("",), 'Image topics; [""]: those of the reward node, as it has them.'
    )
    transport: str = parameter(
        "auto",
        "Type of the image topics: raw (Image), compressed (CompressedImage), auto (as published).",
        choices=("auto", "raw", "compressed"),
    )

    @property
    def source(self) -> str:
        """Name of the reward node, with which its topics begin."""
        return self.reward_node.rstrip("/")

    @property
    def managers_events(self) -> str:
        """The topic on which the manager tells of episodes."""
        return f"{self.episode_manager.rstrip('/')}/episode_event"

    @property
    def own_cameras(self) -> tuple[str, ...]:
        """The image topics given to this node itself; empty: those of the reward node."""
        return tuple(topic for topic in self.cameras if topic)
