"""Markers say what an episode has shown, in any frame, with nothing that RViz refuses."""

from __future__ import annotations

import math

import pytest
from visualization_msgs.msg import Marker

from topreward_ros.nodes.viewing.markers import BAR_LENGTH, describe, episode_markers
from topreward_ros.video.overlay import OverlayState

PLACE = (1.0, 2.0, 3.0)
HEIGHT = 0.1
LENGTH = BAR_LENGTH * HEIGHT


def made(**fields):
    state = OverlayState(instruction="put the cube on the disc", **fields)
    return episode_markers(state, "world", PLACE, HEIGHT).markers


def test_there_are_a_text_a_track_and_a_bar_with_ids_that_stay_the_same():
    first, second = made(), made(times=[0.0], progress=[1.0], success=True)
    kinds = [Marker.TEXT_VIEW_FACING, Marker.CUBE, Marker.CUBE]
    for markers in (first, second):
        assert [(m.ns, m.id) for m in markers] == [("topreward", n) for n in range(3)]
        assert [m.type for m in markers] == kinds
        assert {m.action for m in markers} == {Marker.ADD}


def test_they_stand_in_the_frame_where_it_is_now():
    for marker in made():
        assert marker.header.frame_id == "world"
        assert (marker.header.stamp.sec, marker.header.stamp.nanosec) == (0, 0)
        assert marker.pose.orientation.w == 1.0 and marker.color.a > 0


@pytest.mark.parametrize("value", [0.0, 0.25, 1.0])
def test_the_bar_fills_from_the_tracks_end_with_progress(value):
    _, track, bar = made(times=[0.0], progress=[value])
    assert track.scale.y == pytest.approx(LENGTH)
    assert bar.scale.y == pytest.approx(max(value * LENGTH, 1e-3))
    end = PLACE[1] + LENGTH / 2
    assert bar.pose.position.y + bar.scale.y / 2 == pytest.approx(end)
    assert (bar.pose.position.x, bar.pose.position.z) == (PLACE[0], PLACE[2])


@pytest.mark.parametrize("value", [math.nan, -3.0, 7.0, math.inf])
def test_no_marker_is_ever_without_extent_or_longer_than_the_track(value):
    for marker in made(times=[0.0], progress=[value]):
        sides = [marker.scale.x, marker.scale.y, marker.scale.z]
        if marker.type == Marker.TEXT_VIEW_FACING:
            sides = [marker.scale.x, marker.scale.z]
        assert all(0 < side <= LENGTH + 1e-9 for side in sides)


def test_success_changes_the_colour_and_is_written():
    waiting, done = made(times=[0.0], progress=[0.9]), made(progress=[0.9], success=True)
    assert waiting[2].color != done[2].color
    assert "SUCCESS" in done[0].text and "SUCCESS" not in waiting[0].text


def test_the_text_stands_above_the_bar():
    text, _, bar = made()
    assert text.pose.position.z - bar.pose.position.z > HEIGHT


def test_the_text_has_the_instruction_progress_and_log_probability():
    state = OverlayState(
        instruction="fold the towel", times=[1.0], progress=[0.42], log_prob=-1.234
    )
    assert describe(state) == "fold the towel\n42 %   log p -1.23"
    assert describe(OverlayState(instruction="fold it")) == "fold it\nwaiting"
    unknown = OverlayState(
        instruction="fold it", times=[1.0], progress=[float("nan")], censored=True
    )
    assert describe(unknown) == "fold it\n0 %   log p censored"


def test_a_long_instruction_is_cut_to_two_lines():
    lines = describe(OverlayState(instruction="very " * 60 + "long")).split("\n")
    assert len(lines) == 3 and all(len(line) <= 40 for line in lines)


def test_a_space_is_as_wide_as_the_letters_ask_for():
    """RViz takes it from scale.x, and for letters of 1 m where that is 0 (ros2/rviz 1336)."""
    text, *_ = made()
    assert text.scale.x == pytest.approx(0.5 * HEIGHT)


@pytest.mark.parametrize(
    ("instruction", "shown"),
    [
        ("Räum die Straße auf", "Raum die Strasse auf"),
        ("put the café\u2019s cup … away", "put the cafe's cup ... away"),
        ("把红色方块放到盘子上", "BaHongSeFangKuaiFangDaoPanZiShang"),
        ("положи куб", "polozhi kub"),
    ],
)
def test_letters_that_rvizs_font_lacks_are_written_in_ascii(instruction, shown):
    text = made_of(instruction)
    assert text.isascii() and text.split("\n")[0] == shown


def test_lines_are_cut_as_they_are_shown():
    lines = made_of("把红色方块放到盘子上 " * 9).split("\n")
    assert len(lines) == 3 and all(len(line) <= 40 for line in lines)


def made_of(instruction):
    return episode_markers(OverlayState(instruction), "world", PLACE, HEIGHT).markers[0].text
