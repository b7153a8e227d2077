"""All prefixes of a recorded episode for little more than the price of one.

The video goes through the language model once; then the questions of all prefixes go through it
together, each seeing as much of the video as its prefix holds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, Chunk, unit_of, units_of
from topreward_ros.models.branch_mask import Branch, branch_mask
from topreward_ros.models.kv_cache import PreallocatedCache

VIDEO_STEP_TOKENS = 2048
"""Tokens of video per language-model step; bounds the memory of its activations."""
MASK_ELEMENTS = 2**25
"""Elements of one step's mask and scores; more prefixes are split into several steps."""


@dataclass(frozen=True)
class _Prefix:
    """One prefix: what it sees of the cache, and what it adds."""

    tail: list[Chunk]
    sees: int
    position: int

    def __len__(self) -> int:
        return sum(map(len, self.tail))


@torch.inference_mode()
def score_video_prefixes(
    backbone: Backbone,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    instruction: str,
    prefix_lengths: Sequence[int],
) -> NDArray[np.float64]:
    """Returns log p(answer | first n frames, instruction) for each n of `prefix_lengths`.

    Args:
        backbone: a family that can append to its cache and crop it.
        frames: each (height, width, 3) uint8 RGB.
        stamps: seconds since the episode's start.
        instruction: the task.
        prefix_lengths: numbers of frames, each from 1 to len(frames), in any order.

    Returns:
        (len(prefix_lengths),) nats.
    """
    size = backbone.capabilities.frames_per_unit
    whole = max(prefix_lengths) // size * size
    preamble, suffix = backbone.preamble(), backbone.suffix(instruction)
    units = backbone.units(units_of(frames[:whole], stamps[:whole], size))
    cache = backbone.new_cache(_capacity(preamble, units, suffix, len(prefix_lengths), backbone))
    starts, position = _starts([preamble, *units])
    ends = [len(preamble), *(len(preamble) + np.cumsum([len(unit) for unit in units])).tolist()]
    for batch in _batches([preamble, *units]):
        backbone.hidden(*zip(*((chunk, starts[i]) for i, chunk in batch), strict=True), cache, None)
    positions = [*starts[1:], position]
    loose = _loose_units(backbone, frames, stamps, prefix_lengths)
    prefixes = []
    for length in prefix_lengths:
        number = length // size
        tail = [*loose.get(length, ()), suffix]
        prefixes.append(_Prefix(tail, ends[number], positions[number]))
    scores = [_score(backbone, cache, group) for group in _groups(prefixes, cache.length)]
    return torch.cat(scores).double().cpu().numpy()


def _loose_units(
    backbone: Backbone,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    prefix_lengths: Sequence[int],
) -> dict[int, tuple[Chunk]]:
    """Returns by length of a prefix its provisional unit, where it ends in the midst of one."""
    size = backbone.capabilities.frames_per_unit
    cut = sorted({length for length in prefix_lengths if length % size})
    units = []
    for length in cut:
        held = slice(length // size * size, length)
        units.append(unit_of(frames[held], stamps[held], size, length // size))
    return {length: (chunk,) for length, chunk in zip(cut, backbone.units(units), strict=True)}


def _starts(chunks: Sequence[Chunk]) -> tuple[list[int], int]:
    starts, position = [], 0
    for chunk in chunks:
        starts.append(position)
        position += chunk.advance
    return starts, position


def _capacity(
    preamble: Chunk, units: Sequence[Chunk], suffix: Chunk, prefixes: int, backbone: Backbone
) -> int:
    video = len(preamble) + sum(map(len, units))
    tail = backbone.unit_tokens + len(suffix)
    return video + min(prefixes, _most_branches(video, tail)) * tail


def _most_branches(held: int, tail: int) -> int:
    """Returns how many tails of a length fit one step: n·tail rows by held + n·tail columns."""
    rows = (-held + (held**2 + 4 * MASK_ELEMENTS) ** 0.5) / 2
    return max(1, int(rows / tail))


def _batches(chunks: Sequence[Chunk]) -> Iterator[list[tuple[int, Chunk]]]:
    batch: list[tuple[int, Chunk]] = []
    for index, chunk in enumerate(chunks):
        if batch and sum(len(held) for _, held in batch) + len(chunk) > VIDEO_STEP_TOKENS:
            yield batch
            batch = []
        batch.append((index, chunk))
    yield batch


def _groups(prefixes: Sequence[_Prefix], held: int) -> Iterator[list[_Prefix]]:
    most = _most_branches(held, max(map(len, prefixes)))
    for first in range(0, len(prefixes), most):
        yield list(prefixes[first : first + most])


def _score(
    backbone: Backbone, cache: PreallocatedCache, prefixes: Sequence[_Prefix]
) -> torch.Tensor:
    held = cache.mark()
    branches = [Branch(len(prefix), prefix.sees) for prefix in prefixes]
    chunks = [chunk for prefix in prefixes for chunk in prefix.tail]
    starts = []
    for prefix in prefixes:
        offsets, _ = _starts(prefix.tail)
        starts += [prefix.position + offset for offset in offsets]
    mask = branch_mask(held, 0, branches, chunks[0].embeds.dtype, chunks[0].embeds.device)
    hidden = backbone.hidden(chunks, starts, cache, mask)
    cache.rewind(held)
    ends = torch.tensor([len(prefix) for prefix in prefixes]).cumsum(0) - 1
    return backbone.answer(hidden[ends.to(hidden.device)])
