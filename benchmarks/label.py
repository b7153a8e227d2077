"""Labelling a long episode: beside LeRobot's recipe on the same model, and in how much memory.

Every way runs in a process of its own, on one core, and what counts is its processor time, which
others on the machine change little. One pass over the video saves least where attention weighs
most, so the goal is held against a model in which it weighs about as in the 8B. In the demo model,
which is narrow, it weighs several times as much.
"""

from __future__ import annotations

import csv
import multiprocessing
import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np
import torch

from benchmarks.baselines import WINDOW, Evaluation
from benchmarks.models import LONG, TASK, random_scorer, random_video
from benchmarks.results import Results
from topreward_ros.method.progress import prefix_lengths
from topreward_ros.models.checkpoints.loading import load_scorer, score_prefixes
from topreward_ros.offline.label import main as label

FRAMES, PREFIXES = 2000, 32
MODELS = {"proportions of the 8B": ((64, 64), ">= 10"), "demo": ((32, 32), "")}
"""Size of the pictures where all frames are scored, and the goal."""
RATE = 30
"""Frames per second of the recorded episode; `label` takes two of them a second."""
PICTURE = (120, 160)
EPISODES = (1, 2, 4)


class Work(NamedTuple):
    """What one way cost, in a process of its own.

    Attributes:
        seconds: of one core; those of `label` with what loading the model takes.
        peak: MiB of memory that were held at most.
        scores: nats, of the prefixes.
    """

    seconds: float
    peak: float
    scores: list[float]


def measure(results: Results, *, quick: bool = False) -> None:
    """Takes ten minutes of one core; `quick` shows only that everything runs."""
    frames, count = (48, 4) if quick else (FRAMES, PREFIXES)
    for model in ["demo"] if quick else MODELS:
        _against_lerobot(results, model, frames, count)
    with tempfile.TemporaryDirectory() as directory:
        video = Path(directory) / "episode.mp4"
        _write_video(video, frames)
        _memory(results, video, frames, EPISODES[:2] if quick else EPISODES)


def _against_lerobot(results: Results, model: str, frames: int, count: int) -> None:
    """The same prefixes of the same frames: LeRobot's labelling script shows all that are recorded.

    Its script runs one forward a prefix, over the whole prefix. Its window of 16 frames is what it
    scores live: another method, to which a long episode is no more than its last frames.
    """
    ours, theirs, window = (
        _apart(way, model, frames, count) for way in (_ours, _prefixes, _window)
    )
    group = f"(h) {count} prefixes of {frames} frames, {model}"
    for name, work in (
        ("score_prefixes", ours),
        ("LeRobot's labelling", theirs),
        (f"LeRobot's last {WINDOW} frames", window),
    ):
        results.add(group, f"{name}: episodes a minute of a core", 60.0 / work.seconds, "1/min")
        results.add(group, f"{name}: peak memory", work.peak, "MiB")
    ratio = theirs.seconds / ours.seconds
    results.add(group, "LeRobot's labelling / score_prefixes", ratio, "x", MODELS[model][1])
    results.add(group, "the window / score_prefixes", window.seconds / ours.seconds, "x")
    worst = float(np.abs(np.subtract(ours.scores, theirs.scores)).max())
    results.add(group, "largest difference to LeRobot's labelling", worst, "nat", "<= 1e-4")


def _memory(results: Results, video: Path, frames: int, episodes: tuple[int, ...]) -> None:
    """The command `label` on sets of copies of one episode: pictures decoded, readings written."""
    works = {}
    for number in episodes:
        folder = video.with_name(f"set_{number}")
        _write_set(folder, video, number)
        works[number] = work = _apart(_label, folder)
        group = f"(h) label, {number} x {frames} frames at {RATE} Hz"
        results.add(group, "peak memory", work.peak, "MiB")
    first, last = episodes[0], episodes[-1]
    group = f"(h) label, {frames} frames at {RATE} Hz"
    growth = works[last].peak / works[first].peak
    results.add(group, f"peak memory of {last} episodes / of {first}", growth, "x", "<= 1.05")
    if frames == FRAMES:  # fewer cost less than what loading the model varies by
        further = (works[last].seconds - works[first].seconds) / (last - first)
        results.add(group, "further episodes a minute of a core", 60.0 / further, "1/min")


# --- in a process of its own -----------------------------------------------------------------


def _apart(way: Callable[..., Work], *arguments: object) -> Work:
    """Runs a way in a new process, because a peak of memory is one of a process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])  # else each would import the libraries anew
    with ProcessPoolExecutor(1, mp_context=context) as process:
        return process.submit(way, *arguments).result()


def _ours(model: str, frames: int, count: int) -> Work:
    return _worked(_episode(model, frames, count)[1])


def _prefixes(model: str, frames: int, count: int) -> Work:
    return _worked(_episode(model, frames, count)[0].full_prefixes)


def _window(model: str, frames: int, count: int) -> Work:
    return _worked(_episode(model, frames, count)[0].last_frames)


def _episode(model: str, frames: int, count: int) -> tuple[Evaluation, Callable[[], object]]:
    torch.set_num_threads(1)
    options = {
        "device": "cpu",
        "frame_size": MODELS[model][0],
        "max_pairs": frames // 4 * 2 + 4,  # even, and more than there are
    }
    known = model == "demo"
    scorer = load_scorer("demo", **options) if known else random_scorer(LONG, **options)
    video, stamps = random_video(frames, scorer.frame_size)
    lengths = prefix_lengths(frames, count).tolist()
    evaluation = Evaluation(scorer.backbone, video, stamps, TASK, lengths)
    # Whatever a library does once is done before it counts.
    Evaluation(scorer.backbone, video, stamps, TASK, [4]).full_prefixes()
    return evaluation, partial(score_prefixes, scorer, video, stamps, TASK, lengths)


def _worked(action: Callable[[], object]) -> Work:
    before = time.process_time()
    scores = action()
    seconds = time.process_time() - before
    return Work(seconds, _peak(), np.asarray(scores, float).tolist())


def _label(folder: Path) -> Work:
    torch.set_num_threads(1)
    before = time.process_time()
    status = label(
        [
            str(folder), "--model", "demo", "--device", "cpu", "--no-motion-gate",
            "--output", str(folder.with_suffix(".csv")),
        ]
    )  # fmt: skip
    if status:
        raise RuntimeError(f"label ended with exit status {status} on {folder}")
    return Work(time.process_time() - before, _peak(), [])


def _peak() -> float:
    """Returns the most memory that this process has held, in MiB.

    Not of `getrusage`, which counts what the process was before it ran this program too.
    """
    with open("/proc/self/status") as lines:
        held = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return held / 1024.0


# --- what is labelled ------------------------------------------------------------------------


def _write_video(path: Path, frames: int) -> None:
    """A bright square that goes through a grey picture, in H.264."""
    height, width = PICTURE
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(frames):
            shown = np.full((height, width, 3), 90, np.uint8)
            shown[40:80, number % (width - 40) :][:, :40] = 230
            container.mux(stream.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
        container.mux(stream.encode())


def _write_set(folder: Path, video: Path, number: int) -> None:
    """A folder of as many copies of a video, with its labels.csv."""
    folder.mkdir()
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "instruction", "success"))
        for each in range(number):
            shutil.copy(video, folder / f"{each}.mp4")
            rows.writerow((f"{each}.mp4", TASK, "1"))
