"""A video that does not hold what it promises is refused: nobody sees what is shown instead."""

from __future__ import annotations

import json
import shutil

import av
import numpy as np
import pytest

from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import RecordingError

COUNT, RATE, HEIGHT, WIDTH = 40, 10, 120, 160
CODECS = {
    "h264.mp4": "libx264",
    "hevc.mp4": "libx265",
    "h264.mkv": "libx264",
    "vp9.webm": "libvpx-vp9",
    "vp8.webm": "libvpx",
    "mjpeg.avi": "mjpeg",
}


def add_pictures(container, codec):
    stream = container.add_stream(codec, rate=RATE)
    stream.width, stream.height, stream.gop_size = WIDTH, HEIGHT, 20
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    if codec == "libx265":
        stream.codec_context.options = {"x265-params": "log-level=none"}
    return stream


def encode(container, streams):
    texture = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
    for index in range(COUNT):
        picture = np.roll(texture, 2 * index, axis=1)
        for stream in streams:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
    for stream in streams:
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, codec in CODECS.items():
        with av.open(str(folder / name), "w") as container:
            encode(container, [add_pictures(container, codec)])
    return folder


def copied(source, target, keep):
    """Copies a stream without encoding anew, packets that `keep` refuses left out."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for number, packet in enumerate(old.demux(video=0)):
            if packet.size and keep(number):
                packet.stream = stream
                new.mux(packet)
    return target


def refused(path):
    with pytest.raises(RecordingError) as caught:
        list(open_recording(path))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and str(path) in text
    return text


@pytest.mark.parametrize("name", CODECS)
def test_sound_videos_are_read_as_often_as_wanted(videos, name):
    recording = open_recording(videos / name)
    assert len(list(recording)) == len(list(recording)) == len(recording) == COUNT


@pytest.mark.parametrize("name", ["h264.mp4", "h264.mkv"])
def test_a_damaged_key_frame_is_refused(videos, tmp_path, name):
    path = shutil.copy(videos / name, tmp_path)
    with av.open(str(path)) as container:
        place, size = next(
            (p.pos, p.size) for p in container.demux(video=0) if p.size and p.is_keyframe
        )
    with open(path, "r+b") as file:
        for start in (0.3, 0.6):
            file.seek(place + int(start * size))
            file.write(b"\xa5" * 60)
    assert "decoder says" in refused(path)


def test_a_key_frame_that_is_lost_is_refused(videos, tmp_path):
    """Its data are zeros: HEVC's decoder then shows pictures that refer to nothing."""
    path = shutil.copy(videos / "hevc.mp4", tmp_path)
    with av.open(str(path)) as container:
        place, size = next(
            (p.pos, p.size) for p in container.demux(video=0) if p.size and p.is_keyframe
        )
    with open(path, "r+b") as file:
        file.seek(place + 4)
        file.write(bytes(size - 4))
    refused(path)


@pytest.mark.parametrize("name", ["h264.mp4", "hevc.mp4", "h264.mkv", "vp9.webm"])
def test_a_copy_that_starts_without_a_key_frame_is_refused(videos, tmp_path, name):
    refused(copied(videos / name, tmp_path / name, lambda number: number >= 5))


def test_missing_packets_are_refused(videos, tmp_path):
    refused(copied(videos / "hevc.mp4", tmp_path / "cut.mp4", lambda number: not 10 <= number < 15))


@pytest.mark.parametrize("name", ["h264.mkv", "vp9.webm", "vp8.webm"])
@pytest.mark.parametrize("keep", [0.3, 0.55, 0.8])
def test_a_matroska_file_that_was_cut_is_refused(videos, tmp_path, name, keep):
    whole = (videos / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(whole[: int(keep * len(whole))])
    refused(path)


def test_a_matroska_file_that_was_cut_between_two_clusters_is_refused(videos, tmp_path):
    whole = (videos / "h264.mkv").read_bytes()
    path = tmp_path / "cut.mkv"
    path.write_bytes(whole[: whole.rindex(b"\x1f\x43\xb6\x75")])
    refused(path)


def test_two_video_streams_are_refused_with_both(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as container:
        encode(container, [add_pictures(container, "libx264") for _ in range(2)])
    assert "2 video streams (160 x 120 px, 160 x 120 px)" in refused(path)


def data_set(folder, videos, template, episodes):
    path = folder / "set" / "videos" / "observation.images.top" / "chunk-000" / "file-000.mp4"
    path.parent.mkdir(parents=True)
    shutil.copy(videos / "h264.mp4", path)
    (folder / "set" / "meta").mkdir()
    info = {"codebase_version": "v3.0", "video_path": template, "total_episodes": episodes}
    (folder / "set" / "meta" / "info.json").write_text(json.dumps(info))
    return path


def test_a_data_sets_shared_video_is_no_episode(videos, tmp_path):
    template = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
    assert "12 episodes" in refused(data_set(tmp_path, videos, template, 12))


@pytest.mark.parametrize(
    ("template", "episodes"),
    [
        ("videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4", 1),
        ("videos/chunk-{episode_chunk:03d}/{video_key}/episode_{episode_index:06d}.mp4", 12),
        (None, "many"),
    ],
)
def test_a_data_sets_video_of_one_episode_is_read(videos, tmp_path, template, episodes):
    assert len(list(open_recording(data_set(tmp_path, videos, template, episodes)))) == COUNT
