"""An exact update whose cost does not grow: one language-model step per update.

Committed units of frames stay in the cache. An update appends the new units, a provisional one (an
odd newest frame, or a unit that thinning will not keep) and the question, reads one position, and
takes the provisional unit and the question out again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from topreward_ros.models.backbone import Backbone, Chunk
from topreward_ros.models.streaming.frame_order import FrameOrder
from topreward_ros.models.streaming.kept_video import restored_thinning
from topreward_ros.models.streaming.questions import Questions
from topreward_ros.models.streaming.thinning import Thinning
from topreward_ros.models.streaming.video_memory import VideoMemory
from topreward_ros.models.video_unit import VideoUnit, unit_of

RESTORED_TOGETHER = 16
"""Units in one step of the language model; bounds the memory of its activations."""


class StreamingSession:
    """One episode's video in the caches of a scorer."""

    def __init__(self, backbone: Backbone, memory: VideoMemory) -> None:
        """Takes the caches over from whatever session used them before.

        Args:
            backbone: the model.
            memory: its caches; a session that used them before refuses from now on.
        """
        memory.begin(self)
        self._memory = memory
        self._backbone = backbone
        self._order = FrameOrder(backbone.frame_size)
        self._size = backbone.capabilities.frames_per_unit
        self._loose: list[tuple[NDArray[np.uint8], float]] = []
        self._encoded = self._units = 0
        self._thinning = Thinning(memory.max_units)
        self._provisional: Chunk | None = None
        self._main, self._shadow, self._lasting = memory.main, memory.shadow, memory.lasting
        self._questions = Questions(backbone)

    @property
    def frames(self) -> int:
        """Number of frames appended so far."""
        return self._order.frames

    @property
    def kept_units(self) -> tuple[int, ...]:
        """Indices of the units in the cache, oldest first."""
        return tuple(self._thinning.kept)

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame; see `VideoSession.append`."""
        self._memory.check(self)
        self._order.check(frame, stamp)
        self._loose.append((frame.copy(), stamp))

    @torch.inference_mode()
    def restore(self, units: Sequence[VideoUnit], frames: int) -> None:
        """Goes on with a video that another session has kept; see `restored_thinning`."""
        self._memory.check(self)
        limit = self._memory.max_units
        self._thinning = restored_thinning(self._order, units, frames, self._size, limit)
        self._units, loose = divmod(frames, self._size)
        self._encoded = frames - loose
        complete = units[: len(units) - bool(loose)]
        if loose:
            newest = zip(units[-1].frames, units[-1].stamps, strict=True)
            self._loose = [(frame.copy(), stamp) for frame, stamp in newest][:loose]
        commits: list[Chunk] = []
        for unit, chunk in zip(complete, self._backbone.units(complete), strict=True):
            if unit.number not in self._thinning.kept:
                self._provisional = chunk
                continue
            commits.append(chunk)
            if self._thinning.lasts(unit.number):
                self._lasting.put(unit.number, chunk)
        for first in range(0, len(commits), RESTORED_TOGETHER):
            self._main.append(commits[first : first + RESTORED_TOGETHER])
        self._shadow.append([self._lasting.get(index) for index in self._thinning.shadow])

    def log_prob(self, instruction: str) -> float:
        """Returns log p(answer | video so far, instruction) in nats."""
        return float(self.log_probs([instruction])[0])

    @torch.inference_mode()
    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        self._memory.check(self)
        self._order.require_frames()
        if not instructions:
            return np.empty(0)
        groups = list(self._questions.groups(instructions))
        pending = self._take_units()
        provisional = [] if self._provisional is None else [self._provisional]
        scores = []
        for group in groups:
            scores.append(self._main.score(pending, provisional, group))
            pending = []
        return torch.cat(scores).double().cpu().numpy()

    @torch.inference_mode()
    def settle(self) -> None:
        """Brings the shadow up to the video; see `VideoSession.settle`."""
        self._memory.check(self)
        index = self._thinning.feed_shadow()
        if index is not None:
            self._shadow.append([self._lasting.get(index)])

    def _take_units(self) -> list[Chunk]:
        """Encodes the frames that wait; returns the units to commit with the next step."""
        commits: list[Chunk] = []
        if self._encoded == self.frames:
            return commits
        self._encoded = self.frames
        while self._loose:
            group, self._loose = self._loose[: self._size], self._loose[self._size :]
            frames = unit_of(*zip(*group, strict=True), self._size, self._units)
            unit = self._backbone.unit(frames)
            if len(group) < self._size:
                # The frame waits for its partner and is encoded with it then.
                self._loose, self._provisional = group, unit
                break
            commits = self._place(unit, commits)
        return commits

    def _place(self, unit: Chunk, commits: list[Chunk]) -> list[Chunk]:
        """Decides whether a complete unit is kept; returns what is still to be committed."""
        self.settle()
        index, self._units = self._units, self._units + 1
        self._provisional = None
        if not self._thinning.keeps(index):
            self._provisional = unit
            return commits
        if self._thinning.full:
            self._main.append(commits)
            self._thin()
            self._provisional, commits = unit, []
        else:
            self._thinning.keep(index)
            if self._thinning.lasts(index):
                self._lasting.put(index, unit)
            commits = [*commits, unit]
        return commits

    def _thin(self) -> None:
        self._thinning.thin()
        self._main.take_over(self._shadow)
        self._lasting.retain(self._thinning.lasts)
