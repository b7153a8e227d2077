"""From the cameras' messages to the frames of one video.

Live nodes and recordings use the same intake, so that they select the same frames. It keeps only
the newest message of each camera, undecoded, and has decoded what is selected: at once, or by
whoever must not wait for it, on another thread.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from topreward_ros.video.camera_clock import CameraClock, Order
from topreward_ros.video.camera_state import CameraState
from topreward_ros.video.image import ImageMessage, frame_id
from topreward_ros.video.mosaic import Layout
from topreward_ros.video.motion import DEFAULT_THRESHOLD, MotionGate
from topreward_ros.video.picture_job import CameraImageError, PictureJob
from topreward_ros.video.selection import LONGEST_STEP, STAMP_TOLERANCE, FrameSelector

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray


@dataclass(frozen=True)
class IntakeSettings:
    """How messages become frames.

    Attributes:
        sample_rate: frames per second of camera time.
        camera_max_age: seconds; how much older than the newest camera's picture another camera's
            may be to share a frame with it.
        layout: how several cameras are arranged; a `Layout` or its name.
        motion_threshold: grey levels of change below which a frame is left out; None: no gate.
        frozen_check: take a picture that is bit for bit the camera's last one for no new picture:
            a sensor has noise. Simulators send such pictures.

    Raises:
        ValueError: an attribute is out of its range.
    """

    sample_rate: float = 2.0
    camera_max_age: float = 0.5
    layout: Layout = Layout.ROW
    motion_threshold: float | None = DEFAULT_THRESHOLD
    frozen_check: bool = True

    def __post_init__(self) -> None:
        """Checks every attribute."""
        object.__setattr__(self, "layout", Layout.named(self.layout))
        if not self.camera_max_age > 0:
            raise ValueError(
                f"The camera age limit is {self.camera_max_age} s; expected a number above zero, "
                "usually 0.5."
            )
        FrameSelector(self.sample_rate)
        if self.motion_threshold is not None:
            MotionGate(self.motion_threshold)

    @property
    def longest_step(self) -> float:
        """S between two frames, above which there is a hole between them."""
        return LONGEST_STEP / self.sample_rate


@dataclass(frozen=True)
class Frame:
    """One frame of the video.

    Attributes:
        image: uint8 RGB of shape (height, width, 3); it owns its memory. None: nothing has moved
            since the last frame, so that time passes and the video does not grow.
        stamp: seconds of camera time, of the newest picture in it.
        frame_id: coordinate frame of the camera that took the newest picture.
        frozen: cameras whose picture is bit for bit that of the frame before, though it has a
            newer stamp.
    """

    image: NDArray[np.uint8] | None
    stamp: float
    frame_id: str
    frozen: tuple[str, ...] = ()


class FrameIntake:
    """Selects, decodes, tiles and sizes frames by the cameras' stamps.

    A frame is due at t0 + k / sample_rate. It is made as soon as every camera has a picture within
    the age limit; until then it stays due, and `stale` names the cameras that it waits for.

    Attributes:
        selected: frames with a picture given out so far.
        gated: frames without, because nothing moved.
        holes: frames that came more than `IntakeSettings.longest_step` after the one before.
    """

    def __init__(
        self, cameras: Sequence[str], settings: IntakeSettings, frame_size: tuple[int, int]
    ) -> None:
        """Starts without a picture.

        Args:
            cameras: names, in the order of the layout.
            settings: how messages become frames.
            frame_size: (height, width) in pixels of every frame.

        Raises:
            ValueError: no camera, one named twice, too many for the layout, or no frame size.
        """
        if len(set(cameras)) != len(cameras) or not cameras:
            raise ValueError(
                f"The cameras are {list(cameras)}; expected at least one, and each of them once."
            )
        settings.layout.check(len(cameras))
        if min(frame_size) < 1:
            raise ValueError(f"The frame size is {tuple(frame_size)}; expected [height, width].")
        self.settings = settings
        self.frame_size = (int(frame_size[0]), int(frame_size[1]))
        self.cameras = {camera: CameraState(CameraClock(camera)) for camera in cameras}
        self.selected = 0
        self.gated = 0
        self.holes = 0
        self._last = math.inf
        self._selector = FrameSelector(settings.sample_rate)
        gated = settings.motion_threshold is not None
        self._gate = MotionGate(settings.motion_threshold) if gated else None

    @property
    def received(self) -> dict[str, int]:
        """Messages of each camera so far."""
        return {camera: state.received for camera, state in self.cameras.items()}

    @property
    def bad(self) -> dict[str, int]:
        """Messages of each camera that could not be decoded."""
        return {camera: state.bad for camera, state in self.cameras.items()}

    @property
    def stale(self) -> tuple[str, ...]:
        """Cameras without a usable picture within the age limit of the newest one."""
        oldest = self._newest - self.settings.camera_max_age - STAMP_TOLERANCE
        return tuple(
            camera
            for camera, state in self.cameras.items()
            if state.message is None or state.stamp < oldest
        )

    def reset(self) -> None:
        """Forgets all pictures and times, for a new episode; the counts go on."""
        for state in self.cameras.values():
            state.clock.reset()
            state.message = state.shown = None
        self._last = math.inf
        self._selector.reset()
        if self._gate:
            self._gate.reset()

    def add(
        self, camera: str, stamp: float, message: ImageMessage, arrived: float | None = None
    ) -> Frame | None:
        """Takes in one message.

        Args:
            camera: one of the names given at the start.
            stamp: seconds of camera time (`image.stamp_seconds`). A message that is not newer than
                the camera's last one, or whose stamp does not go on from there, is left out and
                counted (see `CameraClock`).
            message: fields as in `image.decode`.
            arrived: seconds, when it was received; None: not known (see `CameraClock.judge`).

        Returns:
            A frame if one was due and is complete, else None.

        Raises:
            ClockJump: this camera's time is another one now; `reset` before going on.
            CameraImageError: a picture that was needed cannot be decoded, of this camera or of
                another. It is dropped, and the frame stays due.
            ValueError: an unknown camera, or a stamp that is no number.
        """
        job = self.note(camera, stamp, message, arrived)
        if job is None:
            return None
        try:
            return self.finish(job.make())
        except CameraImageError as error:
            self.drop(error.camera)
            raise

    def note(
        self, camera: str, stamp: float, message: ImageMessage, arrived: float | None = None
    ) -> PictureJob | None:
        """Takes in one message as `add` does, and leaves the decoding to the caller.

        No other message may be noted before `finish` takes what the job makes, or `drop` the camera
        of its error.

        Returns:
            What has to be decoded; None: nothing, and nothing has to follow.

        Raises:
            ClockJump, ValueError: as `add` does.
        """
        seen = self._keep(camera, stamp, message, arrived)
        newest = self._newest
        if self._selector.is_due(newest) and not self.stale:
            messages = {name: state.message for name, state in self.cameras.items()}
            return PictureJob(messages, self.settings.layout, self.frame_size)
        return None if seen else PictureJob({camera: message}, None, self.frame_size)

    def drop(self, camera: str) -> None:
        """Forgets the picture of a camera, which cannot be decoded; the frame stays due."""
        self.cameras[camera].bad += 1
        self.cameras[camera].message = None

    def finish(self, image: NDArray[np.uint8] | None) -> Frame | None:
        """Makes a frame of what a job has made.

        Args:
            image: of the last job; None where it was only to be seen that it can be decoded.

        Returns:
            The frame; None where there is none.
        """
        if image is None:
            return None
        newest = self._newest
        self._selector.take(newest)
        self.holes += newest - self._last > self.settings.longest_step + STAMP_TOLERANCE
        self._last = newest
        source = frame_id(next(s.message for s in self.cameras.values() if s.stamp == newest))
        frozen = self._show()
        if self._gate and not self._gate.is_new(image):
            self.gated += 1
            return Frame(None, newest, source, frozen)
        self.selected += 1
        return Frame(np.require(image, requirements="CWO"), newest, source, frozen)

    def _show(self) -> tuple[str, ...]:
        """Notes which pictures the frame shows; returns the cameras whose picture is not new."""
        frozen = []
        for camera, state in self.cameras.items():
            if self.settings.frozen_check and state.is_frozen():
                state.frozen += 1
                frozen.append(camera)
            state.shown = state.message
        return tuple(frozen)

    @property
    def _newest(self) -> float:
        return max(state.stamp for state in self.cameras.values())

    def _keep(
        self, camera: str, stamp: float, message: ImageMessage, arrived: float | None
    ) -> bool:
        """Notes a message; False where its picture has to be seen before another camera needs it.

        Else a camera that sends nothing but bad ones would pass as good each time until another
        camera's message asks for the frame.
        """
        state = self.cameras.get(camera)
        if state is None:
            raise ValueError(f"Camera {camera!r} is unknown; expected one of {list(self.cameras)}.")
        if not math.isfinite(stamp):
            raise ValueError(f"Camera {camera!r} has the stamp {stamp} s; expected a number.")
        state.received += 1
        after_bad_one = state.message is None and math.isfinite(state.stamp)
        state.order = state.clock.judge(stamp, arrived)
        state.late += state.order is Order.LATE
        state.outlying += state.order is Order.OUTLIER
        if state.order is not Order.NEWER:
            return True
        state.message = message
        return not after_bad_one
