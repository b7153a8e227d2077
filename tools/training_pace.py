"""How training goes on: by the clock, in one process or several."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import timedelta

import numpy as np
import torch
from torch import distributed
from tqdm import tqdm


def rate(step: float, total: float, peak: float, warm: float = 0.03) -> float:
    """Learning rate: a short rise, then a cosine to nearly nothing; `step` out of `total`."""
    part = min(step / total, 1.0)
    if part < warm:
        return peak * part / warm
    return peak * (0.02 + 0.98 * 0.5 * (1.0 + np.cos(np.pi * (part - warm) / (1.0 - warm))))


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


class Timed:
    """Steps until the minutes are over; gives the part of the time that has passed.

    Args:
        minutes: of wall clock.
        name: for the progress bar.
        workers: who stop together.
    """

    def __init__(self, minutes: float, name: str, workers: Workers) -> None:
        self._seconds = minutes * 60
        self._name = name
        self._workers = workers

    def __iter__(self) -> Iterator[tuple[int, float, tqdm]]:
        begin, step = time.monotonic(), 0
        quiet = self._workers.rank > 0
        with tqdm(total=100, desc=self._name, mininterval=20, disable=quiet) as bar:
            while (part := self._workers.agree(time.monotonic() - begin) / self._seconds) < 1.0:
                yield step, part, bar
                bar.update(int(part * 100) - bar.n)
                step += 1
