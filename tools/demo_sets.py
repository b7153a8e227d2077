"""Cuts short recordings out of the demo's two bags, to try commands for data sets on.

    python -m tools.demo_sets --out sets

`sets/dataset` is a LeRobot data set (v3.0) of two episodes, `sets/labelled` a folder of video clips
with a labels.csv: as many failures as a modest promise of `calibrate` needs, and a few successes.
The clips overlap, so whatever is measured on them says that a command runs, and no more.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from topreward_ros.video.image import decode
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.resizing import resize

DEMO = Path("demo")
CAMERA = "observation.images.front"
RATE = 12
"""Pictures a second, of the demo's camera and of what is written."""
SIZE = (240, 320)
FAILURES, SUCCESSES = 24, 6
CLIP = 36
"""Pictures of a failure's clip; those of a success go on to its end."""
Pictures = list[NDArray[np.uint8]]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("sets"), help="folder of both")
    write_sets(parser.parse_args().out)


def write_sets(out: Path, demo: Path = DEMO) -> None:
    """Writes the data set and the labelled clips.

    Args:
        out: folder; `dataset` and `labelled` in it must not be there.
        demo: folder of the two bags.
    """
    episodes = [_read(demo / name) for name in ("success", "failure")]
    write_dataset(out / "dataset", episodes)
    write_clips(out / "labelled", *episodes)


def write_dataset(root: Path, episodes: Sequence[tuple[str, Pictures]]) -> None:
    """Writes a LeRobot data set of version 3.0: one video, one parquet file of rows.

    Args:
        root: its folder.
        episodes: instruction and pictures of each.
    """
    lengths = [len(pictures) for _, pictures in episodes]
    shape = [*SIZE, 3]
    part = "chunk-{chunk_index:03d}/file-{file_index:03d}"
    info = {
        "codebase_version": "v3.0",
        "robot_type": "so101",
        "fps": RATE,
        "total_episodes": len(episodes),
        "total_frames": sum(lengths),
        "total_tasks": len({task for task, _ in episodes}),
        "chunks_size": 1000,
        "data_path": f"data/{part}.parquet",
        "video_path": f"videos/{{video_key}}/{part}.mp4",
        "features": {CAMERA: {"dtype": "video", "shape": shape, "info": {"video.fps": RATE}}},
    }
    _file(root / "meta" / "info.json").write_text(json.dumps(info, indent=1))
    frames = np.concatenate([np.arange(length) for length in lengths])
    rows = {
        "index": np.arange(len(frames)),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "frame_index": frames,
        "timestamp": (frames / RATE).astype(np.float32),
        "task_index": np.repeat(np.arange(len(lengths)), lengths),
    }
    pq.write_table(pa.table(rows), _file(root / "data/chunk-000/file-000.parquet"))
    starts = np.cumsum([0, *lengths[:-1]])
    index = {
        "episode_index": list(range(len(lengths))),
        "tasks": [[task] for task, _ in episodes],
        "length": lengths,
        "data/chunk_index": [0] * len(lengths),
        "data/file_index": [0] * len(lengths),
        f"videos/{CAMERA}/chunk_index": [0] * len(lengths),
        f"videos/{CAMERA}/file_index": [0] * len(lengths),
        f"videos/{CAMERA}/from_timestamp": (starts / RATE).tolist(),
    }
    pq.write_table(pa.table(index), _file(root / "meta/episodes/chunk-000/file-000.parquet"))
    video = _file(root / f"videos/{CAMERA}/chunk-000/file-000.mp4")
    write_video(video, [picture for _, pictures in episodes for picture in pictures])


def write_clips(folder: Path, success: tuple[str, Pictures], failure: tuple[str, Pictures]) -> None:
    """Writes clips of an episode that succeeds and of one that fails, with their labels.csv."""
    with _file(folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "instruction", "success"))
        for number in range(SUCCESSES):
            name = f"success_{number}.mp4"
            write_video(folder / name, success[1][3 * number :])
            rows.writerow((name, success[0], 1))
        for number in range(FAILURES):
            name = f"failure_{number}.mp4"
            write_video(folder / name, failure[1][2 * number :][:CLIP])
            rows.writerow((name, failure[0], 0))


def write_video(path: Path, pictures: Pictures) -> None:
    """Writes an H.264 video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.options = {"g": "2", "crf": "18"}
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


def _read(bag: Path) -> tuple[str, Pictures]:
    instruction = yaml.safe_load((bag / "episode.yaml").read_text())["instruction"]
    return instruction, [resize(decode(each.message), SIZE) for each in open_recording(bag)]


def _file(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


if __name__ == "__main__":
    main()
