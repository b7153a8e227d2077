"""Updates of Qwen3-VL-8B and -4B on a GPU: random weights, published architectures."""

from __future__ import annotations

import gc
import tempfile
from pathlib import Path

import numpy as np
import torch

from benchmarks.models import PUBLISHED, TASK, random_video, write_checkpoint
from benchmarks.results import Results
from benchmarks.timing import timed
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.scorer import LocalScorer

SIZE = (256, 256)
PAIRS = (8, 64, 256)
FLOOR = {"none": 16.3e9, "int8": 9.3e9, "nf4": 6.3e9}
"""Bytes of weights of Qwen3-VL-8B that an update reads at least."""


def measure(results: Results, *, quick: bool = False) -> None:
    """Says so where there is no GPU; needs about 20 GB of GPU memory and of disk."""
    if not torch.cuda.is_available():
        print("gpu: not measured, PyTorch sees no CUDA device here.")
        return
    bandwidth = _bandwidth()
    results.add("gpu", "measured memory bandwidth", bandwidth / 1e9, "GB/s")
    for name, config in PUBLISHED.items():
        with tempfile.TemporaryDirectory() as directory:
            write_checkpoint(config, Path(directory))
            for quantization in ("none", "int8", "nf4"):
                group = f"{name} {quantization}"
                for recorded in (True, False):
                    _measure_model(results, directory, quantization, group, recorded, quick=quick)
                if name == "Qwen3-VL-8B":
                    floor = 1e3 * FLOOR[quantization] / bandwidth
                    results.add(group, "floor: reading the weights once", floor, "ms")


def _measure_model(
    results: Results, directory: str, quantization: str, group: str, recorded: bool, *, quick: bool
) -> None:
    """One model, with its updates recorded as CUDA graphs or as they come."""
    scorer = load_scorer(
        directory,
        device="cuda",
        quantization=quantization,
        frame_size=SIZE,
        max_pairs=2 * max(PAIRS),
        fixed_shapes=recorded,
        rehearse=True,
    )
    way = "CUDA graphs" if recorded else "as it comes"
    _updates(results, scorer, f"{group}, {way}", PAIRS[:1] if quick else PAIRS)
    held = torch.cuda.max_memory_allocated() / 2**30
    results.add(f"{group}, {way}", "GPU memory", held, "GiB")
    del scorer
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()


def _updates(
    results: Results, scorer: LocalScorer, group: str, checkpoints: tuple[int, ...]
) -> None:
    pairs = max(checkpoints) + 16
    video, stamps = random_video(2 * pairs, scorer.frame_size)
    session, taken = scorer.start(), []
    for index in range(0, 2 * pairs, 2):
        session.append(video[index], stamps[index])
        session.append(video[index + 1], stamps[index + 1])
        taken.append(1e3 * timed(session.log_prob, TASK)[0])
        session.settle()
        torch.cuda.synchronize()
    for count in checkpoints:
        around = taken[max(2, count - 8) : count + 8]
        for percentile in (50, 95):
            name = f"update at {count} pairs, p{percentile}"
            results.add(group, name, float(np.percentile(around, percentile)), "ms")


def _bandwidth() -> float:
    """Returns bytes per second of a large copy on the device, reading and writing."""
    block = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    other = torch.empty_like(block)
    times = []
    for _ in range(10):
        torch.cuda.synchronize()
        taken, _ = timed(lambda: (other.copy_(block), torch.cuda.synchronize()))
        times.append(taken)
    return 2 * block.numel() / min(times)
