"""Readings go back into copies of bags: beside their pictures, whole, resumed to the byte."""

from __future__ import annotations

import csv
import shutil
import signal
import sqlite3
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from camera_bags import NANO, event, raw_image, write_bag
from lerobot_sets import write_v30
from repository import ROOT
from rosbags.interfaces import (
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer
from rosbags.typesys import get_types_from_msg
from warm_processes import WarmProcess

from topreward_ros.offline.label import main
from topreward_ros.offline.labelling import bag_copy, labelled_bag
from topreward_ros.offline.message_types import message_types

BOOT = 77 * NANO
START = 1_700_000_000 * NANO + 123_456_789
LENS, WRIST, JOINTS, EVENTS = "/lens", "/wrist", "/joints", "/reward_node/event"
READINGS, REWARDS = "/topreward/reward_node/reading", "/reward"
LATCHED = Qos(
    QosHistory.KEEP_LAST, 1, QosReliability.RELIABLE, QosDurability.TRANSIENT_LOCAL,
    QosTime(0, 0), QosTime(0, 0), QosLiveliness.AUTOMATIC, QosTime(0, 0), False,
)  # fmt: skip


def shot(second, camera=LENS, late=0.0, seed=0):
    """A picture of a camera's time that is recorded some time later."""
    pixels = np.random.default_rng(round(second * 1000) + seed).integers(
        0, 256, (48, 64, 3), np.uint8
    )
    after = round(second * NANO)
    image = raw_image(START + after, pixels)
    image.header.frame_id = f"{camera[1:]}_optical"
    return BOOT + after + round(late * NANO), camera, image


def joints(second):
    store = message_types()
    text = store.types["std_msgs/msg/String"](data=f"joints at {second}")
    return BOOT + round(second * NANO), JOINTS, text


def told(second, kind, name, task, **values):
    after = round(second * NANO)
    return BOOT + after, EVENTS, event(kind, name, task, after, **values)


def scene(seconds=4.0):
    """One camera at 10 Hz, another at 7 Hz whose pictures come late, and joints."""
    messages = [shot(k / 10) for k in range(round(seconds * 10))]
    messages += [shot(k / 7 + 0.013, WRIST, 0.03) for k in range(round(seconds * 7))]
    messages += [joints(k / 20) for k in range(round(seconds * 20))]
    return messages


def episodes():
    return [
        told(0.05, "started", "aaa", "open"), told(1.75, "stopped", "aaa", "open", duration=1.7),
        told(2.05, "started", "bbb", "close"), told(3.75, "stopped", "bbb", "close", duration=1.7),
    ]  # fmt: skip


def bag(path, *messages, **options):
    return write_bag(path, sorted(messages, key=lambda one: one[0]), **options)


def content(path, topics=None):
    """All messages: topic, ns, bytes."""
    with Reader(path) as reader:
        return [
            (connection.topic, received, data)
            for connection, received, data in reader.messages()
            if topics is None or connection.topic in topics
        ]


def readings(path, topic=READINGS):
    kind = "topreward_msgs/msg/RewardStamped"
    return [
        (ns, message_types().deserialize_cdr(data, kind)) for _, ns, data in content(path, [topic])
    ]


def asked(source, small, output, *more):
    return [
        str(source), "--model", small, "--device", "cpu", "--no-motion-gate",
        "--bag", str(output), *more,
    ]  # fmt: skip


def files(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*")) if path.is_file()
    }  # fmt: skip


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return bag(tmp_path_factory.mktemp("bags") / "kitchen", *scene(), *episodes())


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A bag that nobody has labelled."""
    return bag(tmp_path_factory.mktemp("others") / "precious", *scene(1.0))


@pytest.fixture(scope="module")
def labelled(source, small, tmp_path_factory):
    folder = tmp_path_factory.mktemp("labels")
    before = files(source)
    assert main(asked(source, small, folder / "out", "--output", str(folder / "lines.csv"))) == 0
    assert files(source) == before
    return folder


def test_a_copy_has_every_message_of_the_original_as_it_was(source, labelled):
    copy = labelled / "out"
    added = [one for one in content(copy) if one[0] in (READINGS, REWARDS)]
    assert [one for one in content(copy) if one not in added] == content(source)
    assert sorted(path.name for path in copy.iterdir()) == ["metadata.yaml", "out.mcap"]
    assert sorted(path.name for path in labelled.iterdir()) == ["lines.csv", "out"]


def test_each_reading_has_its_pictures_stamp_frame_and_place(source, labelled):
    pictures = {}
    for topic, received, data in content(source, [LENS, WRIST]):
        header = message_types().deserialize_cdr(data, "sensor_msgs/msg/Image").header
        pictures[header.stamp.sec, header.stamp.nanosec] = (topic, received, header.frame_id)
    found = readings(labelled / "out")
    assert len(found) == 8
    for received, reading in found:
        stamp = reading.header.stamp
        topic, at, frame_id = pictures[stamp.sec, stamp.nanosec]
        assert (received, reading.header.frame_id) == (at, frame_id)
    assert {reading.header.frame_id for _, reading in found} == {"lens_optical", "wrist_optical"}
    order = [topic for topic, *_ in content(labelled / "out")]
    assert all(order[k - 1] in (LENS, WRIST) for k, name in enumerate(order) if name == READINGS)


def test_the_readings_in_it_are_the_lines_of_the_csv_file(labelled):
    lines = list(csv.DictReader((labelled / "lines.csv").open()))
    found = readings(labelled / "out")
    assert len(lines) == len(found)
    for line, (_, reading) in zip(lines, found, strict=True):
        assert line["episode"] == reading.episode_id
        for name in ("instruction", "index", "frames", "progress_source", "reward_form", "success"):
            assert line[name] == str(getattr(reading, name)), name
        for name in ("episode_time", "log_prob", "progress", "reward"):
            assert float(line[name]) == getattr(reading, name), name
    assert [one.episode_id for _, one in found] == ["aaa"] * 4 + ["bbb"] * 4
    assert {one.instruction for _, one in found} == {"open", "close"}
    kind = "std_msgs/msg/Float64"
    rewards = [(ns, message_types().deserialize_cdr(data, kind).data)
               for _, ns, data in content(labelled / "out", [REWARDS])]  # fmt: skip
    assert rewards == [(ns, reading.reward) for ns, reading in found]


@pytest.mark.slow
def test_killed_at_any_moment_the_same_command_goes_on_to_the_same_bytes(
    source, small, labelled, tmp_path
):
    arguments = asked(source, small, tmp_path / "out", "--output", str(tmp_path / "lines.csv"))
    partial = tmp_path / "out.partial"
    moments = [
        lambda: list(partial.glob("*.episode.json")),
        lambda: (partial / "writing" / "out").exists(),
        lambda: (tmp_path / "out").exists(),
    ]
    for moment in moments:
        child = WarmProcess([sys.executable, "-m", "slow_labels", *arguments], cwd=ROOT)
        end = time.monotonic() + 120
        while not moment() and child.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.002)
        child.send_signal(signal.SIGKILL)
        child.wait()
        assert child.returncode != 0 and partial.exists()
        if (tmp_path / "out").exists():  # never in parts
            assert files(tmp_path / "out") == files(labelled / "out")
    assert main(arguments) == 0
    assert files(tmp_path) == files(labelled)


@pytest.mark.parametrize("kind", ["sqlite3", "message", "file", "storage", "single file", "split"])
@pytest.mark.slow
def test_whatever_the_original_is_kept_in_the_copy_has_the_same_messages(
    small, tmp_path, kind, source
):
    path, messages = tmp_path / "bag", sorted([*scene(2.0), joints(2.5)], key=lambda one: one[0])
    storage = StoragePlugin.SQLITE3 if kind == "sqlite3" else StoragePlugin.MCAP
    writer = Writer(path, version=9, storage_plugin=storage)
    if kind in ("message", "file", "storage"):
        writer.set_compression(CompressionMode[kind.upper()], CompressionFormat.ZSTD)
    with writer:
        made = {}
        for received, topic, message in messages:
            name = message.__msgtype__
            made.setdefault(topic, writer.add_connection(topic, name, typestore=message_types())
                            if topic not in made else made.get(topic))  # fmt: skip
            writer.write(made[topic], received, message_types().serialize_cdr(message, name))
    if kind == "split":
        split(path, tmp_path)
    given = path / "bag.mcap" if kind == "single file" else path
    assert main(asked(given, small, tmp_path / "out", "--instruction", "open")) == 0
    copied = content(tmp_path / "out", [LENS, WRIST, JOINTS])
    expected = [
        (topic, ns, bytes(message_types().serialize_cdr(one, one.__msgtype__)))
        for ns, topic, one in messages
    ]
    assert sorted(copied) == sorted(expected) and [one[1] for one in copied] == [
        o[1] for o in expected
    ]
    assert len(readings(tmp_path / "out")) >= 4


def split(path, folder):
    """Makes two files of a bag's one, as a recorder with a limit of size does."""
    import yaml

    everything = content(path)
    half = len(everything) // 2
    with Reader(path) as reader:
        connections = {one.topic: one for one in reader.connections}
    for number, part in enumerate((everything[:half], everything[half:])):
        with Writer(folder / f"part{number}", version=9, storage_plugin=StoragePlugin.MCAP) as out:
            made = {
                name: out.add_connection(name, one.msgtype, typestore=message_types())
                for name, one in connections.items()
            }
            for topic, received, data in part:
                out.write(made[topic], received, data)
        shutil.copy(folder / f"part{number}" / f"part{number}.mcap", path / f"bag_{number}.mcap")
    (path / "bag.mcap").unlink()
    told = yaml.safe_load((path / "metadata.yaml").read_text())
    told["rosbag2_bagfile_information"]["relative_file_paths"] = ["bag_0.mcap", "bag_1.mcap"]
    (path / "metadata.yaml").write_text(yaml.safe_dump(told))


def test_types_that_nobody_here_knows_quality_of_service_and_notes_are_kept(small, tmp_path):
    store = message_types()
    kind = "lab_msgs/msg/Grip"
    if kind not in store.fielddefs:
        store.register(get_types_from_msg("float64 width\nstring note\n", kind))
    writer = Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP)
    notes = {"lerobot.operator_prompt": "fold the towel", "rosetta.contract_hash": "f00"}
    for name, value in notes.items():
        writer.set_custom_data(name, value)
    with writer:
        grip = writer.add_connection("/grip", kind, typestore=store, offered_qos_profiles=[LATCHED])
        lens = writer.add_connection(LENS, "sensor_msgs/msg/Image", typestore=store)
        grips = store.serialize_cdr(store.types[kind](width=0.1, note="a"), kind)
        writer.write(grip, BOOT - 5, grips)
        for k in range(20):
            received, _, message = shot(k / 10)
            writer.write(lens, received, store.serialize_cdr(message, message.__msgtype__))
    assert main(asked(tmp_path / "bag", small, tmp_path / "out")) == 0  # the task is noted in it
    with Reader(tmp_path / "bag") as old, Reader(tmp_path / "out") as new:
        assert new.storage.metadata.custom == {**notes, "topreward.labelled_by": small}
        former, copied = (
            next(one for one in reader.connections if one.topic == "/grip") for reader in (old, new)
        )
        assert (copied.msgtype, copied.msgdef, copied.digest) == (
            former.msgtype, former.msgdef, former.digest,
        )  # fmt: skip
        assert copied.ext.offered_qos_profiles == [LATCHED]
        assert new.start_time == old.start_time and new.end_time == old.end_time
    assert {reading.instruction for _, reading in readings(tmp_path / "out")} == {"fold the towel"}
    del store.fielddefs[kind]


def test_a_folder_becomes_a_folder_and_a_damaged_bag_is_named(small, tmp_path, capsys):
    folder = tmp_path / "set"
    bag(folder / "one", *scene(1.5))
    bag(folder / "two", *scene(), *episodes())
    bag(folder / "zero", *scene(1.5))
    (folder / "zero" / "zero.mcap").write_bytes(b"nothing")
    assert main(asked(folder, small, tmp_path / "out", "--instruction", "open")) == 1
    said = capsys.readouterr().err
    assert "zero is left out: " in said and "1 of 4 episodes are left out" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one", "two"]
    assert {one.episode_id for _, one in readings(tmp_path / "out/one")} == {"one"}
    assert {one.episode_id for _, one in readings(tmp_path / "out/two")} == {"aaa", "bbb"}


def test_spans_give_one_copy_with_the_readings_of_each(small, tmp_path):
    bag(tmp_path / "set/long", *scene())
    start = START / NANO
    (tmp_path / "set/labels.csv").write_text(
        "path,instruction,success,start,end\n"
        f"long,open,1,{start:.3f},{start + 1.5:.3f}\nlong,close,0,{start + 2:.3f},{start + 3:.3f}\n"
    )
    assert main(asked(tmp_path / "set", small, tmp_path / "out")) == 0
    found = [one for _, one in readings(tmp_path / "out/long")]
    assert [one.episode_id for one in found] == ["long"] * 3 + ["long#2"] * 2
    assert [one.instruction for one in found] == ["open"] * 3 + ["close"] * 2


def notes(path):
    with Reader(path) as reader:
        return reader.storage.metadata.custom


def test_split_gives_each_episode_a_copy_of_its_own_with_its_task(
    source, small, labelled, tmp_path
):
    assert main(asked(source, small, tmp_path / "out", "--split")) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["aaa", "bbb"]
    everything = content(labelled / "out")
    starts, ends = (
        [ns for ns, _, one in episodes() if one.event == kind] for kind in ("started", "stopped")
    )
    for name, task, start, end in zip(("aaa", "bbb"), ("open", "close"), starts, ends, strict=True):
        expected = [one for one in everything if start <= one[1] < end]
        assert content(tmp_path / "out" / name) == expected
        assert notes(tmp_path / "out" / name)["lerobot.operator_prompt"] == task
        assert {one.episode_id for _, one in readings(tmp_path / "out" / name)} == {name}
    assert "lerobot.operator_prompt" not in notes(labelled / "out")


def test_what_is_kept_for_late_subscribers_begins_a_copy_that_is_cut(small, tmp_path):
    store, kind = message_types(), "std_msgs/msg/String"
    with Writer(tmp_path / "long", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        kept = writer.add_connection(
            "/robot_description", kind, typestore=store, offered_qos_profiles=[LATCHED]
        )
        lens = writer.add_connection(LENS, "sensor_msgs/msg/Image", typestore=store)
        model = store.serialize_cdr(store.types[kind](data="an arm"), kind)
        writer.write(kept, BOOT, model)
        for k in range(30):
            received, _, message = shot(k / 10)
            writer.write(lens, received, store.serialize_cdr(message, message.__msgtype__))
    start = START / NANO
    (tmp_path / "labels.csv").write_text(
        "path,instruction,success,start,end\n"
        f"long,open,1,{start + 0.45:.3f},{start + 1.45:.3f}\n"
        f"long,close,0,{start + 2:.3f},{start + 2.55:.3f}\n"
    )
    assert main(asked(tmp_path, small, tmp_path / "out", "--split")) == 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["long", "long#2"]
    first = content(tmp_path / "out/long", ["/robot_description", LENS])
    assert first[0] == ("/robot_description", BOOT + NANO // 2, bytes(model))
    assert [ns - BOOT for _, ns, _ in first[1:]] == [k * NANO // 10 for k in range(5, 15)]
    assert notes(tmp_path / "out/long#2")["lerobot.operator_prompt"] == "close"


def test_split_without_a_bag_is_a_wrong_command(source, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([str(source), "--split"])
    assert "--split is how --bag writes" in capsys.readouterr().err


def test_names_that_lead_elsewhere_stay_within_the_folder(small, tmp_path):
    events = [
        told(0.05, "started", "../../up", "open"), told(1.7, "stopped", "../../up", "open"),
        told(2.05, "started", "___up", "close"), told(3.6, "stopped", "___up", "close"),
    ]  # fmt: skip
    path = bag(tmp_path / "bag", *scene(), *events)
    assert main(asked(path, small, tmp_path / "out", "--split")) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag", "out"]
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_cameras_that_were_not_asked_for_have_no_readings(small, tmp_path):
    bag(tmp_path / "bag", *scene(1.5))
    more = ["--instruction", "go", "--cameras", WRIST]
    assert main(asked(tmp_path / "bag", small, tmp_path / "out", *more)) == 0
    found = readings(tmp_path / "out")
    assert found and {one.header.frame_id for _, one in found} == {"wrist_optical"}


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--reading-topic", JOINTS], "has messages on /joints already (std_msgs/msg/String), and"),
        (["--reward-topic", LENS], "name another topic with --reward-topic."),
        (["--reward-topic", READINGS], "are both /topreward/reward_node/reading."),
        (["--reward-topic", "reward"], "'reward' is no topic of a bag; expected one such as"),
        (["--bag", "SOURCE", "--overwrite"], "originals are left as they are; name another folder"),
        (["--bag", "SOURCE/in", "--overwrite"], "originals are left as they are"),
        (["--bag", "SOURCE/..", "--overwrite"], "originals are left as they are"),
        (["--bag", "/nowhere/out"], "There is no folder /nowhere for out"),
        (["--bag", str(ROOT / "docs")], "is there already; name another file, or give --overwrite"),
        (["--bag", str(ROOT / "docs"), "--overwrite"], "is no labelled copy, or holds something"),
        (["--bag", "OTHER", "--overwrite"], "is no labelled copy, or holds something else, and"),
        (["--bag", "OTHER/..", "--overwrite"], "is no labelled copy, or holds something else, and"),
        (["--bag", "."], ". is there already"),
        (["--progress", "p.parquet"], "number the frames of a LeRobot data set"),
    ],
)
def test_what_cannot_be_written_is_one_sentence_before_anything_is_scored(
    source, other, tmp_path, capsys, more, sentence
):
    places = {"SOURCE": str(source), "OTHER": str(other)}
    given = list(more)
    for name, path in places.items():
        given = [one.replace(name, path) for one in given]
    before = files(source)
    assert main(asked(source, "/no/model/is/loaded", tmp_path / "out", *given)) == 1
    told = [line for line in capsys.readouterr().err.splitlines() if line.startswith("label:")]
    assert len(told) == 1 and sentence in told[0]
    assert files(source) == before and list(tmp_path.iterdir()) == []


def test_episodes_that_are_in_no_bag_are_refused(tmp_path, capsys):
    pytest.importorskip("pyarrow")
    dataset = write_v30(tmp_path / "set", [["open"]], [12])
    assert main(asked(dataset, "demo", tmp_path / "out")) == 1
    assert "is in no bag, and --bag writes readings into copies of bags" in capsys.readouterr().err


def test_an_old_bag_without_the_definition_of_a_type_says_what_to_do(small, tmp_path, capsys):
    path = bag(tmp_path / "bag", *scene(1.0), storage=StoragePlugin.SQLITE3)
    with sqlite3.connect(path / "bag.db3") as database:
        database.execute("UPDATE topics SET type = 'lab_msgs/msg/Odd' WHERE name = '/joints'")
        database.execute("DELETE FROM message_definitions")
    text = (path / "metadata.yaml").read_text()
    (path / "metadata.yaml").write_text(text.replace("std_msgs/msg/String", "lab_msgs/msg/Odd"))
    assert main(asked(path, small, tmp_path / "out", "--instruction", "go")) == 1
    said = capsys.readouterr().err
    assert "does not hold the definition of lab_msgs/msg/Odd (/joints)" in said
    assert "ros2 bag convert" in said and not (tmp_path / "out").exists()


def test_a_full_disk_loses_nothing_and_is_one_sentence(source, small, labelled, tmp_path, capsys):
    arguments = asked(source, small, tmp_path / "out", "--output", str(tmp_path / "lines.csv"))

    def full(*_):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bag_copy.Writer, "write", full)
        assert main(arguments) == 1
    assert "No space left on device" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["out.partial"]
    assert main(arguments) == 0
    assert "2 of 2 episodes are labelled already" in capsys.readouterr().err
    assert files(tmp_path) == files(labelled)


def test_a_copy_is_written_over_only_when_asked_and_then_whole(source, small, labelled, tmp_path):
    assert main(asked(source, small, tmp_path / "out", "--instruction", "another")) == 0
    assert files(tmp_path / "out") != files(labelled / "out")
    assert main(asked(source, small, tmp_path / "out")) == 1
    assert main(asked(source, small, tmp_path / "out", "--overwrite")) == 0
    assert files(tmp_path / "out") == files(labelled / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_original_that_changes_meanwhile_is_noticed(small, tmp_path, capsys, monkeypatch):
    path = bag(tmp_path / "bag", *scene(1.5))
    write = labelled_bag.write_labelled_bag

    def changed(source: Path, *given):
        shutil.rmtree(source)
        bag(source, *(shot(k / 10 + 0.001) for k in range(15)))
        write(source, *given)

    monkeypatch.setattr("topreward_ros.offline.labelling.bag_output.write_labelled_bag", changed)
    given = ["--instruction", "go", "--cameras", LENS]
    assert main(asked(path, small, tmp_path / "out", *given)) == 1
    assert "readings find no picture with their stamps" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
