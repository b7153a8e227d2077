"""Recorded episodes from data sets, folders and lists, and what is said of damaged ones."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest

pytest.importorskip("pyarrow")

import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from lerobot_sets import CAMERA, FPS, SIDE, picture, write_v21, write_v30, write_video

from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.video.image import decode
from topreward_ros.video.recordings.recording import RecordingError

TASKS = [["put the cube in the box"], ["open the drawer"], ["put the cube in the box"]]
LENGTHS = [23, 31, 17]


@pytest.fixture(scope="module", params=["v3.0", "v2.1", "v3.0 av1"])
def dataset(request, tmp_path_factory):
    root = tmp_path_factory.mktemp("sets") / "set"
    if request.param == "v2.1":
        return write_v21(root, TASKS, LENGTHS)
    codec = "libsvtav1" if "av1" in request.param else "libx264"
    return write_v30(root, TASKS, LENGTHS, (CAMERA, SIDE), codec)


def test_every_episode_has_its_task_frames_times_and_pictures(dataset):
    source = open_source(dataset)
    episodes = list(source)
    assert len(source) == 3 and [each.instruction for each in episodes] == [t[0] for t in TASKS]
    begin = 0
    for number, (episode, length) in enumerate(zip(episodes, LENGTHS, strict=True)):
        rows, recording = episode.rows(), episode.open()
        assert rows.index.tolist() == list(range(begin, begin + length))
        assert rows.frame_index.tolist() == list(range(length))
        assert rows.episode_index == number
        begin += length
        shown = list(recording.images([CAMERA]))
        assert len(shown) == length
        for frame, image in enumerate(shown):
            assert image.stamp == pytest.approx(1.0 + frame / FPS, abs=1e-9)
            off = np.abs(decode(image.message).astype(int) - picture(number, frame)).mean()
            assert off < 6, (number, frame)


def test_a_depth_map_is_no_camera_and_cameras_come_together(tmp_path):
    root = write_v30(tmp_path / "set", TASKS, LENGTHS, (CAMERA, SIDE))
    recording = next(iter(open_source(root))).open()
    assert list(recording.topics) == [CAMERA, SIDE]
    images = list(recording)
    assert [image.topic for image in images[:4]] == [CAMERA, SIDE, CAMERA, SIDE]
    assert images[0].stamp == images[1].stamp


def test_annotated_stages_are_read(tmp_path):
    root = write_v30(tmp_path / "set", TASKS, LENGTHS, stages=True)
    stages = next(iter(open_source(root))).stages()
    assert [(s.name, s.start, s.end) for s in stages] == [
        ("reach", 0.0, 1.15), ("place", 1.15, 2.3),
    ]  # fmt: skip


def test_an_episode_without_a_task_or_with_two_says_so(tmp_path):
    root = write_v30(tmp_path / "set", [[""], ["open", "close"], ["go"]], LENGTHS)
    none, two, one = open_source(root)
    with pytest.raises(SourceError, match="episode_000000 has no instruction"):
        _ = none.instruction
    with pytest.raises(SourceError, match=r"of 2 tasks \('open', 'close'\)"):
        _ = two.instruction
    assert one.instruction == "go"


@pytest.fixture
def v30(tmp_path):
    return write_v30(tmp_path / "set", TASKS, LENGTHS)


def test_a_set_of_another_version_is_named(v30):
    info = v30 / "meta/info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "codebase_version": "v2.0"}))
    with pytest.raises(SourceError, match=r"of version 'v2\.0'; v2\.1 and v3\.0 are read"):
        open_source(v30)


def test_a_parquet_file_without_a_footer_was_not_closed(v30):
    index = v30 / "meta/episodes/chunk-000/file-000.parquet"
    index.write_bytes(index.read_bytes()[:-200])
    with pytest.raises(SourceError, match=r"has no footer: whoever wrote it did not close it"):
        open_source(v30)


def test_a_video_that_was_cut_fails_its_episode_alone(v30):
    video = v30 / f"videos/{CAMERA}/chunk-000/file-000.mp4"
    write_video(video, [picture(0, k) for k in range(LENGTHS[0])])  # the others are missing
    first, second, _ = open_source(v30)
    assert len(list(first.open())) == LENGTHS[0]
    with pytest.raises(RecordingError, match="is shorter than its index says: 0 of 31"):
        list(second.open())


def test_a_missing_video_a_missing_camera_and_missing_rows_are_named(v30):
    shutil.rmtree(v30 / "videos")
    first = next(iter(open_source(v30)))
    with pytest.raises(RecordingError, match="cannot be read as a video"):
        list(first.open())
    with pytest.raises(RecordingError, match="has no image topic 'wrist'"):
        first.open().images(["wrist"])
    data = v30 / "data/chunk-000/file-000.parquet"
    pq.write_table(pq.read_table(data).slice(5), data)
    with pytest.raises(RecordingError, match="holds 18 frames of episode 0, and the index says 23"):
        first.open()


def test_a_path_template_cannot_leave_the_set(v30):
    info = v30 / "meta/info.json"
    told = {**json.loads(info.read_text()), "data_path": "../../{chunk_index}.parquet"}
    info.write_text(json.dumps(told))
    with pytest.raises(SourceError, match="outside of the data set"):
        open_source(v30)


@pytest.mark.parametrize("content", ["{", "[]", "{}", '{"codebase_version": "v3.0"}'])
def test_a_damaged_info_is_one_sentence(v30, content):
    (v30 / "meta/info.json").write_text(content)
    with pytest.raises(SourceError, match=r"info\.json|of version None"):
        open_source(v30)


def test_pictures_within_the_parquet_file_are_read(tmp_path):
    import cv2

    root = write_v30(tmp_path / "set", TASKS, LENGTHS)
    info = json.loads((root / "meta/info.json").read_text())
    info["features"] = {"observation.image": {"dtype": "image", "shape": [48, 64, 3]}}
    (root / "meta/info.json").write_text(json.dumps(info))
    data = root / "data/chunk-000/file-000.parquet"
    table = pq.read_table(data)
    shots = [
        {"bytes": cv2.imencode(".png", picture(int(e), int(f))[..., ::-1])[1].tobytes(), "path": ""}
        for e, f in zip(table["episode_index"].to_pylist(), table["frame_index"].to_pylist(),
                        strict=True)
    ]  # fmt: skip
    pq.write_table(table.append_column("observation.image", pa.array(shots)), data)
    second = list(open_source(root))[1].open()
    images = list(second)
    assert len(images) == LENGTHS[1]
    assert (decode(images[7].message) == picture(1, 7)).all()


def test_roboreward_lines_become_graded_episodes(tmp_path):
    write_video(tmp_path / "a/0.mp4", [picture(0, k) for k in range(12)])
    lines = [
        {"file_name": "a/0.mp4", "task": "open the drawer", "reward": 5},
        {"file_name": "a/1.mp4", "task": "open the drawer", "reward": 2},
    ]
    file = tmp_path / "metadata.jsonl"
    file.write_text("\n".join(map(json.dumps, lines)))
    good, missing = open_source(tmp_path)
    assert (good.instruction, good.grade, good.success) == ("open the drawer", 5, True)
    assert (missing.grade, missing.success) == (2, False) and len(list(good.open())) == 12
    with pytest.raises(RecordingError, match="does not exist"):
        missing.open()
    for bad, words in [
        ({"file_name": "../x.mp4", "task": "go", "reward": 1}, "outside of the folder"),
        ({"file_name": "x.mp4", "task": "go", "reward": 7}, "whole number from 1 to 5"),
        ({"task": "go"}, "expected file_name and task"),
    ]:
        file.write_text(json.dumps(bad))
        with pytest.raises(SourceError, match=words):
            open_source(tmp_path)


def test_what_is_not_there_is_said(tmp_path):
    with pytest.raises(SourceError, match="does not exist; expected a LeRobot data set"):
        open_source(tmp_path / "nothing")
