"""The text after the video, tokenized once for each instruction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from topreward_ros.models.backbone import MAX_SUFFIX_TOKENS, Backbone, Chunk


class Questions:
    """The questions that have been asked in one episode."""

    def __init__(self, backbone: Backbone) -> None:
        """Starts with none."""
        self._backbone = backbone
        self._suffixes: dict[str, Chunk] = {}

    def groups(self, instructions: Sequence[str]) -> Iterator[list[Chunk]]:
        """Yields the questions in order, as many at a time as a cache has room for.

        Raises:
            ValueError: an instruction is too long.
        """
        group: list[Chunk] = []
        for suffix in [self._suffix(instruction) for instruction in instructions]:
            if group and sum(map(len, group)) + len(suffix) > MAX_SUFFIX_TOKENS:
                yield group
                group = []
            group.append(suffix)
        if group:
            yield group

    def _suffix(self, instruction: str) -> Chunk:
        if instruction not in self._suffixes:
            chunk = self._backbone.suffix(instruction)
            if len(chunk) > MAX_SUFFIX_TOKENS:
                raise ValueError(
                    f"The instruction makes a question of {len(chunk)} tokens, at most "
                    f"{MAX_SUFFIX_TOKENS} are taken; say the task in one sentence."
                )
            self._suffixes[instruction] = chunk
        return self._suffixes[instruction]
