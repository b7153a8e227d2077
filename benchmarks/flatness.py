"""Whether an update costs late in a long episode what it cost early, and how much arithmetic says.

A long and a short episode take turns, so that a machine that slows down slows both. What is kept
of the long one grows to its bound and is halved; one such round is measured.
"""

from __future__ import annotations

import statistics

import torch
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from benchmarks.models import TASK, random_video
from benchmarks.results import Results
from benchmarks.timing import timed
from topreward_ros.models.scorer import LocalScorer
from topreward_ros.models.streaming.session import StreamingSession
from topreward_ros.models.streaming.video_memory import VideoMemory

EARLY, SHORT = 5, 12
"""Pairs of the short episode from which its updates count, and after which it starts anew."""
LAST = 4
"""Updates of the long episode that count as those at its end."""
UNBOUNDED = 16
"""Updates that are measured where nothing is ever dropped."""
HASTE = 8
"""Pairs an update while an episode is brought up to the part that is measured."""


def measure(results: Results, name: str, scorer: LocalScorer, pairs: int, goal: str) -> None:
    """Notes what late updates cost over those at about 8 pairs.

    Args:
        results: of the run.
        name: of the model.
        scorer: bounds what is kept.
        pairs: of the long episode.
        goal: of the ratios of times.
    """
    bounded = pairs > scorer.max_pairs
    measured = pairs // 2 if bounded else UNBOUNDED
    long, short = _Episode(scorer, pairs), _Episode(scorer, SHORT)
    long.hurry(pairs - measured)
    early, late, kept, settling = [], [], [], []
    for _ in range(measured):
        late.append(long.update())
        settling.append(long.settle())
        kept.append(long.kept)
        if short.pairs == SHORT:
            short.start()
        taken = short.update()
        if short.pairs >= EARLY:
            early.append(taken)
    at_eight, most = statistics.median(early), max(kept)
    fullest = statistics.median(t for t, held in zip(late, kept, strict=True) if held == most)
    mean, last = statistics.mean(late) / statistics.mean(early), statistics.median(late[-LAST:])
    group = f"(c) {name}, at most {scorer.max_pairs} pairs kept"
    results.add(group, f"update at {pairs} pairs / at 8 pairs", last / at_eight, "x", goal)
    if bounded:
        results.add(group, f"update at {most} kept / at 8 pairs", fullest / at_eight, "x", goal)
        results.add(group, f"mean of updates {measured + 1} to {pairs} / at 8 pairs", mean, "x")
    operations = _operations(scorer, most) / _operations(scorer, 7)
    results.add(group, f"operations at {most} kept / at 8 pairs", operations, "x")
    results.add(group, "slowest update / at 8 pairs", max(late) / at_eight, "x")
    if bounded:
        work = statistics.mean(settling) / statistics.mean(early)
        results.add(group, "settling after a reading, mean / update at 8 pairs", work, "x")


class _Episode:
    """Noise frames that go through a session and caches of their own.

    Attributes:
        pairs: that it has seen; a frame is half of one.
    """

    def __init__(self, scorer: LocalScorer, length: int) -> None:
        self._backbone = scorer.backbone
        self._memory = VideoMemory(scorer.backbone, scorer.max_pairs)
        self._video, self._stamps = random_video(2 * length, scorer.frame_size)
        self.start()

    @property
    def kept(self) -> int:
        """Pairs in the cache."""
        return len(self._session.kept_units)

    def start(self) -> None:
        self._session, self.pairs = StreamingSession(self._backbone, self._memory), 0.0

    def update(self, pairs: float = 1) -> float:
        """Shows pairs and returns how many seconds their reading takes."""
        for index in range(round(2 * self.pairs), round(2 * (self.pairs + pairs))):
            self._session.append(self._video[index], self._stamps[index])
        self.pairs += pairs
        return timed(self._session.log_prob, TASK)[0]

    def settle(self) -> float:
        """Does what is left for the pause after a reading; returns how many seconds it takes."""
        return timed(self._session.settle)[0]

    def hurry(self, pairs: int) -> None:
        """Brings it up to a number of pairs in few updates."""
        while self.pairs < pairs:
            self.update(min(HASTE, pairs - self.pairs))


def _operations(scorer: LocalScorer, kept: int) -> int:
    """Returns the floating-point operations of an update that shows a pair and keeps it not."""
    episode = _Episode(scorer, kept + 1)
    episode.hurry(kept)
    fused = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with FlopCounterMode(display=False, custom_mapping=fused) as counter:
        episode.update(0.5)  # one frame is seen as a pair, but not kept
    return counter.get_total_flops()


def _attention(
    query: torch.Size, key: torch.Size, value: torch.Size, *_: object, **__: object
) -> int:
    return sdpa_flop_count(query, key, value)
