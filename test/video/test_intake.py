"""The intake turns the cameras' messages into frames of one video."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rosbags.typesys import Stores, get_typestore

from topreward_ros.video.image import ImageError
from topreward_ros.video.intake import FrameIntake, IntakeSettings
from topreward_ros.video.mosaic import Layout, LayoutError
from topreward_ros.video.picture_job import CameraImageError
from topreward_ros.video.selection import ClockJump

STORE = get_typestore(Stores.ROS2_JAZZY)
RawImage = STORE.types["sensor_msgs/msg/Image"]
Header = STORE.types["std_msgs/msg/Header"]
Time = STORE.types["builtin_interfaces/msg/Time"]

T0 = 1_764_000_000.0
SIZE = (24, 32)


def message(stamp=T0, grey=100, *, frame="optical", height=48, width=64, cut=0):
    data = np.full(height * width * 3, grey, np.uint8)
    header = Header(stamp=Time(sec=int(stamp), nanosec=round(stamp % 1 * 1e9)), frame_id=frame)
    return RawImage(
        header=header, height=height, width=width, encoding="rgb8", is_bigendian=0,
        step=width * 3, data=data[: data.size - cut],
    )  # fmt: skip


def pattern(stamp):
    """A picture in which a part is bright."""
    shown = message(stamp, grey=10)
    shown.data[: shown.data.size // 3] = 250
    return shown


def intake(*cameras, **options):
    settings = IntakeSettings(**{"motion_threshold": None, **options})
    return FrameIntake(cameras or ("front",), settings, SIZE)


def feed(target, camera, offsets, **options):
    frames = [target.add(camera, T0 + t, message(T0 + t, **options)) for t in offsets]
    return [round(frame.stamp - T0, 6) for frame in frames if frame]


# --- one camera --------------------------------------------------------------------------------


def test_frames_have_the_asked_size_and_the_camera_s_stamp_and_frame():
    frame = intake().add("front", T0 + 0.25, message(frame="wrist_optical", grey=77))
    assert frame.image.shape == (*SIZE, 3) and frame.image.dtype == np.uint8
    assert (frame.image == 77).all()
    assert frame.stamp == T0 + 0.25 and frame.frame_id == "wrist_optical"


def test_frames_follow_the_sample_rate():
    assert feed(intake(sample_rate=2.0), "front", [i / 10 for i in range(21)]) == [
        0, 0.5, 1.0, 1.5, 2.0,
    ]  # fmt: skip


def test_a_frame_owns_its_memory():
    source = message(height=SIZE[0], width=SIZE[1])
    frame = intake().add("front", T0, source)
    source.data[:] = 0
    assert (frame.image == 100).all()
    frame.image[:] = 1  # torch warns of arrays that cannot be written


def test_only_selected_messages_are_decoded():
    target = intake()
    target.add("front", T0, message())
    assert target.add("front", T0 + 0.1, message(cut=5)) is None  # not due, so never looked at
    assert target.bad == {"front": 0} and target.received == {"front": 2}


def test_a_bad_image_is_named_and_the_next_good_one_takes_its_place():
    target = intake()
    feed(target, "front", [0.0])
    with pytest.raises(ImageError, match=r"^Camera 'front': Image data has 9211 bytes"):
        target.add("front", T0 + 0.5, message(cut=5))
    assert target.stale == ("front",)
    assert feed(target, "front", [0.6, 0.7, 1.0]) == [0.6, 1.0]
    assert target.bad == {"front": 1} and target.selected == 3 and target.stale == ()


def test_duplicates_are_left_out():
    target = intake(sample_rate=10.0)
    assert feed(target, "front", [0.0, 0.0, 0.5, 0.5]) == [0.0, 0.5]


def test_a_camera_that_goes_on_from_an_earlier_time_is_a_clock_jump_and_a_reset_goes_on():
    target = intake()
    feed(target, "front", [0.0, 5.0])
    assert feed(target, "front", [3.0, 3.2]) == []  # one that is far back may be an outlier
    with pytest.raises(ClockJump, match=r"'front' went back from .*5\.000 s to .*3\.000 s"):
        target.add("front", T0 + 3.5, message())
    target.reset()
    assert feed(target, "front", [0.0, 0.2, 0.5]) == [0.0, 0.5]
    assert target.received == {"front": 8}


def test_messages_in_exchanged_order_cost_nothing_but_themselves():
    target = intake()
    order = [k / 12 for k in range(102)]
    for k in range(15, 100, 15):
        order[k], order[k + 1] = order[k + 1], order[k]
    frames = feed(target, "front", order)
    assert len(frames) == 17 and (np.diff(frames) <= 7 / 12).all()
    assert target.cameras["front"].late == 6 and target.cameras["front"].outlying == 0


def test_one_outlier_is_left_out_and_counted_wherever_it_lies():
    for outlier in (60.0, -3600.0):
        target = intake()
        frames = [
            target.add("front", T0 + t, message(T0 + t), arrived=10.0 + k / 2)
            for k, t in enumerate([0.0, 0.5, outlier, 1.5, 2.0])
        ]
        assert [round(f.stamp - T0, 3) for f in frames if f] == [0.0, 0.5, 1.5, 2.0]
        assert target.cameras["front"].outlying == 1


def test_time_that_jumps_ahead_of_the_own_clock_is_a_clock_jump_and_a_pause_is_none():
    target = intake()
    for k in range(4):
        target.add("front", T0 + k / 2, message(), arrived=k / 2)
    assert target.add("front", T0 + 9.5, message(), arrived=9.5) is not None  # it was silent
    assert target.holes == 1
    assert target.add("front", T0 + 20.0, message(), arrived=10.0) is None
    with pytest.raises(ClockJump, match="jumped ahead"):
        target.add("front", T0 + 20.5, message(), arrived=10.5)


# --- pictures that are not new -----------------------------------------------------------------


def test_a_picture_that_is_bit_for_bit_the_last_one_is_of_a_frozen_camera():
    target = intake()
    frames = [target.add("front", T0 + k / 2, message(grey=grey)) for k, grey in
              enumerate([10, 20, 20, 20, 30])]  # fmt: skip
    assert [frame.frozen for frame in frames] == [(), (), ("front",), ("front",), ()]
    assert target.cameras["front"].frozen == 2


def test_noise_of_one_level_in_one_pixel_is_a_new_picture():
    target = intake()
    target.add("front", T0, message())
    alive = message()
    alive.data[1000] += 1
    assert target.add("front", T0 + 0.5, alive).frozen == ()


def test_one_frozen_camera_of_two_is_named_and_the_other_still_moves_the_video():
    target = intake("front", "wrist", motion_threshold=4.0, camera_max_age=0.2)
    target.add("front", T0, message(grey=10))
    target.add("wrist", T0, message(grey=10))
    target.add("front", T0 + 0.5, message(grey=10))
    frame = target.add("wrist", T0 + 0.5, pattern(T0 + 0.5))
    assert frame.frozen == ("front",) and frame.image is not None


def test_a_camera_that_is_slower_than_the_frames_is_not_frozen():
    target = intake("front", "slow", camera_max_age=2.0)
    target.add("slow", T0, message(grey=1))
    frames = [target.add("front", T0 + k / 2, message(grey=k)) for k in range(4)]
    assert all(frame.frozen == () for frame in frames)


def test_identical_pictures_may_be_allowed_as_simulators_send_them():
    target = intake(frozen_check=False)
    frames = [target.add("front", T0 + k / 2, message()) for k in range(3)]
    assert all(frame.frozen == () for frame in frames)


def test_a_new_episode_begins_with_a_new_picture():
    target = intake()
    target.add("front", T0, message())
    target.reset()
    assert target.add("front", T0 + 1, message()).frozen == ()


# --- several cameras ---------------------------------------------------------------------------


def test_a_frame_waits_until_every_camera_was_seen():
    target = intake("left", "right")
    assert target.stale == ("left", "right")
    assert feed(target, "left", [0.0, 0.1]) == []
    assert target.stale == ("right",)
    assert feed(target, "right", [0.05]) == [0.1]
    assert target.stale == ()


def test_cameras_are_tiled_in_their_order_whoever_comes_first():
    target = FrameIntake(("left", "right"), IntakeSettings(layout="row"), (20, 40))
    target.add("right", T0, message(grey=200, width=20, height=20))
    frame = target.add("left", T0, message(grey=50, width=20, height=20))
    assert frame.image[10, 5, 0] == 50 and frame.image[10, 35, 0] == 200


def test_the_newest_camera_gives_stamp_and_frame_id():
    target = intake("left", "right")
    target.add("left", T0 + 0.2, message(frame="left_optical"))
    frame = target.add("right", T0 + 0.1, message(frame="right_optical"))
    assert (frame.stamp, frame.frame_id) == (T0 + 0.2, "left_optical")


def test_a_camera_beyond_the_age_limit_holds_frames_back_and_is_named():
    target = intake("left", "right", camera_max_age=0.5)
    feed(target, "left", [0.0])
    assert feed(target, "right", [0.0]) == [0.0]
    assert feed(target, "left", [0.5]) == [0.5]  # just within the limit
    assert feed(target, "left", [0.6, 1.0, 1.5]) == []
    assert target.stale == ("right",)
    assert feed(target, "right", [1.4]) == [1.5]  # complete: late, but not lost
    assert feed(target, "right", [1.9]) == []
    assert feed(target, "left", [2.0]) == [2.0]


def test_a_bad_image_of_one_camera_keeps_the_others():
    target = intake("left", "right")
    feed(target, "left", [0.0])
    with pytest.raises(ImageError, match="'right'"):
        target.add("right", T0, message(cut=1))
    assert target.bad == {"left": 0, "right": 1} and target.stale == ("right",)
    assert feed(target, "right", [0.1]) == [0.1]


def test_a_bad_image_is_its_own_cameras_whoever_asks_for_the_frame():
    target = intake("left", "right")
    target.add("right", T0, message(cut=1))  # not looked at yet: there is no frame without left
    with pytest.raises(CameraImageError, match="Camera 'right': Image data") as caught:
        target.add("left", T0, message())
    assert caught.value.camera == "right" and target.stale == ("right",)


def test_a_camera_shows_a_good_image_after_a_bad_one_before_it_counts():
    target = intake("left", "right", camera_max_age=0.1)
    target.add("right", T0, message(cut=1))
    with pytest.raises(CameraImageError):
        target.add("left", T0, message())
    with pytest.raises(CameraImageError) as caught:
        target.add("right", T0 + 0.5, message(cut=1))  # no frame can be made yet
    assert caught.value.camera == "right" and target.bad == {"left": 0, "right": 2}
    assert feed(target, "right", [0.6]) == [] and feed(target, "left", [0.6]) == [0.6]


def test_cameras_of_different_sizes_share_a_frame():
    target = FrameIntake(("a", "b"), IntakeSettings(layout=Layout.ROW), (40, 160))
    target.add("a", T0, message(grey=50, height=40, width=80))
    frame = target.add("b", T0, message(grey=200, height=20, width=20))
    assert frame.image.shape == (40, 160, 3)
    assert frame.image[20, 40, 0] == 50 and frame.image[20, 120, 0] == 200
    assert not frame.image[20, 85].any()  # padding beside the square picture


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 40)), max_size=80), st.booleans())
def test_any_arrival_order_gives_growing_stamps_on_the_grid_with_fresh_cameras(steps, gated):
    target = FrameIntake(
        ("a", "b"), IntakeSettings(motion_threshold=4.0 if gated else None), (8, 8)
    )
    times, stamps = {"a": 0, "b": 0}, []
    for camera, gap in steps:
        times[camera] += gap
        stamp = T0 + times[camera] / 20
        frame = target.add(camera, stamp, message(height=6, width=6, grey=int(stamp) % 256))
        if frame and frame.image is not None:
            assert abs(times["a"] - times["b"]) / 20 <= 0.5 + 1e-6
            stamps.append(frame.stamp)
    assert stamps == sorted(set(stamps))
    if stamps:
        instants = [math.floor((stamp - stamps[0] + 1e-6) * 2) for stamp in stamps]
        assert instants == sorted(set(instants))
    assert target.selected == len(stamps)


# --- motion gate -------------------------------------------------------------------------------


def test_without_a_gate_still_frames_are_given():
    target = intake()
    assert feed(target, "front", [0, 0.5, 1.0]) == [0, 0.5, 1.0] and target.gated == 0


def test_with_a_gate_still_frames_are_given_as_time_without_a_picture_and_counted():
    target = intake(motion_threshold=4.0)
    frames = [target.add("front", T0 + time, message()) for time in (0, 0.5, 1.0)]
    assert [frame.stamp - T0 for frame in frames] == [0, 0.5, 1.0]
    assert [frame.image is None for frame in frames] == [False, True, True]
    assert target.gated == 2 and target.selected == 1
    moved = message()
    moved.data[: moved.data.size // 4] = 200
    assert target.add("front", T0 + 1.5, moved).stamp == T0 + 1.5


def test_the_first_frame_of_each_episode_passes_the_gate():
    target = intake(motion_threshold=4.0)
    feed(target, "front", [0])
    target.reset()
    assert feed(target, "front", [1]) == [1]


# --- absurd settings ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "words"),
    [({"sample_rate": 0.0}, "sample rate"), ({"sample_rate": math.nan}, "sample rate"),
     ({"camera_max_age": 0.0}, "age limit"), ({"camera_max_age": math.nan}, "age limit"),
     ({"layout": "pile"}, "'pile' does not exist"), ({"motion_threshold": -1.0}, "threshold")],
)  # fmt: skip
def test_settings_out_of_range_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        IntakeSettings(**options)


@pytest.mark.parametrize("cameras", [(), ("a", "a")])
def test_no_camera_or_one_twice_is_refused(cameras):
    with pytest.raises(ValueError, match="at least one"):
        FrameIntake(cameras, IntakeSettings(), SIZE)


def test_more_cameras_than_the_layout_holds_are_refused_at_the_start():
    with pytest.raises(LayoutError, match="not 6"):
        FrameIntake(tuple("abcdef"), IntakeSettings(layout="main_inset"), SIZE)


def test_an_unknown_camera_a_size_without_pixels_and_a_stamp_that_is_none_are_refused():
    with pytest.raises(ValueError, match="unknown"):
        intake().add("back", T0, message())
    with pytest.raises(ValueError, match="frame size"):
        FrameIntake(("a",), IntakeSettings(), (0, 8))
    with pytest.raises(ValueError, match="stamp nan"):
        intake().add("front", math.nan, message())
