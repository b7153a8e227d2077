"""Records simulated episodes as rosbag2 bags, with a table of labels beside them.

    python -m tools.record_episodes --count 20 --seed 610000 --out DIR

Each bag holds one camera's compressed pictures and an `episode.yaml`; `labels.csv` tells what each
shows.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tools.simulation.camera_effects import CameraEffects, random_effects
from tools.simulation.episode_bags import EPOCH, Picture, describe, label_table, write_bag
from tools.simulation.so101_episodes import KINDS, Episode, act_episode, make_env
from tools.simulation.so101_scene import ScenePainter

TOPIC = "/static_camera/image_raw/compressed"
FRAME_ID = "static_camera"


@dataclass(frozen=True)
class Camera:
    """What records an episode.

    Attributes:
        painter: draws it.
        width: of the pictures in px.
        height: of the pictures in px.
        rate: pictures a second.
        oversample: how many times finer it is drawn before it is scaled down.
    """

    painter: ScenePainter
    width: int
    height: int
    rate: float
    oversample: int = 1

    def picture(self, episode: Episode, time: float) -> np.ndarray:
        """The picture at a recorded time, uint8 RGB of shape (height, width, 3)."""
        drawn = self.painter.picture(episode.qpos_at(time))
        factor = self.oversample
        shape = (self.height, factor, self.width, factor, 3)
        return drawn.reshape(shape).mean(axis=(1, 3)).round().astype(np.uint8)


def make_camera(
    width: int, height: int, rate: float, *, oversample: int = 1, detail: float | None = 0.002
) -> Camera:
    """A camera of the given picture size and rate."""
    painter = ScenePainter(width * oversample, height * oversample, detail=detail)
    return Camera(painter, width, height, rate, oversample)


def record_bag(
    episode: Episode, camera: Camera, effects: CameraEffects, path: Path, start: float = EPOCH
) -> int:
    """Writes an episode as a rosbag2 mcap bag.

    Args:
        episode: what happens.
        camera: who looks.
        effects: what the camera does to the pictures.
        path: folder of the bag; it must not exist.
        start: stamp of the first picture, seconds.

    Returns:
        Number of pictures.
    """
    camera.painter.dress(episode.look)
    return write_bag(path, _pictures(episode, camera, effects), start)


def _pictures(episode: Episode, camera: Camera, effects: CameraEffects) -> Iterator[Picture]:
    rng = np.random.default_rng([episode.seed, 3])
    for time in np.arange(0.0, episode.duration + 1e-9, 1.0 / camera.rate):
        seen = effects.apply(camera.picture(episode, float(time)), rng)
        yield Picture(TOPIC, FRAME_ID, float(time), effects.compress(seen))


def describe_so101(folder: Path, episode: Episode, pictures: int) -> None:
    """Writes the `episode.yaml` of a recorded episode."""
    describe(folder, episode, topic=TOPIC, duration_s=round(episode.duration, 2), pictures=pictures)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, required=True, help="how many episodes")
    parser.add_argument("--seed", type=int, required=True, help="of the first; then one by one")
    parser.add_argument("--out", type=Path, required=True, help="folder of the bags")
    parser.add_argument("--kind", choices=list(KINDS), help="only this kind of episode")
    parser.add_argument("--rate", type=float, default=10.0, help="pictures a second")
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--height", type=int, default=240)
    arguments = parser.parse_args()
    camera = make_camera(arguments.width, arguments.height, arguments.rate)
    env = make_env()
    with label_table(arguments.out) as table:
        for seed in tqdm(range(arguments.seed, arguments.seed + arguments.count), unit="episode"):
            episode = act_episode(env, seed, arguments.kind)
            effects = random_effects(np.random.default_rng([seed, 1]))
            folder = arguments.out / f"episode_{seed}"
            pictures = record_bag(episode, camera, effects, folder)
            describe_so101(folder, episode, pictures)
            table.add(folder.name, episode)
    camera.painter.close()


if __name__ == "__main__":
    main()
