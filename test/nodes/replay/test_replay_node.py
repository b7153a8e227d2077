"""A recording played over DDS arrives complete, in order, pixel-exact and at its time."""

from __future__ import annotations

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import numpy as np
import pytest
import rclpy
from isolation import Domain
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rosbags import rosbag2
from rosbags.typesys import Stores, get_typestore
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CompressedImage, Image
from warm_processes import WarmProcess

from topreward_ros.nodes.replay.playback import NANO, Playback, Stamps, how_far
from topreward_ros.nodes.replay.replay_node import to_ros
from topreward_ros.video.image import decode
from topreward_ros.video.recordings.opening import open_recording
from topreward_ros.video.recordings.recording import RecordedImage

TYPES = get_typestore(Stores.ROS2_JAZZY)
FIRST = 1_700_000_000_123_456_789
"""Ns; float seconds could not hold it exactly."""
STEP = 100_000_000
COUNT = 12
SPAN = (COUNT - 1) * STEP / NANO
"""S from the first picture of a camera to its last."""
RAW, COMPRESSED = "/cam/image_raw", "/cam/image_raw/compressed"
DEADLINE = 30.0
"""S for what takes one or two on a quiet machine."""


def pixels(index: int, seed: int = 0) -> np.ndarray:
    """The picture of an index, uint8 RGB (24, 32, 3)."""
    return np.random.default_rng([seed, index]).integers(0, 256, (24, 32, 3), np.uint8)


def write_bag(path: Path, storage: str = "mcap", topics: tuple[str, ...] = (RAW,)) -> Path:
    """Writes COUNT pictures a topic; those of the second topic come half a step later."""
    types = TYPES.types
    plugin = rosbag2.StoragePlugin.MCAP if storage == "mcap" else rosbag2.StoragePlugin.SQLITE3
    with rosbag2.Writer(path, version=9, storage_plugin=plugin) as writer:
        kinds = ["Image" if topic == RAW else "CompressedImage" for topic in topics]
        connections = [
            writer.add_connection(topic, f"sensor_msgs/msg/{kind}", typestore=TYPES)
            for topic, kind in zip(topics, kinds, strict=True)
        ]
        for index in range(COUNT):
            for camera, (connection, kind) in enumerate(zip(connections, kinds, strict=True)):
                stamp = FIRST + index * STEP + camera * STEP // 2
                time_type = types["builtin_interfaces/msg/Time"]
                header = types["std_msgs/msg/Header"](
                    stamp=time_type(sec=stamp // NANO, nanosec=stamp % NANO), frame_id=f"c{camera}"
                )
                picture = pixels(index, camera)
                if kind == "Image":
                    message = types["sensor_msgs/msg/Image"](
                        header=header, height=24, width=32, encoding="rgb8", is_bigendian=0,
                        step=96, data=picture.reshape(-1),
                    )  # fmt: skip
                else:
                    import cv2

                    data = cv2.imencode(".png", np.ascontiguousarray(picture[:, :, ::-1]))[1]
                    message = types["sensor_msgs/msg/CompressedImage"](
                        header=header, format="png", data=data.reshape(-1)
                    )
                raw = TYPES.serialize_cdr(message, connection.msgtype)
                # Recorded a little later than it was stamped, as bags are.
                writer.write(connection, stamp + 5_000_000, raw)
    return path


def write_video(path: Path, rate: int = 20) -> Path:
    """Writes COUNT pictures without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=rate)
        stream.width, stream.height, stream.pix_fmt = 32, 24, "bgr0"
        for index in range(COUNT):
            frame = av.VideoFrame.from_ndarray(pixels(index), format="rgb24")
            container.mux(stream.encode(frame.reformat(format="bgr0")))
        container.mux(stream.encode())
    return path


@dataclass
class Graph:
    """A subscriber and replay nodes on a domain of their own."""

    node: Node
    executor: SingleThreadedExecutor
    environment: dict[str, str]
    folder: Path
    children: list[WarmProcess] = field(default_factory=list)

    def listen(self, kind: type, topic: str) -> list[tuple[float, object]]:
        """Returns a list to which (arrival in s, message) is appended."""
        heard: list[tuple[float, object]] = []
        self.node.create_subscription(
            kind,
            topic,
            lambda message: heard.append((time.monotonic(), message)),
            QoSProfile(depth=1000, reliability=ReliabilityPolicy.RELIABLE),
        )
        return heard

    def replay(self, *arguments: str, **parameters: object) -> WarmProcess:
        """Starts a replay node in a process of its own."""
        given = [x for name, value in parameters.items() for x in ("-p", f"{name}:={value}")]
        command = [sys.executable, "-m", "topreward_ros.nodes.replay.replay_node", "--ros-args"]
        child = WarmProcess(
            [*command, *given, *arguments],
            env=self.environment,
            output=self.folder / f"said_{len(self.children)}",
        )
        self.children.append(child)
        return child

    def until(self, happens: Callable[[], bool], limit: float = DEADLINE) -> None:
        """Spins until something is so."""
        end = time.monotonic() + limit
        while not happens():
            assert time.monotonic() < end, "it did not happen in time"
            self.executor.spin_once(timeout_sec=0.1)

    def finish(self, child: WarmProcess) -> str:
        """Spins until the replay has ended well; returns what it said."""
        self.until(lambda: child.poll() is not None)
        said = self.said(child)
        assert child.returncode == 0, said
        return said

    def said(self, child: WarmProcess) -> str:
        """Returns what a replay has printed."""
        return (self.folder / f"said_{self.children.index(child)}").read_text()


@pytest.fixture
def graph(tmp_path: Path) -> Iterator[Graph]:
    """A graph that no other process is on."""
    domain = Domain()
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    context = rclpy.Context()
    rclpy.init(context=context, domain_id=domain.number)
    node = Node("listener", context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(node)
    graph = Graph(node, executor, {**os.environ, "ROS_DOMAIN_ID": str(domain.number)}, tmp_path)
    yield graph
    for child in graph.children:
        if child.poll() is None:
            child.kill()
        child.wait()
    node.destroy_node()
    executor.shutdown()
    rclpy.shutdown(context=context)
    domain.release()


def stamps(heard: list[tuple[float, object]]) -> list[int]:
    """Header stamps in ns."""
    return [m.header.stamp.sec * NANO + m.header.stamp.nanosec for _, m in heard]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_every_picture_of_every_camera_arrives_exact_and_in_order(
    graph: Graph, tmp_path: Path, storage: str
) -> None:
    """Two cameras, raw and compressed; recorded stamps arrive to the nanosecond."""
    bag = write_bag(tmp_path / "bag", storage, (RAW, COMPRESSED))
    raw, compressed = graph.listen(Image, RAW), graph.listen(CompressedImage, COMPRESSED)
    child = graph.replay(path=bag, rate=4.0, stamps="recorded", wait_for_subscribers=1)
    graph.finish(child)
    assert stamps(raw) == [FIRST + index * STEP for index in range(COUNT)]
    assert stamps(compressed) == [FIRST + index * STEP + STEP // 2 for index in range(COUNT)]
    for camera, heard in enumerate((raw, compressed)):
        for index, (_, message) in enumerate(heard):
            np.testing.assert_array_equal(decode(message), pixels(index, camera))
            assert message.header.frame_id == f"c{camera}"


def test_stamps_are_shifted_to_now_and_keep_their_spacing_at_any_rate(
    graph: Graph, tmp_path: Path
) -> None:
    """The rate changes when pictures come and not what the camera's time says."""
    heard = graph.listen(Image, RAW)
    before = time.time_ns()
    child = graph.replay(path=write_bag(tmp_path / "bag"), rate=0.5, wait_for_subscribers=1)
    said = graph.finish(child)
    assert np.diff(stamps(heard)).tolist() == [STEP] * (COUNT - 1)
    assert before < stamps(heard)[0] < time.time_ns()
    # By the node's own steady clock: on a busy machine pictures arrive in bursts.
    (took,) = re.findall(rf"Played {COUNT} pictures in ([\d.]+) s", said)
    assert SPAN / 0.5 - 0.06 < float(took) < 5 * SPAN / 0.5


def test_a_delay_is_caught_up(graph: Graph, tmp_path: Path) -> None:
    """Each picture has its own time from the start: a node that was held up is late only once."""
    heard = graph.listen(Image, RAW)
    child = graph.replay(path=write_bag(tmp_path / "bag"), rate=0.4, wait_for_subscribers=1)
    graph.until(lambda: len(heard) >= 2)
    child.send_signal(signal.SIGSTOP)
    resume = time.monotonic() + 1.2
    graph.until(lambda: time.monotonic() > resume)
    child.send_signal(signal.SIGCONT)
    graph.finish(child)
    assert len(heard) == COUNT
    assert heard[-1][0] - heard[0][0] < SPAN / 0.4 + 0.8


def test_in_a_loop_time_goes_on(graph: Graph, tmp_path: Path) -> None:
    """Three passes are one stream with the spacing of the recording."""
    heard = graph.listen(Image, RAW)
    child = graph.replay(
        path=write_bag(tmp_path / "bag"), rate=8.0, loop=True, wait_for_subscribers=1
    )
    graph.until(lambda: len(heard) >= 3 * COUNT)
    assert np.diff(stamps(heard)[: 3 * COUNT]).tolist() == [STEP] * (3 * COUNT - 1)
    for index in range(3 * COUNT):
        np.testing.assert_array_equal(decode(heard[index][1]), pixels(index % COUNT))
    child.send_signal(signal.SIGINT)
    graph.finish(child)


def test_in_a_loop_recorded_stamps_jump_back(graph: Graph, tmp_path: Path) -> None:
    """What a looped bag does, to try out how nodes take it."""
    heard = graph.listen(Image, RAW)
    graph.replay(
        path=write_bag(tmp_path / "bag"), rate=8.0, loop=True, stamps="recorded",
        wait_for_subscribers=1,
    )  # fmt: skip
    graph.until(lambda: len(heard) >= 2 * COUNT)
    one = [FIRST + index * STEP for index in range(COUNT)]
    assert stamps(heard)[: 2 * COUNT] == one + one


def test_nothing_is_played_before_the_awaited_subscriber_is_there(
    graph: Graph, tmp_path: Path
) -> None:
    """A subscriber that comes late misses no picture, on a remapped topic neither."""
    child = graph.replay("-r", f"{RAW}:=/other", path=write_bag(tmp_path / "bag"), rate=8.0,
                         wait_for_subscribers=1)  # fmt: skip
    graph.until(lambda: graph.node.count_publishers("/other") == 1)
    assert child.poll() is None
    heard = graph.listen(Image, "/other")
    graph.finish(child)
    assert len(heard) == COUNT
    np.testing.assert_array_equal(decode(heard[0][1]), pixels(0))


def test_only_chosen_topics_are_played(graph: Graph, tmp_path: Path) -> None:
    """And only those are waited for."""
    bag = write_bag(tmp_path / "bag", topics=(RAW, COMPRESSED))
    raw, compressed = graph.listen(Image, RAW), graph.listen(CompressedImage, COMPRESSED)
    child = graph.replay(path=bag, rate=8.0, topics=f"[{COMPRESSED}]", wait_for_subscribers=1)
    graph.finish(child)
    assert (len(raw), len(compressed)) == (0, COUNT)


def test_a_video_is_played_at_the_stated_frame_rate(graph: Graph, tmp_path: Path) -> None:
    """Raw pictures, exact; the file itself says 20 pictures a second."""
    heard = graph.listen(Image, "/camera/image_raw")
    video = write_video(tmp_path / "video.mkv")
    graph.finish(graph.replay(path=video, fps=40.0, rate=2.0, wait_for_subscribers=1))
    assert np.diff(stamps(heard)).tolist() == [NANO // 40] * (COUNT - 1)
    for index, (_, message) in enumerate(heard):
        np.testing.assert_array_equal(decode(message), pixels(index))


def test_a_video_can_be_sent_as_jpeg(graph: Graph, tmp_path: Path) -> None:
    """On the topic that image_transport uses for it."""
    heard = graph.listen(CompressedImage, "/camera/image_raw/compressed")
    video = write_video(tmp_path / "video.mkv")
    graph.finish(graph.replay(path=video, rate=4.0, quality=95, wait_for_subscribers=1))
    assert [decode(message).shape for _, message in heard] == [(24, 32, 3)] * COUNT
    assert "jpeg" in heard[0][1].format


def test_the_jpeg_of_a_raw_picture_has_its_colours() -> None:
    """On a smooth picture, where JPEG loses little; red and blue exchanged would be 80 off."""
    ramp = np.linspace(0, 160, 32 * 24).reshape(24, 32).astype(np.uint8)
    picture = np.stack([ramp, np.full_like(ramp, 40), 160 - ramp], axis=-1)
    message = Image(
        height=24, width=32, encoding="bgr8", step=96,
        data=np.ascontiguousarray(picture[:, :, ::-1]).tobytes(),
    )  # fmt: skip
    sent = to_ros(message, stamp=FIRST, quality=95)
    assert np.abs(decode(sent).astype(int) - picture).max() <= 12
    assert sent.header.stamp.sec * NANO + sent.header.stamp.nanosec == FIRST


def test_best_effort_publishers_do_not_match_reliable_subscribers(
    graph: Graph, tmp_path: Path
) -> None:
    """The reliability that was asked for is the one that is offered."""
    graph.replay(path=write_bag(tmp_path / "bag"), loop=True, reliability="best_effort")
    graph.until(lambda: graph.node.count_publishers(RAW) == 1)
    (info,) = graph.node.get_publishers_info_by_topic(RAW)
    assert info.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_the_published_clock_never_goes_back_and_is_not_behind_the_pictures(
    graph: Graph, tmp_path: Path
) -> None:
    """Nodes with use_sim_time see the camera's time run on between pictures."""
    clock, heard = graph.listen(Clock, "/clock"), graph.listen(Image, RAW)
    child = graph.replay(
        path=write_bag(tmp_path / "bag"), stamps="recorded", publish_clock=True,
        wait_for_subscribers=1,
    )  # fmt: skip
    graph.finish(child)
    ticks = [m.clock.sec * NANO + m.clock.nanosec for _, m in clock]
    assert ticks == sorted(ticks)
    # The clock's subscribers are not waited for.
    assert set(stamps(heard)[COUNT // 2 :]) <= set(ticks)
    assert set(ticks) - set(stamps(heard))
    assert ticks[-1] == FIRST + (COUNT - 1) * STEP


def damaged(path: Path) -> Path:
    """A bag whose second half is noise."""
    bag = write_bag(path)
    (file,) = bag.glob("*.mcap")
    content = bytearray(file.read_bytes())
    half = len(content) // 2
    content[half:] = np.random.default_rng(0).bytes(len(content) - half)
    file.write_bytes(content)
    return bag


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"path": "/nowhere/bag"}, "/nowhere/bag does not exist"),
        ({}, "path is empty"),
        ({"path": "{bag}", "rate": 0.0}, "rate"),
        ({"path": "{bag}", "rate": "fast"}, "rate"),
        ({"path": "{bag}", "stamps": "later"}, "now or recorded"),
        ({"path": "{bag}", "topics": "[/elsewhere]"}, "/elsewhere"),
        ({"path": "{bag}", "topics": "[1, 2]"}, "a list of texts"),
        ({"path": "{bag}", "fps": 10.0}, "bag"),
        ({"path": "{text}"}, "video"),
        ({"path": "{damaged}"}, "damaged"),
    ],
)
def test_what_cannot_be_played_is_said_in_one_sentence(
    graph: Graph, tmp_path: Path, parameters: dict[str, object], named: str
) -> None:
    """Exit code 1, and no trace."""
    (tmp_path / "text").write_text("no video")
    places = {
        "{bag}": lambda: write_bag(tmp_path / "bag"),
        "{text}": lambda: tmp_path / "text",
        "{damaged}": lambda: damaged(tmp_path / "damaged"),
    }
    given = {name: places.get(value, lambda v=value: v)() for name, value in parameters.items()}
    child = graph.replay(**given)
    assert child.wait(DEADLINE) == 1
    errors = graph.said(child)
    sentences = [line for line in errors.splitlines() if line.startswith("replay_node: ")]
    assert len(sentences) == 1
    assert named in sentences[0]
    assert "Traceback" not in errors


@pytest.mark.parametrize("waiting", [0, 5])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(
    graph: Graph, tmp_path: Path, number: signal.Signals, waiting: int
) -> None:
    """While it plays and while it waits."""
    child = graph.replay(path=write_bag(tmp_path / "bag"), loop=True, wait_for_subscribers=waiting)
    graph.until(lambda: graph.node.count_publishers(RAW) == 1)
    child.send_signal(number)
    assert "Traceback" not in graph.finish(child)


def test_cues_of_a_camera_whose_stamps_cross_are_never_due_before_the_one_before(
    tmp_path: Path,
) -> None:
    """Two cameras' stamps need not be in the order of their arrival."""
    recording = open_recording(write_bag(tmp_path / "bag", topics=(RAW, COMPRESSED)))
    crossed = list(recording)
    crossed[2], crossed[3] = crossed[3], crossed[2]
    cues = list(Playback(lambda: crossed, rate=0.5).cues(now=10 * NANO))
    assert [cue.due for cue in cues] == sorted(cue.due for cue in cues)
    assert cues[0].due == 0.0
    assert cues[-1].due == pytest.approx((COUNT - 1 + 0.5) * STEP / NANO / 0.5)
    assert [cue.stamp - 10 * NANO for cue in cues] == [cue.recorded - FIRST for cue in cues]


def test_a_recording_of_one_picture_can_be_looped(tmp_path: Path) -> None:
    """There is no spacing to repeat; a second takes its place."""
    one: list[RecordedImage] = list(open_recording(write_bag(tmp_path / "bag")))[:1]
    cues = Playback(lambda: one, loop=True, stamps=Stamps.NOW).cues(now=0)
    assert [next(cues).stamp for _ in range(3)] == [0, NANO, 2 * NANO]


def test_in_a_loop_it_says_how_far_the_pass_is_and_which_one(tmp_path: Path) -> None:
    """Not "110 s played of 9 s"."""
    recording = open_recording(write_bag(tmp_path / "bag"))
    cues = Playback(lambda: recording.images([RAW]), loop=True).cues(now=0)
    times = [index * STEP / NANO for index in range(COUNT)]
    passes = [[next(cues) for _ in range(COUNT)] for _ in range(3)]
    for number, each in enumerate(passes, start=1):
        assert {cue.number for cue in each} == {number}
        assert [cue.played for cue in each] == pytest.approx(times)
    assert how_far(passes[0][-1], 9.0, 12) == (
        f"{passes[0][-1].played:.0f} s played of 9 s, 12 pictures."
    )
    assert how_far(passes[2][0], 9.0, 30) == "Pass 3: 0 s played of 9 s, 30 pictures in all."


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf")])
def test_a_rate_that_is_no_speed_is_refused(rate: float) -> None:
    """In one sentence that names it."""
    with pytest.raises(ValueError, match="The rate is"):
        Playback(lambda: (), rate=rate)
