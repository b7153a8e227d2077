"""LeRobot data sets on disk, as lerobot 0.3 (v2.1) and 0.4 to 0.6 (v3.0) write them."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

FPS = 10
CAMERA = "observation.images.front"
SIDE = "observation.images.side"
HEIGHT, WIDTH = 48, 64


def picture(episode: int, frame: int, camera: str = CAMERA) -> np.ndarray:
    """A picture that its episode, number and camera can be told from."""
    shown = np.full((HEIGHT, WIDTH, 3), 20 + 30 * episode, np.uint8)
    shown[8:24, (3 * frame) % (WIDTH - 16) :][:, :16] = 220 if camera == CAMERA else 120
    return shown


def write_video(path: Path, pictures: list[np.ndarray], codec: str = "libx264") -> None:
    """Writes a video, in a thread of its own: SVT-AV1 makes the one that calls it a real-time one.

    It does so wherever it may, as root, and for good. All that such a process starts has the same
    priority, and whoever has not waits.
    """
    with ThreadPoolExecutor(1) as writer:
        writer.submit(_encode, path, pictures, codec).result()


def _encode(path: Path, pictures: list[np.ndarray], codec: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"g": "2", "crf": "18"}
        for one in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(one, "rgb24")))
        container.mux(stream.encode())


def _info(root: Path, version: str, cameras: tuple[str, ...], episodes: int, **more) -> None:
    paths = {
        "v3.0": (
            "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        ),
        "v2.1": (
            "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
            "videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4",
        ),
    }[version]
    features = {
        name: {"dtype": "video", "shape": [HEIGHT, WIDTH, 3], "info": {"video.fps": FPS}}
        for name in cameras
    }
    features["observation.depth"] = {
        "dtype": "video", "shape": [HEIGHT, WIDTH, 1], "info": {"is_depth_map": True},
    }  # fmt: skip
    features["action"] = {"dtype": "float32", "shape": [6]}
    content = {
        "codebase_version": version, "fps": FPS, "features": features, "chunks_size": 1000,
        "total_episodes": episodes, "data_path": paths[0], "video_path": paths[1],
        "robot_type": "so101", **more,
    }  # fmt: skip
    (root / "meta").mkdir(parents=True, exist_ok=True)
    (root / "meta" / "info.json").write_text(json.dumps(content))


def _rows(lengths: list[int]) -> dict[str, np.ndarray]:
    frames = np.concatenate([np.arange(n) for n in lengths])
    return {
        "index": np.arange(len(frames)),
        "episode_index": np.repeat(np.arange(len(lengths)), lengths),
        "frame_index": frames,
        "timestamp": (frames / FPS).astype(np.float32),
        "task_index": np.zeros(len(frames), np.int64),
    }


def write_v30(
    root: Path,
    tasks: list[list[str]],
    lengths: list[int],
    cameras: tuple[str, ...] = (CAMERA,),
    codec: str = "libx264",
    stages: bool = False,
    **info: object,
) -> Path:
    """All episodes in one video a camera and one parquet file, one row group each."""
    _info(root, "v3.0", cameras, len(lengths), **info)
    data = root / "data" / "chunk-000" / "file-000.parquet"
    data.parent.mkdir(parents=True)
    table = pa.table(_rows(lengths))
    with pq.ParquetWriter(data, table.schema) as writer:
        begin = 0
        for length in lengths:
            writer.write_table(table.slice(begin, length))
            begin += length
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]]) / FPS
    columns: dict[str, list] = {
        "episode_index": list(range(len(lengths))), "tasks": tasks, "length": lengths,
        "data/chunk_index": [0] * len(lengths), "data/file_index": [0] * len(lengths),
    }  # fmt: skip
    for camera in cameras:
        pictures = [picture(e, k, camera) for e, n in enumerate(lengths) for k in range(n)]
        write_video(root / f"videos/{camera}/chunk-000/file-000.mp4", pictures, codec)
        columns |= {
            f"videos/{camera}/chunk_index": [0] * len(lengths),
            f"videos/{camera}/file_index": [0] * len(lengths),
            f"videos/{camera}/from_timestamp": starts.tolist(),
        }
    if stages:
        halves = [[0.0, n / FPS / 2] for n in lengths]
        columns |= {
            "sparse_subtask_names": [["reach", "place"]] * len(lengths),
            "sparse_subtask_start_times": halves,
            "sparse_subtask_end_times": [[h[1], n / FPS] for h, n in zip(halves, lengths,
                                                                         strict=True)],
        }  # fmt: skip
    index = root / "meta/episodes/chunk-000/file-000.parquet"
    index.parent.mkdir(parents=True)
    pq.write_table(pa.table(columns), index)
    return root


def write_v21(root: Path, tasks: list[list[str]], lengths: list[int]) -> Path:
    """One video and one parquet file an episode."""
    _info(root, "v2.1", (CAMERA,), len(lengths))
    rows = pa.table(_rows(lengths))
    lines = []
    for episode, length in enumerate(lengths):
        table = rows.filter(pa.compute.equal(rows["episode_index"], episode))
        data = root / f"data/chunk-000/episode_{episode:06d}.parquet"
        data.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, data)
        video = root / f"videos/chunk-000/{CAMERA}/episode_{episode:06d}.mp4"
        write_video(video, [picture(episode, k) for k in range(length)])
        lines.append({"episode_index": episode, "tasks": tasks[episode], "length": length})
    (root / "meta" / "episodes.jsonl").write_text("".join(json.dumps(o) + "\n" for o in lines))
    return root
