"""Which sections of a parameter file reach which node.

ROS takes a section for a node whose full name its key matches, and says nothing of one that matches
none: `reward_node:` is the node `/reward_node`, and not the one in a namespace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from topreward_ros.small_files import FileRefused, load_yaml, read_small

PARAMETERS = "ros__parameters"


class UnreachedError(ValueError):
    """A parameter file that is no use; one sentence."""


@dataclass(frozen=True)
class FileReach:
    """What becomes of a parameter file.

    Attributes:
        file: the file.
        reached: the nodes that each section reaches, by the section's key; empty: none.
    """

    file: Path
    reached: dict[str, tuple[str, ...]]

    def lines(self) -> Iterator[str]:
        """Yields a sentence on each section."""
        for section, nodes in self.reached.items():
            if nodes:
                yield f"{self.file}: {section} is for {', '.join(nodes)}."
            else:
                yield f"{self.file}: {section} is for no node here, and is ignored."


def file_reach(file: Path, namespace: str, nodes: Sequence[str]) -> FileReach:
    """Finds out which nodes a parameter file reaches.

    Args:
        file: the file.
        namespace: of the nodes.
        nodes: their names.

    Raises:
        UnreachedError: it cannot be read, or reaches none of them.
    """
    try:
        document = load_yaml(read_small(file))
    except FileRefused as error:
        raise UnreachedError(f"The parameter file {file} is not read: {error}.") from None
    sections = list(_sections(document, ""))
    full = {f"/{namespace.strip('/')}/{node}".replace("//", "/"): node for node in nodes}
    reached = {
        section: tuple(node for name, node in full.items() if _pattern(section).fullmatch(name))
        for section in sections
    }
    if not any(reached.values()):
        told = ", ".join(sections) or f"no section with {PARAMETERS}"
        raise UnreachedError(
            f"The parameter file {file} reaches no node: it has {told}, and the nodes are "
            f"{', '.join(full)}; write /**/{nodes[0]}: for one in any namespace."
        )
    return FileReach(file, reached)


def _sections(document: Any, above: str) -> Iterator[str]:
    """Yields the keys above each `ros__parameters`, those of nested namespaces joined."""
    if not isinstance(document, Mapping):
        return
    for key, value in document.items():
        section = f"{above}/{key}" if above else str(key)
        if isinstance(value, Mapping) and PARAMETERS in value:
            yield section
        elif key != PARAMETERS:
            yield from _sections(value, section)


def _pattern(section: str) -> re.Pattern[str]:
    """Returns what a section's key matches, as rcl_yaml_param_parser has it."""
    parts = [part for part in section.split("/") if part]
    wild = {"**": r"(?:/[^/]+)*", "*": r"/[^/]+"}
    return re.compile("".join(wild.get(part, f"/{re.escape(part)}") for part in parts))
