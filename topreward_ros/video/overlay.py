"""The camera's picture with what the model makes of it: instruction, progress, curve, success."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING

import cv2
import numpy as np

from topreward_ros.video.lettering import Colour, draw_text, text_width, wrap

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

INK: Colour = (246, 248, 251)
MUTED: Colour = (168, 179, 194)
TRACK: Colour = (72, 82, 98)
PROGRESS: Colour = (74, 179, 255)
SUCCESS: Colour = (46, 213, 137)
NIGHT: Colour = (9, 14, 22)
SHORTEST_AXIS = 10.0
"""Seconds that the curve's axis covers at least."""
COMPACT_BELOW = 0.46
"""Scale (1 is 640 x 480) below which there is room for the bar and the instruction only."""


@dataclass(frozen=True)
class OverlayState:
    """What to show.

    Attributes:
        instruction: the task.
        times: seconds since the episode's start, one for each reading so far, growing.
        progress: 0 to 1, one for each reading; NaN leaves a gap.
        log_prob: nat, of the last reading.
        censored: whether the last reading has none because the service tells too few tokens.
        reward: of the last reading.
        success: whether the flag is set.
        success_time: seconds since the episode's start at which it was set.
        duration: seconds that the curve's axis is to cover, where the length is known.
        model: name of the model, or any short note, shown in a corner.
        stages: names of the stages that ran, and seconds since the episode's start from which on
            each did; "" where none runs any more. All but the last one have held.
    """

    instruction: str = ""
    times: Sequence[float] = field(default=())
    progress: Sequence[float] = field(default=())
    log_prob: float | None = None
    reward: float | None = None
    success: bool = False
    success_time: float | None = None
    duration: float | None = None
    model: str = ""
    censored: bool = False
    stages: Sequence[tuple[str, float]] = field(default=())


def draw_overlay(image: NDArray[np.uint8], state: OverlayState) -> NDArray[np.uint8]:
    """Draws a state over a camera's picture.

    Args:
        image: uint8 RGB of shape (height, width, 3), left as it is; 160 x 120 px and more.
        state: what to show.

    Returns:
        uint8 RGB of the same shape.
    """
    canvas = np.ascontiguousarray(image).copy()
    scale = min(canvas.shape[0] / 480, canvas.shape[1] / 640)
    if scale < COMPACT_BELOW:
        _draw_compact(canvas, state, max(scale, 0.2))
    else:
        _draw_full(canvas, state, scale)
    if state.success:
        _draw_success(canvas, max(scale, 0.35))
    return canvas


def _draw_full(canvas: NDArray[np.uint8], state: OverlayState, scale: float) -> None:
    height, width = canvas.shape[:2]
    margin, size = round(20 * scale), round(20 * scale)
    lines = wrap(_printable(state.instruction), size, width - 2 * margin, 2)
    top = height - round(136 * scale) - len(lines) * round(26 * scale)
    _darken(canvas, top - round(34 * scale))
    for line in lines:
        draw_text(canvas, line, (margin, top), size, INK, bold=0.4 * scale)
        top += round(26 * scale)
    top += round(8 * scale)
    bottom = top + round(62 * scale)
    accent = SUCCESS if state.success else PROGRESS
    label = _percent(state)
    figure = round(40 * scale)
    draw_text(canvas, label, (margin - round(2 * scale), top), figure, accent, bold=0.5 * scale)
    small = round(13 * scale)
    draw_text(canvas, "progress", (margin, top + round(45 * scale)), small, MUTED)
    left = margin + round(text_width("100%", figure)) + round(18 * scale)
    _draw_curve(canvas, state, (left, top + round(3 * scale), width - margin, bottom), scale)
    bar = bottom + round(15 * scale)
    _draw_bar(canvas, state, (margin, width - margin, bar), max(2, round(7 * scale)))
    _draw_figures(canvas, state, (margin, bar + round(12 * scale)), round(14 * scale))


def _draw_compact(canvas: NDArray[np.uint8], state: OverlayState, scale: float) -> None:
    height, width = canvas.shape[:2]
    margin, size = max(3, round(16 * scale)), max(9, round(26 * scale))
    line_height = round(size * 1.3)
    bar = height - margin - 2
    top = bar - line_height - max(2, round(10 * scale))
    _darken(canvas, top - line_height)
    label = _percent(state)
    room = width - 2 * margin - round(text_width("100%", size)) - margin
    for line in wrap(_printable(state.instruction), size, room, 1):
        draw_text(canvas, line, (margin, top), size, INK)
    accent = SUCCESS if state.success else PROGRESS
    x = width - margin - round(text_width(label, size)) - 1
    draw_text(canvas, label, (x, top), size, accent, bold=0.3)
    _draw_bar(canvas, state, (margin, width - margin, bar), max(2, round(10 * scale)))


def _draw_curve(
    canvas: NDArray[np.uint8], state: OverlayState, box: tuple[int, int, int, int], scale: float
) -> None:
    """Draws the progress so far in a box of left, top, right, bottom."""
    left, top, right, bottom = box
    hair = max(1, round(scale))
    for part in (0.0, 0.5, 1.0):
        y = round(bottom + (top - bottom) * part)
        cv2.line(canvas, (left, y), (right, y), TRACK, hair, cv2.LINE_AA)
    _draw_stages(canvas, state, box, scale)
    times = np.asarray(state.times, float)
    values = np.clip(np.asarray(state.progress, float), 0, 1)
    known = np.isfinite(values) & np.isfinite(times)
    times, values = times[known], values[known]
    if not times.size:
        return
    axis = _axis(state)
    points = np.stack(
        [left + (right - left) * times / axis, bottom + (top - bottom) * values], axis=-1
    )
    points = points[_visible(points[:, 0])]
    colour = SUCCESS if state.success else PROGRESS
    _fill_below(canvas, points, bottom, colour)
    if state.success_time is not None:
        x = round(left + (right - left) * min(max(state.success_time / axis, 0), 1))
        cv2.line(canvas, (x, top), (x, bottom), SUCCESS, max(1, round(1.5 * scale)), cv2.LINE_AA)
    fixed = _fixed_point(points)
    cv2.polylines(canvas, [fixed], False, colour, max(1, round(2.4 * scale)), cv2.LINE_AA, 4)
    end, radius = tuple(fixed[-1].tolist()), 4.5 * scale * 16
    cv2.circle(canvas, end, round(radius * 1.6), NIGHT, -1, cv2.LINE_AA, 4)
    cv2.circle(canvas, end, round(radius), INK, -1, cv2.LINE_AA, 4)


def _axis(state: OverlayState) -> float:
    """Returns the seconds that the curve's axis covers."""
    return max(SHORTEST_AXIS, state.duration or 0.0, float(state.times[-1]))


def _draw_stages(
    canvas: NDArray[np.uint8], state: OverlayState, box: tuple[int, int, int, int], scale: float
) -> None:
    """Draws the stages as bands along the top of a box: those that have held, and the running."""
    if not len(state.times) or not state.stages:
        return
    left, top, right, _ = box
    axis = _axis(state)
    ends = [*(begin for _, begin in state.stages[1:]), float(state.times[-1])]
    for number, ((name, begin), end) in enumerate(zip(state.stages, ends, strict=True)):
        if not name:
            continue
        first, last = (round(left + (right - left) * t / axis) for t in (begin, end))
        colour = PROGRESS if number == len(state.stages) - 1 else SUCCESS
        cv2.line(
            canvas, (first, top), (max(first, last - 2), top), colour, max(2, round(4 * scale))
        )
        size = round(12 * scale)
        for line in wrap(_printable(name), size, max(0, last - first), 1):
            draw_text(canvas, line, (first, top + round(4 * scale)), size, INK)


def _visible(x: NDArray[np.float64]) -> NDArray[np.intp]:
    """Indices of points that are at least a pixel apart, and of the last one."""
    keep = np.flatnonzero(np.diff(np.floor(x), prepend=-1))
    return np.union1d(keep, [x.size - 1])


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Pixels in sixteenths, as OpenCV takes them with shift 4."""
    return np.rint(points * 16).astype(np.int32)


def _fill_below(
    canvas: NDArray[np.uint8], points: NDArray[np.float64], bottom: int, colour: Colour
) -> None:
    if len(points) < 2:
        return
    left, right = int(points[0, 0]), math.ceil(points[-1, 0]) + 1
    top = max(0, int(points[:, 1].min()))
    area = canvas[top : bottom + 1, left:right]
    corners = np.vstack([points, [points[-1, 0], bottom], [points[0, 0], bottom]]) - [left, top]
    filled = cv2.fillPoly(area.copy(), [_fixed_point(corners)], colour, cv2.LINE_AA, 4)
    area[:] = cv2.addWeighted(area, 0.74, filled, 0.26, 0)


def _draw_bar(
    canvas: NDArray[np.uint8], state: OverlayState, place: tuple[int, int, int], thickness: int
) -> None:
    """Draws the bar from left to right around a height y."""
    left, right, y = place
    cap = thickness // 2
    start, end = left + cap, right - cap
    cv2.line(canvas, (start, y), (end, y), TRACK, thickness, cv2.LINE_AA)
    value = _last(state.progress)
    if value:
        colour = SUCCESS if state.success else PROGRESS
        reached = round(start + (end - start) * min(max(value, 0), 1))
        cv2.line(canvas, (start, y), (reached, y), colour, thickness, cv2.LINE_AA)


def _draw_figures(
    canvas: NDArray[np.uint8], state: OverlayState, position: tuple[int, int], size: int
) -> None:
    """Writes log-probability, reward and time, and the model on the right."""
    x, y = position
    right = canvas.shape[1] - x
    figures = []
    if state.censored:
        figures.append(("log p", "censored"))
    elif state.log_prob is not None:
        figures.append(("log p", f"{state.log_prob:.2f}"))
    if state.reward is not None:
        figures.append(("reward", f"{state.reward:+.2f}"))
    if len(state.times):
        figures.append(("time", f"{state.times[-1]:.1f} s"))
    for name, value in figures:
        draw_text(canvas, name, (x, y), size, MUTED)
        x += round(text_width(name, size)) + round(0.4 * size)
        draw_text(canvas, value, (x, y), size, INK)
        x += round(max(text_width(value, size), 3.2 * size)) + round(0.9 * size)
    for line in wrap(_printable(state.model), size, max(0, right - x), 1):
        draw_text(canvas, line, (right - round(text_width(line, size)), y), size, MUTED)


def _draw_success(canvas: NDArray[np.uint8], scale: float) -> None:
    """Draws a green frame and a badge at the upper right."""
    height, width = canvas.shape[:2]
    edge = max(2, round(4 * scale))
    cv2.rectangle(canvas, (0, 0), (width - 1, height - 1), SUCCESS, 2 * edge - 1)
    size = max(9, round(19 * scale))
    half = round(size * 0.86)
    text = round(text_width("SUCCESS", size))
    right, y = width - round(16 * scale) - edge - half, round(16 * scale) + edge + half
    left = right - text - round(1.25 * size)
    cv2.line(canvas, (left, y), (right, y), SUCCESS, 2 * half, cv2.LINE_AA)
    tick = np.array([(0.0, 0.05), (0.26, 0.32), (0.78, -0.32)]) * size + [left, y]
    weight = max(1, round(size / 7))
    cv2.polylines(canvas, [_fixed_point(tick)], False, NIGHT, weight, cv2.LINE_AA, 4)
    place = (left + round(1.12 * size), y - round(0.63 * size))
    draw_text(canvas, "SUCCESS", place, size, NIGHT, bold=0.5 * scale)


def _darken(canvas: NDArray[np.uint8], top: int) -> None:
    """Lets the picture fade into the night from a height on, so that what stands there is read."""
    top = max(0, top)
    area = canvas[top:]
    keep, night = _fade(*area.shape[:2])
    area[:] = cv2.add(cv2.multiply(area, keep, scale=1 / 255), night)


@lru_cache(maxsize=4)
def _fade(height: int, width: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Returns how much of the picture stays, of 255, and the night; (height, width, 3) both."""
    rise = np.clip(np.linspace(0, 1.9, height), 0, 1)
    opacity = (0.84 * (3 * rise**2 - 2 * rise**3))[:, None, None]
    keep = np.broadcast_to(255 * (1 - opacity), (height, width, 3))
    night = np.broadcast_to(opacity * NIGHT, (height, width, 3))
    return np.rint(keep).astype(np.uint8), np.rint(night).astype(np.uint8)


def _last(values: Sequence[float]) -> float | None:
    return float(values[-1]) if len(values) and math.isfinite(values[-1]) else None


def _percent(state: OverlayState) -> str:
    value = _last(state.progress)
    return "--" if value is None else f"{100 * min(max(value, 0), 1):.0f}%"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text[:1000])
