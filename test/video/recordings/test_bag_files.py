"""Bags that cannot be read as a whole are refused with the true reason, in bounded memory."""

from __future__ import annotations

import resource
import shutil
import sqlite3
import sys

import numpy as np
import pytest
import yaml
from camera_bags import NANO, STORE, raw_image
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from topreward_ros.video.recordings import unfolding
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import RecordingError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

IMAGE = "sensor_msgs/msg/Image"
COUNT = 6
STORAGES = pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)


def write_bag(path, storage=StoragePlugin.MCAP, compression=None):
    writer = Writer(path, version=9, storage_plugin=storage)
    if compression:
        writer.set_compression(compression, CompressionFormat.ZSTD)
    with writer:
        connection = writer.add_connection("/lens", IMAGE, typestore=STORE)
        for number in range(COUNT):
            message = raw_image((1 + number) * NANO, np.full((8, 8, 3), number, np.uint8))
            writer.write(connection, number, STORE.serialize_cdr(message, IMAGE))
    return path


def messages_file(bag):
    (file,) = [file for file in bag.iterdir() if file.suffix in (".mcap", ".db3", ".zstd")]
    return file


def edit_metadata(bag, **values):
    file = bag / "metadata.yaml"
    said = yaml.safe_load(file.read_text())
    said["rosbag2_bagfile_information"].update(values)
    file.write_text(yaml.safe_dump(said))


def refused(path):
    with pytest.raises(RecordingError) as caught:
        list(open_recording(path))
    text = str(caught.value)
    assert "\n" not in text and text.endswith(".") and str(path) in text
    assert "damaged" not in text  # the true reason is another one
    return text


@STORAGES
@pytest.mark.parametrize("mode", [CompressionMode.FILE, CompressionMode.MESSAGE])
def test_compressed_bags_are_read(tmp_path, storage, mode):
    assert len(list(open_recording(write_bag(tmp_path / "bag", storage, mode)))) == COUNT


@STORAGES
def test_compressed_messages_are_read_without_metadata(tmp_path, storage):
    bag = write_bag(tmp_path / "bag", storage, CompressionMode.MESSAGE)
    assert len(list(open_recording(messages_file(bag)))) == COUNT
    (bag / "metadata.yaml").unlink()
    assert len(list(open_recording(bag))) == COUNT


@STORAGES
def test_a_compressed_file_alone_is_refused_with_what_to_do(tmp_path, storage):
    bag = write_bag(tmp_path / "bag", storage, CompressionMode.FILE)
    file = messages_file(bag)
    assert f"zstd -d {file.name}" in refused(file)
    (bag / "metadata.yaml").unlink()
    with pytest.raises(RecordingError, match="compressed as a whole file"):
        open_recording(bag)


@pytest.mark.parametrize("name", ["episode.bag", "renamed.mcap"])
def test_a_bag_of_ros_1_is_called_that(tmp_path, name):
    path, store = tmp_path / "episode.bag", get_typestore(Stores.ROS1_NOETIC)
    with Ros1Writer(path) as writer:
        writer.add_connection("/lens", IMAGE, typestore=store)
    path = path.rename(tmp_path / name)
    assert "bag of ROS 1" in refused(path)
    with pytest.raises(RecordingError, match="bag of ROS 1"):
        open_recording(tmp_path)


@pytest.mark.parametrize("version", [10, "new", None])
def test_metadata_of_an_unknown_version_are_named(tmp_path, version):
    bag = write_bag(tmp_path / "bag")
    edit_metadata(bag, version=version)
    assert f"has the version {version}; expected 1 to 9" in refused(bag)


def test_metadata_that_list_a_part_of_the_files_are_refused(tmp_path):
    bag = write_bag(tmp_path / "bag")
    shutil.copy(bag / "bag.mcap", bag / "bag_1.mcap")
    assert "holds bag_1.mcap, which its metadata.yaml does not list" in refused(bag)
    edit_metadata(bag, relative_file_paths=["bag.mcap", "bag_1.mcap"])
    assert len(list(open_recording(bag))) == 2 * COUNT
    (bag / "bag_1.mcap").unlink()
    assert "lacks bag_1.mcap, which its metadata.yaml lists" in refused(bag)


def test_metadata_that_cannot_be_read_are_named(tmp_path):
    bag = write_bag(tmp_path / "bag")
    for text in ("- 1", "rosbag2_bagfile_information: [", "a: &a [1]\nb: *a"):
        (bag / "metadata.yaml").write_text(text)
        with pytest.raises(RecordingError, match=r"metadata.yaml (cannot be read|holds no)"):
            open_recording(bag)


# --- bombs -------------------------------------------------------------------------------------


def three_gigabytes():
    """Zeros in some 100 kB."""
    packer = zstd.ZstdCompressor()
    block = bytes(2**26)
    return b"".join([*(packer.compress(block) for _ in range(48)), packer.flush()])


def memory():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def test_a_message_that_unfolds_to_gigabytes_is_refused(tmp_path):
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3, CompressionMode.MESSAGE)
    with sqlite3.connect(messages_file(bag)) as database:
        database.execute("UPDATE messages SET data = ? WHERE id = 3", (three_gigabytes(),))
    before = memory()
    assert "unfolds to more than 256 MiB" in refused(bag)
    assert memory() - before < 2**30


def test_a_file_that_unfolds_to_gigabytes_is_refused(tmp_path):
    bag = write_bag(tmp_path / "bag", StoragePlugin.SQLITE3, CompressionMode.FILE)
    messages_file(bag).write_bytes(three_gigabytes())
    before = memory()
    assert "unfolds to more than" in refused(bag)
    assert memory() - before < 2**28


def test_a_chunk_that_unfolds_beyond_the_bound_is_refused(tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "bag", compression=CompressionMode.STORAGE)
    assert len(list(open_recording(bag))) == COUNT
    monkeypatch.setattr(unfolding, "LARGEST", 100)
    assert "unfolds to more than" in refused(bag)
