"""Takes some held-out episodes into the tests, as small as JPEG makes them.

    python -m tools.held_out_sample --data DIR --out test/data/held_out.npz

They are the first of their set, whatever the model makes of them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from tools.simulation.recorded_set import load

QUALITY = 92


def sample(episodes: list[dict[str, np.ndarray]]) -> dict[str, NDArray]:
    """Packs episodes into arrays.

    Args:
        episodes: from `recorded_set.load`.

    Returns:
        lengths (N,) frames of each; stamps, s, and ends, bytes, of all frames one after the other;
        jpegs, all pictures as bytes; instruction (N,), success (N,), kind (N,), colours (N, 4).
    """
    jpegs = [_jpeg(frame) for episode in episodes for frame in episode["frames"]]
    packed = {
        "lengths": np.array([len(episode["stamps"]) for episode in episodes]),
        "stamps": np.concatenate([episode["stamps"] for episode in episodes]),
        "ends": np.cumsum([len(jpeg) for jpeg in jpegs]),
        "jpegs": np.concatenate(jpegs),
    }
    told = ("instruction", "success", "kind", "colours", "seed")
    return packed | {name: np.stack([episode[name] for episode in episodes]) for name in told}


def unpack(packed: dict[str, NDArray]) -> list[dict[str, NDArray]]:
    """Returns the episodes that `sample` has packed: frames (T, H, W, 3), stamps (T,), …."""
    starts = [0, *packed["ends"][:-1]]
    frames = [
        cv2.imdecode(packed["jpegs"][start:end], cv2.IMREAD_COLOR)[:, :, ::-1]
        for start, end in zip(starts, packed["ends"], strict=True)
    ]
    episodes, first = [], 0
    for index, length in enumerate(packed["lengths"]):
        rows = slice(first, first + length)
        told = {name: packed[name][index] for name in ("instruction", "success", "kind", "colours")}
        episodes.append({"frames": frames[rows], "stamps": packed["stamps"][rows], **told})
        first = rows.stop
    return episodes


def _jpeg(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    picture = np.ascontiguousarray(frame[:, :, ::-1])
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1].ravel()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="held-out episodes")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--out", type=Path, default=Path("test/data/held_out.npz"))
    arguments = parser.parse_args()
    np.savez_compressed(arguments.out, **sample(load(arguments.data)[: arguments.count]))


if __name__ == "__main__":
    main()
