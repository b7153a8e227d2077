"""Progress, instruction and success as markers in 3D (visualization_msgs/MarkerArray)."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

from anyascii import anyascii
from std_msgs.msg import ColorRGBA, Header
from visualization_msgs.msg import Marker, MarkerArray

from topreward_ros.video.overlay import INK, PROGRESS, SUCCESS, TRACK, OverlayState

NAMESPACE = "topreward"
TEXT, TRACK_BAR, PROGRESS_BAR = range(3)
BAR_LENGTH = 8.0
"""Of the bar, in heights of the letters."""
BAR_THICKNESS = 0.5
"""Of the bar, in heights of the letters."""
SPACE_WIDTH = 0.5
"""Of a space, in heights of the letters; RViz takes letters of 1 m where a marker says nothing."""
THINNEST = 1e-3
"""m; RViz warns of markers without extent."""
LINE_LENGTH = 40
"""Letters in a line."""


def episode_markers(
    state: OverlayState, frame_id: str, position: Sequence[float], text_height: float
) -> MarkerArray:
    """Returns a text, and a bar along the frame's y axis that fills with progress.

    The stamp is zero: RViz then takes the frame where it is now. Ids are the same every time, so
    that new markers take the place of the old ones.

    Args:
        state: what to show.
        frame_id: coordinate frame.
        position: [x, y, z] in m, of the bar's middle; the text stands above it.
        text_height: m, of the letters.
    """
    value = _progress(state)
    length, thickness = BAR_LENGTH * text_height, BAR_THICKNESS * text_height
    x, y, z = position
    lines = describe(state).split("\n")
    accent = SUCCESS if state.success else PROGRESS
    above = z + thickness + 0.6 * text_height * len(lines) + 0.4 * text_height
    text = _marker(TEXT, Marker.TEXT_VIEW_FACING, frame_id, (x, y, above), accent)
    text.text = "\n".join(lines)
    text.scale.x = SPACE_WIDTH * text_height
    text.scale.z = float(text_height)
    if not state.success:
        text.color = _color(INK)
    track = _marker(TRACK_BAR, Marker.CUBE, frame_id, (x, y, z), TRACK, 0.5)
    _size(track, thickness, length)
    # Slightly thicker than the track, so that the two surfaces do not flicker.
    filled = max(length * value, THINNEST)
    left = y + length / 2 - filled / 2  # from +y on: left, seen against the x axis
    bar = _marker(PROGRESS_BAR, Marker.CUBE, frame_id, (x, left, z), accent)
    _size(bar, 1.1 * thickness, filled)
    return MarkerArray(markers=[text, track, bar])


def describe(state: OverlayState) -> str:
    """Returns the markers' text: the instruction, then progress, log-probability and success.

    It is ASCII, for RViz's font has gaps in the place of other letters.
    """
    figures = [f"{100 * _progress(state):.0f} %" if len(state.progress) else "waiting"]
    if state.censored:
        figures.append("log p censored")
    elif state.log_prob is not None and math.isfinite(state.log_prob):
        figures.append(f"log p {state.log_prob:.2f}")
    if state.success:
        figures.append("SUCCESS")
    ascii_ = anyascii(state.instruction)
    instruction = textwrap.wrap(ascii_, LINE_LENGTH, max_lines=2, placeholder=" ...")
    return "\n".join([*instruction, "   ".join(figures)])


def _progress(state: OverlayState) -> float:
    last = float(state.progress[-1]) if len(state.progress) else 0.0
    return min(max(last, 0.0), 1.0) if math.isfinite(last) else 0.0


def _marker(
    number: int,
    kind: int,
    frame_id: str,
    position: tuple[float, float, float],
    color: Sequence[int],
    alpha: float = 1.0,
) -> Marker:
    marker = Marker(
        header=Header(frame_id=frame_id),
        ns=NAMESPACE,
        id=number,
        type=kind,
        action=Marker.ADD,
        color=_color(color, alpha),
        frame_locked=True,
    )
    place = marker.pose.position
    place.x, place.y, place.z = map(float, position)
    marker.pose.orientation.w = 1.0
    return marker


def _size(marker: Marker, thickness: float, length: float) -> None:
    marker.scale.x = marker.scale.z = float(thickness)
    marker.scale.y = float(length)


def _color(rgb: Sequence[int], alpha: float = 1.0) -> ColorRGBA:
    red, green, blue = (value / 255 for value in rgb)
    return ColorRGBA(r=red, g=green, b=blue, a=alpha)
