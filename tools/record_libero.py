"""Records simulated Franka episodes of LIBERO as rosbag2 bags, with a table of labels beside them.

    python -m tools.record_libero --count 6 --seed 0 --out DIR

Each bag holds the compressed pictures of the Franka rig's two cameras and an `episode.yaml`;
`labels.csv` tells what each shows. Needs an environment of its own: tools/requirements-libero.txt.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.simulation.camera_effects import CLEAN
from tools.simulation.episode_bags import Picture, describe, label_table, write_bag
from tools.simulation.libero_cameras import CAMERAS, LiberoPainter
from tools.simulation.libero_episodes import KINDS, Episode, LiberoTask, act_episode


def pictures(episode: Episode, painter: LiberoPainter, rate: float) -> Iterator[Picture]:
    """What the cameras see of an episode.

    Args:
        episode: what happens.
        painter: who looks.
        rate: pictures a second, of each camera.
    """
    for time in np.arange(0.0, episode.duration + 1e-9, 1.0 / rate):
        painter.place(episode.qpos_at(float(time)))
        for camera in CAMERAS:
            jpeg = CLEAN.compress(painter.picture(camera))
            yield Picture(camera.topic, camera.frame_id, float(time), jpeg)


def parse() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, required=True, help="how many episodes")
    parser.add_argument("--seed", type=int, required=True, help="of the first; then one by one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--task", type=int, default=0, help="number in the suite libero_object")
    parser.add_argument(
        "--kinds", nargs="+", choices=list(KINDS), help="in turn; default: drawn by the seed"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="pictures a second")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    return parser.parse_args()


def main() -> None:
    """Command line."""
    arguments = parse()
    task = LiberoTask(arguments.task)
    painter = LiberoPainter(task.model, arguments.width, arguments.height)
    kinds = islice(cycle(arguments.kinds or [None]), arguments.count)
    with label_table(arguments.out) as table:
        for number, kind in enumerate(tqdm(kinds, total=arguments.count, unit="episode")):
            episode = act_episode(task, arguments.seed + number, kind)
            folder = arguments.out / f"episode_{episode.seed}"
            count = write_bag(folder, pictures(episode, painter, arguments.rate))
            describe(folder, episode, duration_s=round(episode.duration, 2), pictures=count)
            table.add(folder.name, episode)
    painter.close()


if __name__ == "__main__":
    main()
