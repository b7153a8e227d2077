"""How training goes on: by the processor's time, in processes and pieces, one or several."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import torch
from torch import distributed
from tqdm import tqdm

from tools.pieces import Piece

KEEP_EVERY = 120.0
"""Seconds between two states that are kept: what is lost at most when training is killed."""


def rate(step: float, total: float, peak: float, warm: float = 0.03) -> float:
    """Learning rate: a short rise, then a cosine to nearly nothing; `step` out of `total`."""
    part = min(step / total, 1.0)
    if part < warm:
        return peak * part / warm
    fall = 0.5 * (1.0 + math.cos(math.pi * (part - warm) / (1.0 - warm)))
    return peak * (0.02 + 0.98 * fall)


class Workers:
    """Processes that train one model together, one core each; their gradients are averaged."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1:
            distributed.init_process_group("gloo", timeout=timedelta(minutes=30))

    def agree(self, value: float) -> float:
        """The first process's value."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return float(shared)

    def average_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes."""
        if self.count == 1:
            return
        found = [p for p in parameters if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in found])
        distributed.all_reduce(flat)
        parts = flat.div_(self.count).split([p.numel() for p in found])
        for parameter, part in zip(found, parts, strict=True):
            parameter.grad.copy_(part.view_as(parameter))


class PieceOver(Exception):
    """The time of this piece is over; the state is kept."""


class Timed:
    """Steps until the minutes are over; gives the part of the time that has passed.

    Args:
        minutes: of this process's time on a processor, those of former pieces too: what is trained
            does not depend on what else runs on the machine.
        name: for the progress bar.
        workers: who stop together.
        spent: seconds of it in former pieces.
        step: the first step's number.
        piece: when to stop, to go on later; None: never.
        keep: keeps the state, given the next step's number and the seconds spent; every
            `KEEP_EVERY` seconds and when the piece is over.
    """

    def __init__(
        self,
        minutes: float,
        name: str,
        workers: Workers,
        *,
        spent: float = 0.0,
        step: int = 0,
        piece: Piece | None = None,
        keep: Callable[[int, float], None] | None = None,
    ) -> None:
        self._seconds = minutes * 60
        self._name = name
        self._workers = workers
        self._spent, self._step = spent, step
        self._piece, self._keep = piece, keep

    def __iter__(self) -> Iterator[tuple[int, float, tqdm]]:
        """Steps.

        Raises:
            PieceOver: the piece is over before the minutes are.
        """
        begin, step = time.process_time() - self._spent, self._step
        kept = begin + self._spent
        quiet = self._workers.rank > 0
        with tqdm(total=100, desc=self._name, mininterval=20, disable=quiet) as bar:
            while True:
                seconds = self._workers.agree(time.process_time() - begin)
                if seconds >= self._seconds:
                    return
                yield step, seconds / self._seconds, bar
                bar.update(int(100 * seconds / self._seconds) - bar.n)
                step += 1
                now = time.process_time()
                over = self._workers.agree(float(self._piece is not None and self._piece.over)) > 0
                if self._keep is not None and (over or now - kept >= KEEP_EVERY):
                    kept = now
                    self._keep(step, now - begin)
                    left = (self._seconds - (now - begin)) / 60.0
                    if not quiet:
                        bar.write(f"{self._name}: {step} steps, {left:.0f} min left")
                if over:
                    raise PieceOver
