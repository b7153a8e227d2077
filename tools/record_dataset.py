"""Records training episodes: frames at the model's size, and what is true in them.

    python -m tools.record_dataset --first-seed 1000000 --count 1800 --out DIR

What is recorded already is left out, so an interrupted run goes on where it stopped; with
`--stop-after`, it stops by itself and its exit status is 75 until all is there.

A picture is drawn only where the model would look: about two a second. Each goes the same way as
a live one: camera effects, JPEG, decoding, the package's own resizing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from functools import cache
from itertools import islice
from pathlib import Path

import cv2
import numpy as np
from lerobot_env_so101 import SO101PickPlaceGymEnv
from numpy.typing import NDArray

from tools.pieces import UNFINISHED, Piece
from tools.simulation.camera_effects import CameraEffects, random_effects
from tools.simulation.instructions import COLOURS, all_instructions
from tools.simulation.recorded_set import save
from tools.simulation.so101_episodes import KINDS, Episode, act_episode, make_env
from tools.simulation.so101_scene import PARTS, ScenePainter
from tools.simulation.task_progress import task_progress
from tools.simulation.worlds import TRAINING, WORLDS
from topreward_ros.video.resizing import resize

FRAME_SIZE = (96, 96)
SAMPLE_RATE = 2.0
CAMERA_SIZE = (320, 240)
TOKEN = 16
"""Pixels along the side of one visual token of the demo model."""

SHARD = 10
"""Episodes in a file: what is lost at most when recording is killed."""


def sample_times(episode: Episode, rng: np.random.Generator) -> NDArray[np.float64]:
    """The stamps of the frames that a live node would pick, seconds since the first.

    A camera of 10 to 30 pictures a second gives the first picture at or after each half second.
    """
    period = 1.0 / rng.uniform(10.0, 30.0)
    wanted = np.arange(0.0, episode.duration - period, 1.0 / SAMPLE_RATE)
    stamps = np.ceil(wanted / period - 1e-9) * period
    return stamps + np.abs(rng.normal(0.0, 0.003, len(stamps))) * (wanted > 0)


def token_parts(mask: NDArray[np.int8]) -> NDArray[np.uint8]:
    """How many pixels of each visual token show each part.

    Args:
        mask: from `ScenePainter.part_mask`.

    Returns:
        uint8, shape (6, 6, len(PARTS)), at most 255.
    """
    rows = mask.shape[0] // TOKEN
    blocks = mask.reshape(rows, TOKEN, rows, TOKEN)
    counts = [(blocks == part).sum(axis=(1, 3)) for part in range(len(PARTS))]
    return np.minimum(np.stack(counts, axis=-1), 255).astype(np.uint8)


def through_camera(
    picture: NDArray[np.uint8], effects: CameraEffects, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """A drawn picture as the model gets it, uint8 RGB of `FRAME_SIZE`."""
    jpeg = effects.compress(effects.apply(picture, rng))
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    return resize(np.ascontiguousarray(decoded), FRAME_SIZE)


def record(episode: Episode, painter: ScenePainter) -> dict[str, np.ndarray]:
    """Draws an episode at its sampling times.

    Returns:
        frames (T, 96, 96, 3) uint8; stamps (T,) s; parts (T, 6, 6, P) uint8; progress (T, 16)
        for each of `all_instructions()`; colours (4,) index of cube, disc, other cube, other disc;
        and seed, kind, world, success, instruction.
    """
    rng = np.random.default_rng([episode.seed, 1])
    effects = random_effects(rng)
    painter.dress(episode.look)
    stamps = sample_times(episode, rng)
    frames, parts = [], []
    for stamp in stamps:
        qpos = episode.qpos_at(stamp)
        frames.append(through_camera(painter.picture(qpos), effects, rng))
        parts.append(token_parts(painter.part_mask(qpos)))
    steps = [episode.step_at(stamp) for stamp in stamps]
    instructions = all_instructions()
    progress = np.stack([task_progress(episode, text)[steps] for text in instructions], axis=1)
    look, names = episode.look, list(COLOURS)
    return {
        "frames": np.stack(frames),
        "stamps": stamps,
        "parts": np.stack(parts),
        "progress": progress.astype(np.float32),
        "gripped": episode.truth.gripped[steps],
        "colours": np.asarray(
            [names.index(c) for c in (look.cube, look.disc, look.other_cube, look.other_disc)]
        ),
        "instruction": np.asarray(instructions.index(look.instruction)),
        "success": np.asarray(episode.succeeded),
        "kind": np.asarray(episode.kind),
        "world": np.asarray(look.world),
        "seed": np.asarray(episode.seed),
    }


@cache
def _scene() -> tuple[SO101PickPlaceGymEnv, ScenePainter]:
    """Of a process; making them takes as long as three episodes."""
    return make_env(), ScenePainter(*CAMERA_SIZE, masks=True)


def _record_shard(job: tuple[range, Path, str | None, str]) -> int:
    seeds, path, kind, world = job
    env, painter = _scene()
    save(path, [record(act_episode(env, seed, kind, WORLDS[world]), painter) for seed in seeds])
    return len(seeds)


def main() -> int:
    """Command line; returns 0, or `UNFINISHED` where the time was over first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first-seed", type=int, required=True, help="seed of the first episode")
    parser.add_argument("--count", type=int, required=True, help="how many episodes")
    parser.add_argument("--kind", choices=list(KINDS), help="record only this kind of episode")
    parser.add_argument("--world", choices=list(WORLDS), default=TRAINING.name)
    parser.add_argument("--out", type=Path, required=True, help="folder for the shards")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), metavar="MINUTES",
        help="stop then; the same command goes on from there",
    )  # fmt: skip
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    last = arguments.first_seed + arguments.count
    jobs, there = [], 0
    for first in range(arguments.first_seed, last, SHARD):
        seeds = range(first, min(first + SHARD, last))
        path = arguments.out / f"{first:08d}.npz"
        if path.exists():
            there += len(seeds)
        else:
            jobs.append((seeds, path, arguments.kind, arguments.world))
    piece, done = Piece(arguments.stop_after, arguments.out.name), there
    piece.tell(done, arguments.count, there, "episodes")
    if not jobs:
        return 0
    # new processes now and then: drawing leaks; one that is killed ends the recording with an error
    pool = ProcessPoolExecutor(
        arguments.processes, multiprocessing.get_context("spawn"), max_tasks_per_child=8
    )
    waiting, running = iter(jobs), set()
    with pool:
        while True:
            if not piece.over or done == there:
                fresh = islice(waiting, arguments.processes - len(running))
                running |= {pool.submit(_record_shard, job) for job in fresh}
            if not running:
                break
            finished, running = wait(running, return_when=FIRST_COMPLETED)
            done += sum(future.result() for future in finished)
            piece.tell(done, arguments.count, there, "episodes")
    return 0 if all(path.exists() for _, path, *_ in jobs) else UNFINISHED


if __name__ == "__main__":
    sys.exit(main())
