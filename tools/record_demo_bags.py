"""Records the two episodes that `make demo` replays, one success and one failure.

    python -m tools.record_demo_bags --out demo

Their seeds are in no set that the checkpoint was trained, chosen or measured on.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

from tools.record_episodes import describe_so101, make_camera, record_bag
from tools.simulation.camera_effects import CameraEffects
from tools.simulation.so101_episodes import act_episode, make_env

SUCCESS_SEED = 600002
FAILURE_SEED = 600009
SIZE = (640, 480)
RATE = 12.0
DETAIL = 0.0008
EFFECTS = CameraEffects((1.0, 1.0, 1.0), 0.0, 0.0, 0.0, jpeg_quality=60)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("demo"), help="folder of the bags")
    parser.add_argument("--success-seed", type=int, default=SUCCESS_SEED)
    parser.add_argument("--failure-seed", type=int, default=FAILURE_SEED)
    parser.add_argument("--failure-kind", default="drop")
    arguments = parser.parse_args()
    env, camera = make_env(), make_camera(*SIZE, RATE, oversample=2, detail=DETAIL)
    chosen = {
        "success": (arguments.success_seed, "success"),
        "failure": (arguments.failure_seed, arguments.failure_kind),
    }
    for name, (seed, kind) in chosen.items():
        episode = act_episode(env, seed, kind)
        if episode.succeeded != (name == "success"):
            parser.error(f"seed {seed} as {kind!r} does not end as a {name}")
        folder = arguments.out / name
        shutil.rmtree(folder, ignore_errors=True)
        pictures = record_bag(episode, camera, EFFECTS, folder)
        describe_so101(folder, episode, pictures)
    camera.painter.close()


if __name__ == "__main__":
    main()
