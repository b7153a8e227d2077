"""Recorded episodes, bags and videos, come back as the image messages that were recorded."""

from __future__ import annotations

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image as Picture
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from topreward_ros.video.image import decode, stamp_seconds
from topreward_ros.video.intake import FrameIntake, IntakeSettings
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import RecordingError

STORE = get_typestore(Stores.ROS2_JAZZY)
RAW, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
Header = STORE.types["std_msgs/msg/Header"]
Time = STORE.types["builtin_interfaces/msg/Time"]
String = STORE.types["std_msgs/msg/String"]
T0 = 1_764_000_000


def picture(index, height=12, width=16):
    """Left half bright, right half dark, both by the index."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = (100 + index) % 256, index % 256
    return image


def header(seconds):
    stamp = Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))
    return Header(stamp=stamp, frame_id="optical")


def raw(index, seconds):
    image = picture(index)
    return STORE.types[RAW](
        header=header(seconds), height=12, width=16, encoding="rgb8", is_bigendian=0, step=48,
        data=image.reshape(-1),
    )  # fmt: skip


def compressed(index, seconds):
    stream = io.BytesIO()
    Picture.fromarray(picture(index)).save(stream, "png")
    return STORE.types[COMPRESSED](
        header=header(seconds), format="png", data=np.frombuffer(stream.getvalue(), np.uint8)
    )


def write_bag(path, messages, storage=StoragePlugin.MCAP):
    """Messages are (topic, log time in s, message)."""
    with Writer(path, version=9, storage_plugin=storage) as writer:
        connections = {}
        for topic, log_time, message in messages:
            kind = message.__msgtype__
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=STORE)
            data = STORE.serialize_cdr(message, kind)
            writer.write(connections[topic], round(log_time * 1e9), data)
    return path


def two_cameras():
    messages = [("/note", T0 + 0.01, String(data="hello"))]
    for i in range(5):
        stamp = T0 + i / 2
        messages.append(("/left/image_raw", stamp + 0.030, raw(i, stamp)))
        messages.append(("/right/compressed", stamp + 0.020, compressed(i + 50, stamp)))
    return messages


STORAGES = pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)


# --- bags --------------------------------------------------------------------------------------


@STORAGES
def test_a_bag_gives_its_images_by_log_time_with_the_cameras_stamps(tmp_path, storage):
    recording = open_recording(write_bag(tmp_path / "bag", two_cameras(), storage))
    read = list(recording)
    assert [r.topic for r in read] == ["/right/compressed", "/left/image_raw"] * 5
    assert [r.stamp - T0 for r in read] == pytest.approx([i / 2 for i in range(5) for _ in "ab"])
    for i, (right, left) in enumerate(zip(read[::2], read[1::2], strict=True)):
        np.testing.assert_array_equal(decode(left.message), picture(i))
        np.testing.assert_array_equal(decode(right.message), picture(i + 50))
        assert left.message.header.frame_id == "optical"


@STORAGES
def test_topics_counts_and_duration_are_known_before_reading(tmp_path, storage):
    recording = open_recording(write_bag(tmp_path / "bag", two_cameras(), storage))
    topics = {name: (topic.type, topic.count) for name, topic in recording.topics.items()}
    assert topics == {"/left/image_raw": (RAW, 5), "/right/compressed": (COMPRESSED, 5)}
    assert len(recording) == 10
    assert recording.duration == pytest.approx(2.02, abs=1e-3)


@STORAGES
def test_a_single_file_is_read_like_its_directory(tmp_path, storage):
    bag = write_bag(tmp_path / "bag", two_cameras(), storage)
    (file,) = [f for f in bag.iterdir() if f.suffix in (".mcap", ".db3")]
    assert len(list(open_recording(file))) == 10
    (bag / "metadata.yaml").unlink()  # a recorder that was killed leaves none
    assert len(list(open_recording(bag))) == 10


def test_a_recording_can_be_read_again_and_by_topic(tmp_path):
    recording = open_recording(write_bag(tmp_path / "bag", two_cameras()))
    assert len(list(recording)) == len(list(recording)) == 10
    assert [r.topic for r in recording.images(["/left/image_raw"])] == ["/left/image_raw"] * 5
    with pytest.raises(RecordingError, match=r"no image topic '/up'; expected one of /left/image"):
        recording.images(["/up"])


def test_a_message_without_a_stamp_is_named(tmp_path):
    messages = [("/cam", T0, raw(0, T0)), ("/cam", T0 + 1, raw(1, 0))]
    recording = open_recording(write_bag(tmp_path / "bag", messages))
    with pytest.raises(RecordingError, match=r"/cam, message 2: The image has no time stamp"):
        list(recording)


def test_a_recording_goes_through_the_intake(tmp_path):
    recording = open_recording(write_bag(tmp_path / "bag", two_cameras()))
    intake = FrameIntake(tuple(recording.topics), IntakeSettings(sample_rate=1.0), (12, 32))
    frames = [f for r in recording if (f := intake.add(*r[:3]))]
    assert [frame.stamp - T0 for frame in frames] == [0, 1, 2]


@STORAGES
def test_a_bag_without_messages_or_images_is_refused(tmp_path, storage):
    with pytest.raises(RecordingError, match="no messages at all"):
        open_recording(write_bag(tmp_path / "empty", [], storage))
    notes = write_bag(tmp_path / "notes", [("/note", T0, String(data="hello"))], storage)
    with pytest.raises(RecordingError, match=r"holds no images.*/note \(std_msgs/msg/String, 1\)"):
        open_recording(notes)


def refused(path, **options):
    """Opens and reads all; the error must be one sentence that names the path."""
    with pytest.raises(RecordingError) as caught:
        list(open_recording(path, **options))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and str(path) in text
    return text


def test_a_path_without_anything_is_refused(tmp_path):
    assert "does not exist" in refused(tmp_path / "nothing")
    assert "no rosbag2" in refused(tmp_path)


@STORAGES
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.6, 0.98])
def test_a_cut_bag_is_refused(tmp_path, storage, keep):
    messages = [("/cam", T0 + i / 10, raw(i, T0 + i / 10)) for i in range(200)]
    bag = write_bag(tmp_path / "bag", messages, storage)
    (file,) = [f for f in bag.iterdir() if f.suffix in (".mcap", ".db3")]
    whole = file.read_bytes()
    file.write_bytes(whole[: int(keep * len(whole))])
    refused(bag)
    refused(file)


def test_a_bag_with_damaged_data_or_index_is_refused(tmp_path):
    messages = [("/cam", T0 + i / 10, raw(i, T0 + i / 10)) for i in range(50)]
    bag = write_bag(tmp_path / "bag", messages)
    file = bag / "bag.mcap"
    damaged = bytearray(file.read_bytes())
    damaged[60] ^= 0xFF  # within the data's first record
    file.write_bytes(damaged)
    (tmp_path / "other.mcap").write_bytes(b"no bag at all, but long enough to hold a footer" * 3)
    refused(tmp_path / "other.mcap")
    (bag / "metadata.yaml").write_text("rosbag2_bagfile_information: [")
    refused(bag)


def test_a_frame_rate_for_a_bag_is_refused(tmp_path):
    assert "own time stamps" in refused(write_bag(tmp_path / "bag", two_cameras()), fps=10.0)


# --- video files -------------------------------------------------------------------------------

CODECS = {"mp4": "libx264", "mkv": "libx264", "avi": "mpeg4", "webm": "libvpx", "gif": "gif"}


def write_video(path, codec=None, count=12, rate=10, **options):
    codec = codec or CODECS[path.suffix[1:]]
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream(codec, rate=rate)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = {"gif": "rgb8"}.get(codec, "yuv420p")
        for index in range(count):
            frame = av.VideoFrame.from_ndarray(picture(index * 10, 48, 64), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("kind", CODECS)
def test_a_video_gives_its_pictures_as_stamped_messages(tmp_path, kind):
    recording = open_recording(write_video(tmp_path / f"clip.{kind}"))
    assert recording.topics["/camera/image_raw"].type == RAW
    assert len(recording) == 12 and recording.duration == pytest.approx(1.2)
    read = list(recording)
    assert [r.stamp for r in read] == pytest.approx([1 + i / 10 for i in range(12)])
    for index, (topic, stamp, message, received) in enumerate(read):
        assert received is None
        assert topic == "/camera/image_raw" and stamp == stamp_seconds(message)
        assert message.__msgtype__ == RAW and message.encoding == "rgb8"
        rgb = decode(message)
        assert rgb.shape == (48, 64, 3)
        off = np.abs(rgb.astype(int) - picture(index * 10, 48, 64)).mean()
        assert off < (25 if kind == "gif" else 6)  # gif has a fixed palette of 256 colours here


def test_messages_of_a_video_are_serialised_like_any_other(tmp_path):
    message = next(iter(open_recording(write_video(tmp_path / "clip.mp4")))).message
    again = STORE.deserialize_cdr(STORE.serialize_cdr(message, RAW), RAW)
    np.testing.assert_array_equal(decode(again), decode(message))


def test_a_frame_rate_that_is_given_counts_instead_of_the_file_s(tmp_path):
    recording = open_recording(write_video(tmp_path / "clip.mp4"), fps=4.0)
    assert [r.stamp for r in recording] == pytest.approx([1 + i / 4 for i in range(12)])
    assert recording.duration == pytest.approx(3.0)


def test_a_video_that_states_no_frame_rate_needs_one(tmp_path):
    path = write_video(tmp_path / "clip.h264", codec="libx264")
    assert "no frame rate" in refused(path)
    assert [r.stamp for r in open_recording(path, fps=5.0)][:3] == pytest.approx([1, 1.2, 1.4])


@pytest.mark.parametrize("fps", [0.0, -1.0, float("nan"), float("inf")])
def test_frame_rates_without_sense_are_refused(tmp_path, fps):
    with pytest.raises(RecordingError, match="above zero"):
        open_recording(write_video(tmp_path / "clip.mp4"), fps=fps)


def test_a_video_that_was_filmed_turned_is_shown_upright(tmp_path):
    path = write_video(tmp_path / "clip.mp4")
    data = bytearray(path.read_bytes())
    matrix = data.find(b"tkhd") + 4 + 40  # ISO 14496-12, 8.3.2: track header, version 0
    one = 1 << 16
    data[matrix : matrix + 36] = struct.pack(">9i", 0, one, 0, -one, 0, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    rgb = decode(next(iter(open_recording(path))).message)
    assert rgb.shape == (64, 48, 3)
    assert rgb[10, 24, 0] > 80 > rgb[54, 24, 0]  # clockwise: the left half comes to the top


@pytest.mark.parametrize("kind", ["mp4", "mkv"])
def test_a_variable_frame_rate_gives_each_picture_its_own_time(tmp_path, kind):
    """As phones film: the distance of two pictures changes with the light."""
    times = [0, 33, 66, 166, 200, 450, 483, 516]  # ms
    path = tmp_path / f"phone.{kind}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = stream.time_base = Fraction(1, 1000)
        for number, time in enumerate(times):
            frame = av.VideoFrame.from_ndarray(picture(number * 10, 48, 64), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    stamps = [read.stamp for read in open_recording(path)]
    assert stamps == pytest.approx([1 + time / 1000 for time in times], abs=2e-3)


@pytest.mark.parametrize("codec", ["libx264", "libx265"])
def test_ten_bits_a_colour_are_the_picture_of_eight(tmp_path, codec):
    read = {}
    for pixels in ("yuv420p", "yuv420p10le"):
        path = tmp_path / f"{pixels}.mkv"
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=10)
            stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
            for index in range(6):
                frame = av.VideoFrame.from_ndarray(picture(index * 10, 48, 64), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
        read[pixels] = np.stack([decode(r.message) for r in open_recording(path)]).astype(int)
    assert len(read["yuv420p"]) == 6
    assert np.abs(read["yuv420p10le"] - read["yuv420p"]).mean() < 4


@pytest.mark.parametrize("kind", ["mp4", "mkv", "avi", "gif"])
@pytest.mark.parametrize("keep", [0.0, 0.02])
def test_a_video_without_whole_pictures_is_refused(tmp_path, kind, keep):
    path = write_video(tmp_path / f"clip.{kind}")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(keep * len(whole))])
    refused(path)


@pytest.mark.parametrize("cut", [30, 400, 1200])
def test_a_video_that_was_cut_after_its_index_is_refused(tmp_path, cut):
    path = write_video(tmp_path / "clip.mp4", count=40, movflags="+faststart")
    path.write_bytes(path.read_bytes()[:-cut])
    refused(path)


def test_a_video_that_was_cut_between_two_pictures_is_refused(tmp_path):
    path = write_video(tmp_path / "clip.mp4", count=40, movflags="+faststart")
    with av.open(str(path)) as container:
        places = sorted(packet.pos for packet in container.demux(video=0) if packet.size)
    path.write_bytes(path.read_bytes()[: places[30]])
    assert "30 of 40" in refused(path)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "notes.txt").write_text("put the red cube on the green disc")
    refused(tmp_path / "notes.txt")
    Picture.fromarray(picture(0)).save(tmp_path / "still.png")
    assert "no frame rate" in refused(tmp_path / "still.png")
