"""Episodes of one bag, cut by its events, by spans or not at all; what is doubtful is said."""

from __future__ import annotations

import numpy as np
import pytest
from camera_bags import NANO, event, raw_image, write_bag
from repository import ROOT
from rosbags.rosbag2 import StoragePlugin
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.offline.labelled_recordings import LabelsError, read_labels
from topreward_ros.offline.message_types import DEFINITIONS, message_types
from topreward_ros.video.recordings.recording import RecordingError

BOOT = 100 * NANO
"""ns on the recorder's clock at the first picture; the cameras' is another one, as in life."""
CHANGED = "instruction_changed"
LENS, EVENTS, MANAGED = "/lens", "/reward_node/event", "/episode_manager/episode_event"


def shots(count=40, camera=LENS):
    """Pictures at 10 Hz whose stamps begin at 5 s."""
    return [
        (
            BOOT + k * NANO // 10,
            camera,
            raw_image(5 * NANO + k * NANO // 10, np.full((8, 8, 3), k, np.uint8)),
        )
        for k in range(count)
    ]


def told(second, kind, name, task="open the drawer", topic=EVENTS, **values):
    """An event, so many s after the first picture, in a third clock."""
    after = round(second * NANO)
    return BOOT + after, topic, event(kind, name, task, 9000 * NANO + after, **values)


def bag(path, *events, pictures=None, **options):
    messages = sorted([*(pictures or shots()), *events], key=lambda one: one[0])
    return write_bag(path, messages, **options)


def stamps(episode):
    return [round(image.stamp, 3) for image in episode.open()]


@pytest.mark.parametrize("storage", list(StoragePlugin), ids=lambda s: s.name)
def test_each_episode_between_its_events_has_its_own_frames_task_and_id(tmp_path, storage):
    path = bag(
        tmp_path / "bag",
        told(0.05, "started", "aaa", "open"), told(1.05, "stopped", "aaa", "open", duration=1.0),
        told(1.55, "started", "bbb", "close"), told(2.55, "stopped", "bbb", "close", duration=1.0),
        storage=storage,
    )  # fmt: skip
    source = open_source(path)
    first, second = source
    assert source.kind == "bag with episodes" and len(source) == 2 and source.notes == ()
    assert (first.name, first.episode_id, first.instruction) == ("aaa", "aaa", "open")
    assert (second.name, second.instruction, second.success) == ("bbb", "close", None)
    assert stamps(first) == [round(5 + k / 10, 3) for k in range(1, 11)]
    assert stamps(second) == [round(5 + k / 10, 3) for k in range(16, 26)]


def test_what_two_nodes_tell_of_an_episode_is_one_with_the_label_that_somebody_gave(tmp_path):
    path = bag(
        tmp_path / "bag",
        told(0.05, "started", "aaa"), told(0.06, "started", "aaa", topic=MANAGED),
        told(1.05, "stopped", "aaa", duration=1.0, outcome="unlabelled"),
        told(1.06, "stopped", "aaa", topic=MANAGED, duration=1.0, outcome="failure",
             termination_reason="stopped"),
        told(1.07, "started", "bbb"),
        told(2.0, "stopped", "bbb", duration=0.9, outcome="success", termination_reason="stopped"),
    )  # fmt: skip
    first, second = open_source(path)
    assert (first.success, second.success) == (False, True)
    assert stamps(first)[-1] == 6.0


@pytest.mark.parametrize("reason", ["timeout", "failure"])
def test_what_the_model_said_of_the_outcome_is_no_label_to_hold_it_against(tmp_path, reason):
    path = bag(
        tmp_path / "bag",
        told(0.05, "started", "aaa"),
        told(1.05, "stopped", "aaa", outcome="success", termination_reason="success", duration=1.0),
        told(1.07, "started", "bbb"),
        told(2.0, "stopped", "bbb", outcome="failure", termination_reason=reason, duration=0.9),
    )
    source = open_source(path)
    assert [each.success for each in source] == [None, None]
    assert "the outcome of 2 episode(s) is what the model itself said" in " ".join(source.notes)


def test_an_end_that_was_not_recorded_is_said_and_cut(tmp_path):
    path = bag(
        tmp_path / "bag", told(0.05, "started", "aaa"), told(2.05, "started", "bbb"),
    )  # fmt: skip
    source = open_source(path)
    first, second = source
    assert stamps(first)[-1] == 7.0 and stamps(second)[-1] == 8.9
    assert "the end of episode aaa was not recorded; it is cut where the next" in source.notes[0]
    assert (
        "the end of episode bbb was not recorded; it is cut where the bag ends" in source.notes[1]
    )


def test_a_start_that_was_not_recorded_is_said_and_cut(tmp_path):
    source = open_source(bag(tmp_path / "bag", told(1.05, "stopped", "aaa", duration=8.0)))
    (only,) = source
    assert stamps(only)[0] == 5.0 and stamps(only)[-1] == 6.0
    assert (
        "the start of episode aaa was not recorded; it is cut where the bag st" in source.notes[0]
    )


def test_a_start_that_the_recorder_was_told_late_is_taken_from_the_duration(tmp_path):
    start = told(0.55, "started", "aaa")
    late = BOOT + 2 * NANO, EVENTS, start[2]
    source = open_source(bag(tmp_path / "bag", late, told(3.05, "stopped", "aaa", duration=2.5)))
    (only,) = source
    assert stamps(only)[0] == 5.6
    assert "told to the recorder 1.4 s late" in source.notes[0] or "1.5 s late" in source.notes[0]


def test_an_instruction_that_changed_in_mid_episode_makes_it_one_of_two_tasks(tmp_path):
    """No event tells of it but the end, which names the new one."""
    path = bag(
        tmp_path / "bag",
        told(0.05, "started", "aaa", "open"), told(1.05, "stopped", "aaa", "close", duration=1.0),
        told(1.15, "started", "bbb", "open"),
        told(2.05, "stopped", "bbb", "close", duration=0.9, termination_reason=CHANGED),
    )  # fmt: skip
    first, second = open_source(path)
    with pytest.raises(SourceError, match=r"aaa is of 2 tasks \('open', 'close'\)"):
        _ = first.instruction
    assert second.instruction == "open"


@pytest.mark.parametrize("before", [0.0, -0.5])
def test_what_was_over_when_the_recording_began_is_no_episode_of_it(tmp_path, before):
    def past(kind, name, second, **values):
        """Events are kept for those who come late: the recorder gets all of them at once."""
        _, topic, message = told(second, kind, name, **values)
        return BOOT + round((before + 0.02) * NANO), topic, message

    source = open_source(bag(
        tmp_path / "bag",
        past("started", "old", -60), past("stopped", "old", -40, duration=20.0),
        past("started", "older", -30), past("stopped", "older", -20, duration=10.0),
        told(0.15, "started", "aaa"), told(1.05, "stopped", "aaa", duration=0.9),
    ))  # fmt: skip
    assert [each.name for each in source] == ["aaa"]
    assert source.notes[0].endswith("over before the recording began are left out: 2.")


def test_an_episode_without_frames_reversed_or_beside_another_is_named(tmp_path):
    gap = [one for one in shots() if not BOOT + NANO < one[0] < BOOT + 2 * NANO]
    path = bag(
        tmp_path / "bag",
        told(1.15, "started", "empty"), told(1.85, "stopped", "empty", duration=0.7),
        told(2.1, "stopped", "odd", duration=0.1), told(2.3, "started", "odd"),
        told(2.4, "started", "left"), told(2.6, "started", "right", topic="/other/event"),
        told(3.4, "stopped", "left", duration=1.0),
        told(3.5, "stopped", "right", topic="/other/event", duration=0.9),
        pictures=gap,
    )  # fmt: skip
    said = {}
    for each in open_source(path):
        with pytest.raises(RecordingError) as caught:
            list(each.open())
        said[each.name] = str(caught.value)
    assert "holds no picture between the events of its start and its end" in said["empty"]
    assert "tells of the end of episode odd before its start" in said["odd"]
    assert "episode left overlaps with right, as of two robots in one bag" in said["left"]
    assert "episode right overlaps with left" in said["right"]
    assert all("\n" not in text and text.endswith(".") for text in said.values())


def test_events_that_name_no_episode_are_counted_and_a_bag_of_them_alone_is_whole(tmp_path):
    nameless = told(1.0, "stopped", "")
    named = [told(0.5, "started", "aaa"), told(2.0, "stopped", "aaa", duration=1.5)]
    source = open_source(bag(tmp_path / "one", nameless, *named))
    assert "events without an episode_id are left out: 1." in source.notes[0]
    fault = told(1.0, "fault", "aaa")
    for name, events in [("two", [nameless]), ("three", []), ("four", [fault])]:
        whole = open_source(bag(tmp_path / name, *events))
        assert whole.kind == "recording" and len(stamps(next(iter(whole)))) == 40
    assert open_source(tmp_path / "one", whole=True).kind == "recording"


def test_events_of_another_version_of_the_messages_are_one_sentence(tmp_path):
    other = get_typestore(Stores.ROS2_JAZZY)
    kind = "topreward_msgs/msg/EpisodeEvent"
    other.register(get_types_from_msg("uint8 a\n", kind))
    from rosbags.rosbag2 import Writer

    with Writer(tmp_path / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connection = writer.add_connection(EVENTS, kind, typestore=other)
        writer.write(connection, 1, other.serialize_cdr(other.types[kind](a=1), kind))
    with pytest.raises(RecordingError, match=r"of another version of topreward_msgs .*--whole"):
        open_source(tmp_path / "bag")
    assert len(open_source(tmp_path / "bag", whole=True)) == 1


def test_a_folder_of_bags_is_all_of_their_episodes_and_a_damaged_one_is_named(tmp_path):
    folder = tmp_path / "set"
    events = [told(0.05, "started", "aaa"), told(1.05, "stopped", "aaa", duration=1.0)]
    bag(folder / "b", *events, told(2.0, "started", "bbb"))
    bag(folder / "a", custom={"lerobot.operator_prompt": "fold the towel"})
    bag(folder / "c")
    (folder / "c" / "c.mcap").write_bytes(b"nothing")
    source = open_source(folder)
    assert [each.name for each in source] == ["a", "b/aaa", "b/bbb", "c"]
    assert source.kind == "folder of bags" and "b: the end of episode bbb" in source.notes[0]
    first, second, _, last = source
    assert first.instruction == "fold the towel" and second.episode_id == "aaa"
    with pytest.raises(RecordingError, match="c cannot be read as a rosbag2"):
        last.open()
    assert [each.name for each in open_source(folder, whole=True)] == ["a", "b", "c"]


# --- spans -------------------------------------------------------------------------------------


def spans(folder, *lines, header="path,start,end,instruction,success"):
    file = folder / "labels.csv"
    file.write_text("\n".join([header, *lines]) + "\n")
    return file


def test_spans_in_a_labels_csv_cut_a_bag_by_the_pictures_stamps(tmp_path):
    bag(tmp_path / "bag", told(0.0, "started", "aaa"))
    bag(tmp_path / "other")
    spans(tmp_path, "bag,5.0,6.0,open,1", "bag,6.0,7.25,close,0", "other,,,open,1")
    source = open_source(tmp_path)
    first, second, third = source
    assert [each.name for each in source] == ["bag", "bag#2", "other"]
    assert (first.instruction, first.success, second.success) == ("open", True, False)
    assert stamps(first) == [round(5 + k / 10, 3) for k in range(10)]
    assert stamps(second) == [round(6 + k / 10, 3) for k in range(13)]
    assert len(stamps(third)) == 40


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["bag,6,5,open,1"], "line 2: the span ends at 5 s, not after its start at 6 s"),
        (["bag,6,6,open,1"], "line 2: the span ends at 6 s, not after its start at 6 s"),
        (["bag,6,,open,1"], "line 2: a span needs both start and end"),
        (["bag,a,7,open,1"], 'line 2: start is "a"; expected seconds'),
        (["bag,nan,7,open,1"], 'line 2: start is "nan"; expected seconds'),
        (["bag,5,7,open,1", "bag,6.5,8,close,1"], "line 3: .* overlaps with the span in line 2"),
        (["bag,5,7,open,1", "bag,,,close,1"], "line 3: .* overlaps with the span in line 2"),
        (["bag,5,7,open,1", "bag,5,7,open,1"], "line 3: .* labelled in line 2 already"),
        (["film.mp4,5,7,open,1"], "line 2: film.mp4 is no bag, and spans are for bags"),
    ],
)
def test_spans_that_cannot_be_meant_are_refused(tmp_path, lines, sentence):
    bag(tmp_path / "bag")
    (tmp_path / "film.mp4").write_bytes(b"")
    spans(tmp_path, *lines)
    with pytest.raises(LabelsError, match=sentence) as caught:
        read_labels(tmp_path)
    assert "\n" not in str(caught.value)


def test_one_span_may_be_asked_about_two_tasks(tmp_path):
    bag(tmp_path / "bag")
    spans(tmp_path, "bag,5,7,open,1", "bag,5,7,close,0")
    assert len(read_labels(tmp_path)) == 2


def test_a_span_without_a_picture_says_which_stamps_there_are(tmp_path):
    bag(tmp_path / "bag")
    spans(tmp_path, "bag,0,2.5,open,1")
    (only,) = open_source(tmp_path)
    with pytest.raises(
        RecordingError, match=r"from 0\.000 s to 2\.500 s; its .* 5\.000 s to 8\.900"
    ):
        list(only.open())


# --- definitions -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DEFINITIONS)
def test_the_definitions_are_those_of_the_interface_files(name):
    store = get_typestore(Stores.ROS2_JAZZY)
    text = (ROOT / "msg" / f"{name.rsplit('/', 1)[1]}.msg").read_text()
    store.register(get_types_from_msg(text, name))
    assert message_types().hash_rihs01(name) == store.hash_rihs01(name)
