"""Caches of a scorer, allocated once and used by one session after the other."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from topreward_ros.models.backbone import MAX_SUFFIX_TOKENS, Backbone, Chunk
from topreward_ros.models.contract import Rewind, SessionReplaced
from topreward_ros.models.streaming.branch_mask import Branch, branch_mask
from topreward_ros.models.streaming.fixed_updates import FixedUpdates
from topreward_ros.models.streaming.unit_store import UnitStore, store_bytes

Mark = Any
"""What a cache needs to come back to a point; only the cache knows what that is."""


class Track:
    """A cache together with the rotary position that follows it.

    Its first tokens are the text before the video, which outlives every episode.
    """

    def __init__(self, backbone: Backbone, tokens: int, *, fixed_shapes: bool = False) -> None:
        """Allocates room and writes the text before the video.

        Args:
            backbone: the model.
            tokens: that the cache has room for.
            fixed_shapes: run updates in fixed shapes where that can be, as a GPU records them.
        """
        self._backbone = backbone
        self._cache = backbone.new_cache(tokens)
        self._position = 0
        self.append([backbone.preamble()])
        self.fixed = FixedUpdates(backbone, self._cache) if fixed_shapes else None
        self._start = self._mark()

    @torch.inference_mode()
    def clear(self) -> None:
        """Forgets the video."""
        self._rewind(self._start)

    def append(self, chunks: Sequence[Chunk]) -> None:
        """Commits chunks without reading anything."""
        if chunks:
            self._run(chunks)

    def rehearse(self, unit: Chunk, suffix: Chunk) -> None:
        """Runs an update in each fixed shape; the track stays as it is."""
        here = self._mark()
        for held in self.fixed.turns(suffix):
            self._cache.rewind(held)  # which tokens those are does not matter
            self.score([], [unit], [suffix])
        self._rewind(here)

    def take_over(self, other: Track) -> None:
        """Copies another track's video and empties that track."""
        self._cache.copy_from(other._cache)
        self._position = other._position
        other.clear()

    def score(
        self, commits: Sequence[Chunk], provisional: Sequence[Chunk], suffixes: Sequence[Chunk]
    ) -> torch.Tensor:
        """Commits chunks, reads the answer after each suffix, and drops all but the commits.

        Returns:
            (suffixes,) log-probabilities in nats.
        """
        if self._backbone.capabilities.rewind is Rewind.CROP:
            return self._score_together(commits, provisional, suffixes)
        return self._score_in_turn(commits, provisional, suffixes)

    def _score_together(
        self, commits: Sequence[Chunk], provisional: Sequence[Chunk], suffixes: Sequence[Chunk]
    ) -> torch.Tensor:
        """One step, in which a mask hides the suffixes from each other."""
        trunk = [*commits, *provisional]
        held, length = self._cache.length, sum(map(len, trunk))
        starts = self._advance(commits)
        after_commits = self._position
        starts += self._advance(provisional)
        starts += [self._position] * len(suffixes)
        self._position = after_commits
        branches = [Branch(len(suffix), held + length) for suffix in suffixes]
        like, chunks = suffixes[0].embeds, [*trunk, *suffixes]

        def as_it_comes() -> torch.Tensor:
            mask = branch_mask(held, length, branches, like.dtype, like.device)
            hidden = self._backbone.hidden(chunks, starts, self._cache, mask)
            ends = torch.tensor([len(suffix) for suffix in suffixes]).cumsum(0) + length - 1
            return self._backbone.answer(hidden[ends.to(hidden.device)])

        if self.fixed is not None and len(suffixes) == 1:
            scores = self.fixed.score(chunks, starts, as_it_comes)
        else:
            scores = as_it_comes()
        self._cache.rewind(held + sum(map(len, commits)))
        return scores

    def _score_in_turn(
        self, commits: Sequence[Chunk], provisional: Sequence[Chunk], suffixes: Sequence[Chunk]
    ) -> torch.Tensor:
        """One step for each suffix: a recurrent state can be put back, but not masked."""
        self.append(commits)
        committed = self._mark()
        if len(suffixes) > 1:
            self.append(provisional)
            provisional = []
        seen, last = self._mark(), []
        for suffix in suffixes:
            self._rewind(seen)
            last.append(self._run([*provisional, suffix])[-1])
        self._rewind(committed)
        return self._backbone.answer(torch.stack(last))

    def _run(self, chunks: Sequence[Chunk]) -> torch.Tensor:
        return self._backbone.hidden(chunks, self._advance(chunks), self._cache, None)

    def _mark(self) -> tuple[Mark, int]:
        return self._cache.mark(), self._position

    def _rewind(self, mark: tuple[Mark, int]) -> None:
        cached, self._position = mark
        self._cache.rewind(cached)

    def _advance(self, chunks: Sequence[Chunk]) -> list[int]:
        starts = []
        for chunk in chunks:
            starts.append(self._position)
            self._position += chunk.advance
        return starts


class VideoMemory:
    """A main cache, and a shadow that takes over when the video is thinned; of one session.

    Attributes:
        main: what is scored.
        shadow: what is left of it after the next thinning.
        lasting: the units of which shadows are made.
    """

    @torch.inference_mode()
    def __init__(self, backbone: Backbone, max_units: int, *, fixed_shapes: bool = False) -> None:
        """Allocates room for `max_units` units, their shadow, and one step's questions."""
        self.max_units = max_units
        tokens = _main_tokens(backbone, max_units)
        self.main = Track(backbone, tokens, fixed_shapes=fixed_shapes)
        self.shadow = Track(backbone, _shadow_tokens(backbone, max_units))
        self.lasting = UnitStore(backbone, _lasting_units(backbone, max_units))
        self._holder: Callable[[], object | None] = lambda: None

    @property
    def free(self) -> bool:
        """Whether the session that it was of is gone."""
        return self._holder() is None

    def begin(self, session: object) -> None:
        """Forgets the video of the last session, and is another's from now on."""
        self._holder = weakref.ref(session)
        self.main.clear()
        self.shadow.clear()
        self.lasting.clear()

    def check(self, session: object) -> None:
        """Raises SessionReplaced where another session has it by now."""
        if self._holder() is not session:
            raise SessionReplaced(
                "This session was replaced: its scorer has started another one in its memory. Load "
                "the scorer for more sessions, or start this video anew."
            )


def memory_bytes(backbone: Backbone, max_units: int) -> int:
    """Returns what a `VideoMemory` takes."""
    tracks = _main_tokens(backbone, max_units), _shadow_tokens(backbone, max_units)
    caches = sum(backbone.cache_bytes(tokens) for tokens in tracks)
    return caches + store_bytes(backbone, _lasting_units(backbone, max_units))


def _main_tokens(backbone: Backbone, max_units: int) -> int:
    """Returns the tokens that the main cache holds at most during a step."""
    return len(backbone.preamble()) + (max_units + 1) * backbone.unit_tokens + MAX_SUFFIX_TOKENS


def _shadow_tokens(backbone: Backbone, max_units: int) -> int:
    """Returns the tokens that the shadow cache holds at most."""
    units = max_units // 2 + 1 if backbone.capabilities.kv_append else 0
    return len(backbone.preamble()) + units * backbone.unit_tokens


def _lasting_units(backbone: Backbone, max_units: int) -> int:
    return max_units // 2 if backbone.capabilities.kv_append else 0
