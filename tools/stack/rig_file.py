"""What a rig's parameter files say: the cameras, and what is called at an episode's end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from topreward_ros.nodes.manager.parameters import StopActionSettings, filled

COMPRESSED = "/compressed"
"""Ends the name of a topic of compressed pictures."""
OFFERED = ("trigger", "set_bool", "string")
"""Kinds of stop actions for which there is a stand-in."""


class PlayedCamera(NamedTuple):
    """How a recorded camera reaches the reward node.

    Attributes:
        recorded: topic in the bag.
        published: topic of replay_node, before it is renamed.
        listened: topic that the reward node listens to.
    """

    recorded: str
    published: str
    listened: str


@dataclass(frozen=True)
class Rig:
    """A rig.

    Attributes:
        cameras: topics, in the order of the layout.
        stop_actions: in the order of their running.
    """

    cameras: tuple[str, ...]
    stop_actions: tuple[StopActionSettings, ...]

    def without(self, topics: Sequence[str]) -> list[str]:
        """Returns the rig's cameras that are not among topics, whatever their transport."""
        there = {_plain(topic) for topic in topics}
        return [camera for camera in self.cameras if _plain(camera) not in there]

    def calls_after(self, reason: str) -> list[str]:
        """Returns what the robot is to hear after an episode's end, as `call` writes it.

        Args:
            reason: `EpisodeEvent.REASON_*`.
        """
        calls = []
        for action in self.stop_actions:
            said = {"string": filled(action.values), "set_bool": [str(action.data)]}
            if reason in action.when:
                calls += [call(action.target, text) for text in said.get(action.type, [""])]
        return calls


def call(target: str, said: str = "") -> str:
    """Returns a call of a stop action as one text.

    Args:
        target: service or topic.
        said: what was sent, if anything.
    """
    return f"{target} {said}".strip()


def read_rig(files: Sequence[Path]) -> Rig:
    """Reads a rig's parameter files.

    Args:
        files: the later ones rule.

    Raises:
        ValueError: they name no camera, or a stop action that has no stand-in.
    """
    cameras = _parameters(files, "reward_node").get("cameras")
    if not cameras:
        raise ValueError(f"{files[-1]} names no cameras of reward_node.")
    manager = _parameters(files, "episode_manager")
    names = filled(manager.get("stop_actions", []))
    return Rig(tuple(cameras), tuple(_action(name, manager.get(name, {})) for name in names))


def pair_cameras(cameras: Sequence[str], recorded: Mapping[str, bool]) -> list[PlayedCamera]:
    """Says which recorded camera is played as which one of the rig.

    Names count without `/compressed`. Where no name is the same, the first recorded camera is taken
    for the first of the rig, and so on.

    Args:
        cameras: the rig's topics.
        recorded: topics of the bag, and whether their pictures are compressed.

    Returns:
        The rig's cameras that are in the bag, in the rig's order.
    """
    known = {_plain(name): name for name in recorded}
    pairs = [(camera, known[_plain(camera)]) for camera in cameras if _plain(camera) in known]
    return [
        _played(camera, name, recorded[name])
        for camera, name in pairs or zip(cameras, recorded, strict=False)
    ]


def _played(camera: str, recorded: str, compressed: bool) -> PlayedCamera:
    encoded = not compressed and camera.endswith(COMPRESSED)
    published = recorded + COMPRESSED if encoded else recorded
    listened = _plain(camera) + (COMPRESSED if compressed or encoded else "")
    return PlayedCamera(recorded, published, listened)


def _plain(topic: str) -> str:
    return topic.removesuffix(COMPRESSED)


def _parameters(files: Sequence[Path], node: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in files:
        content = yaml.safe_load(file.read_text()) or {}
        found |= content.get(f"/**/{node}", {}).get("ros__parameters", {})
    return found


def _action(name: str, given: Mapping[str, Any]) -> StopActionSettings:
    frozen = {
        key: tuple(value) if isinstance(value, list) else value for key, value in given.items()
    }
    action = StopActionSettings(**frozen)
    if action.type not in OFFERED:
        raise ValueError(
            f"The stop action {name} is of type {action.type!r}; there is a stand-in for "
            f"{', '.join(OFFERED)}."
        )
    return action
