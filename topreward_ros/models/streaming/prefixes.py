"""All prefixes of a recorded episode for little more than the price of one.

The video goes through the language model once; then the questions of all prefixes go through it
many at a time, each seeing as much of the video as its prefix holds. The longest prefixes come
first, so that a step's keys end where its longest prefix does, and its own may overwrite the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.runtime.kv_cache import PreallocatedCache
from topreward_ros.models.streaming.branch_mask import Branch, branch_mask
from topreward_ros.models.video_unit import unit_of, units_of

VIDEO_STEP_TOKENS = 2048
"""Tokens of video per language-model step; bounds the memory of its activations."""
QUESTION_STEP_TOKENS = 512
"""Tokens of questions per step: enough to keep a processor busy, and few that see too far."""
MASK_ELEMENTS = 2**25
"""Elements of one step's mask and scores; bounds its memory under a long video."""


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
    cache = backbone.new_cache(_capacity([preamble, *units], backbone.unit_tokens + len(suffix)))
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
    longest_first = sorted(range(len(prefixes)), key=lambda index: -prefixes[index].sees)
    groups = _groups([prefixes[index] for index in longest_first])
    scores = torch.cat([_score(backbone, cache, group) for group in groups])
    return scores.double().cpu().numpy()[np.argsort(longest_first)]


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


def _capacity(video: Sequence[Chunk], tail: int) -> int:
    return sum(map(len, video)) + max(QUESTION_STEP_TOKENS, tail)


def _batches(chunks: Sequence[Chunk]) -> Iterator[list[tuple[int, Chunk]]]:
    batch: list[tuple[int, Chunk]] = []
    for index, chunk in enumerate(chunks):
        if batch and sum(len(held) for _, held in batch) + len(chunk) > VIDEO_STEP_TOKENS:
            yield batch
            batch = []
        batch.append((index, chunk))
    yield batch


def _groups(longest_first: Sequence[_Prefix]) -> Iterator[list[_Prefix]]:
    group: list[_Prefix] = []
    for prefix in longest_first:
        if group and not _fits_a_step([*group, prefix]):
            yield group
            group = []
        group.append(prefix)
    yield group


def _fits_a_step(longest_first: Sequence[_Prefix]) -> bool:
    step = sum(map(len, longest_first))
    return step <= QUESTION_STEP_TOKENS and step * (longest_first[0].sees + step) <= MASK_ELEMENTS


def _score(
    backbone: Backbone, cache: PreallocatedCache, longest_first: Sequence[_Prefix]
) -> torch.Tensor:
    held = longest_first[0].sees
    cache.rewind(held)
    branches = [Branch(len(prefix), prefix.sees) for prefix in longest_first]
    chunks = [chunk for prefix in longest_first for chunk in prefix.tail]
    starts = []
    for prefix in longest_first:
        offsets, _ = _starts(prefix.tail)
        starts += [prefix.position + offset for offset in offsets]
    mask = branch_mask(held, 0, branches, chunks[0].embeds.dtype, chunks[0].embeds.device)
    hidden = backbone.hidden(chunks, starts, cache, mask)
    ends = torch.tensor([len(prefix) for prefix in longest_first]).cumsum(0) - 1
    return backbone.answer(hidden[ends.to(hidden.device)])
