"""An episode as Rerun shows it: pictures, curves, words and events on the episode's own time line.

Everything is drawn twice in time: on `episode_time`, seconds since the episode's first frame, which
the views show, and on `stamp`, the camera's time. Whoever makes a `RerunDrawing` decides by its
stream where it goes: into a file, or to a viewer. Rerun itself is the extra `[rerun]`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import simplejpeg

if TYPE_CHECKING:
    from numpy.typing import NDArray

APPLICATION = "topreward"
EPISODE_TIME = "episode_time"
STAMP = "stamp"
INSTRUCTION, EVENTS = "episode/instruction", "episode/events"
SUCCESS, STAGE = "episode/success", "episode/stage"
CURVES = {
    "log_prob/log_prob": ("log p(True)", (135, 149, 168)),
    "log_prob/success_score": ("success score", (74, 179, 255)),
    "log_prob/success_threshold": ("threshold", (255, 127, 14)),
    "progress/progress": ("progress", (74, 179, 255)),
    "reward/reward": ("reward", (214, 39, 40)),
}
"""Below `curves`: by entity, its name for people and its colour; the last part is the field."""
NO_THRESHOLD, NOT_YET, DONE = "no threshold", "not yet", "success"
STATES = {NO_THRESHOLD: (120, 120, 120), NOT_YET: (135, 149, 168), DONE: (46, 170, 110)}
"""Of the success flag, with their colours."""
NO_STAGE = "none"
"""Where no stage runs any more."""
JITTER = 0.9
"""Share of the period after which a camera's picture is due: one of that rate keeps every one."""
JPEG_QUALITY = 85
NANOSECONDS = 1e9


class RerunMissing(RuntimeError):
    """Rerun is asked for and not installed; the sentence says how it comes."""


class DrawnReading(Protocol):
    """What is drawn of a reading; `episode.Reading` and `LoggedReading` have it."""

    stamp: float
    episode_time: float
    log_prob: float
    censored: bool
    progress: float
    reward: float
    success_score: float
    success_threshold: float | None
    success: bool
    stage: str


def load_rerun() -> ModuleType:
    """Returns the package `rerun`.

    Raises:
        RerunMissing: it is not installed.
    """
    try:
        import rerun
        import rerun.blueprint
    except ImportError as error:
        raise RerunMissing(
            f"Rerun is asked for, and the package rerun-sdk is not installed ({error}); install "
            "the extra: scripts/setup --extra rerun, or pip install 'topreward_ros[rerun]'."
        ) from None
    return rerun


def camera_entity(topic: str) -> str:
    """Returns where a camera's pictures stand, by the name of its topic."""
    parts = [part for part in topic.split("/") if part]
    return load_rerun().new_entity_path(["camera", *parts])


def blueprint(cameras: Sequence[str]) -> Any:
    """Returns how it is laid out: pictures left, curves right, words and events below.

    Args:
        cameras: topics, in the order in which they are shown.
    """
    rrb = load_rerun().blueprint
    pictures = [rrb.Spatial2DView(origin=camera_entity(one), name=one) for one in cameras]
    curves = [
        rrb.TimeSeriesView(origin="curves/progress", name="Progress", axis_y=_axis((0.0, 1.05))),
        rrb.TimeSeriesView(origin="curves/log_prob", name="Log-probability (nat)"),
        rrb.TimeSeriesView(origin="curves/reward", name="Reward"),
    ]
    words = [
        rrb.TextDocumentView(origin=INSTRUCTION, name="Task"),
        rrb.StateTimelineView(origin="episode", contents=[SUCCESS, STAGE], name="Success, stage"),
        rrb.TextLogView(origin=EVENTS, name="Events"),
    ]
    above = [rrb.Vertical(*pictures)] if pictures else []
    return rrb.Blueprint(
        rrb.Vertical(
            rrb.Horizontal(*above, rrb.Vertical(*curves)),
            rrb.Horizontal(*words, column_shares=[1, 1, 2]),
            row_shares=[3, 1],
        ),
        rrb.TimePanel(timeline=EPISODE_TIME, state="collapsed"),
        rrb.BlueprintPanel(state="collapsed"),
        rrb.SelectionPanel(state="hidden"),
        auto_views=False,
    )


def _axis(limits: tuple[float, float]) -> Any:
    return load_rerun().blueprint.ScalarAxis(range=limits)


class RerunDrawing:
    """Draws one episode into one recording of Rerun's.

    Attributes:
        stream: the `rerun.RecordingStream`; give it a sink before anything is drawn.
    """

    def __init__(self, name: str, instruction: str, start: float) -> None:
        """Begins the recording, with the task in words.

        Args:
            name: for people, in the viewer's list.
            instruction: the task.
            start: s of camera time, of the episode's first frame.

        Raises:
            RerunMissing: it is not installed.
        """
        self._rr = load_rerun()
        self._start = start
        self._states = {STAGE: NO_STAGE}  # by entity, as drawn last
        self._name, self._instruction = name, instruction
        self._cameras: list[str] = []
        self.stream = self._rr.RecordingStream(APPLICATION)

    def begin(self, cameras: Sequence[str] = ()) -> None:
        """Draws what does not change, once the stream has a sink.

        Args:
            cameras: topics, in the order in which they are shown; others join as they come.
        """
        rr, stream = self._rr, self.stream
        self._cameras = list(cameras)
        stream.send_recording_name(self._name)
        stream.send_blueprint(blueprint(cameras))
        stream.log(INSTRUCTION, rr.TextDocument(self._instruction), static=True)
        stream.log(
            SUCCESS,
            rr.StateConfiguration(values=list(STATES), colors=list(STATES.values())),
            static=True,
        )
        for entity, (label, colour) in CURVES.items():
            stream.log(
                f"curves/{entity}", rr.SeriesLines(colors=[colour], names=[label]), static=True
            )

    def reading(self, reading: DrawnReading) -> None:
        """Draws a reading; a number that is none leaves a hole in its curve."""
        self._at(reading.stamp)
        for entity in CURVES:
            value = getattr(reading, entity.rpartition("/")[2])
            if entity.startswith("log_prob/success") and not _is_number(value):
                continue  # none before the window is full, or without a threshold: nothing is lost
            self.stream.log(f"curves/{entity}", self._rr.Scalars(float(value)))
        success = NOT_YET if _is_number(reading.success_threshold) else NO_THRESHOLD
        success = DONE if reading.success else success
        self._change(SUCCESS, success)
        self._change(STAGE, reading.stage or NO_STAGE)

    def picture(self, camera: str, stamp: float, picture: NDArray[np.uint8]) -> None:
        """Draws what a camera saw.

        Args:
            camera: its topic.
            stamp: s of camera time.
            picture: uint8 RGB (H, W, 3).
        """
        if camera not in self._cameras:
            self._cameras.append(camera)
            self.stream.send_blueprint(blueprint(self._cameras))
        data = simplejpeg.encode_jpeg(np.ascontiguousarray(picture), quality=JPEG_QUALITY)
        self._at(stamp)
        image = self._rr.EncodedImage(contents=data, media_type="image/jpeg")
        self.stream.log(camera_entity(camera), image)

    def event(self, stamp: float, text: str, *, warning: bool = False) -> None:
        """Writes a line into the log.

        Args:
            stamp: s of camera time.
            text: one sentence.
            warning: whether something is wrong.
        """
        self._at(stamp)
        self.stream.log(EVENTS, self._rr.TextLog(text, level="WARN" if warning else "INFO"))

    def close(self) -> None:
        """Ends the recording; a file is whole then."""
        self.stream.disconnect()

    def _change(self, entity: str, state: str) -> None:
        if state != self._states.get(entity):
            self._states[entity] = state
            self.stream.log(entity, self._rr.StateChange(state=state))

    def _at(self, stamp: float) -> None:
        since = round((stamp - self._start) * NANOSECONDS)
        self.stream.set_time(EPISODE_TIME, duration=np.timedelta64(since, "ns"))
        at = np.datetime64(round(stamp * NANOSECONDS), "ns")
        self.stream.set_time(STAMP, timestamp=at)


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)
