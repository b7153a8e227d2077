"""Draws episodes into Rerun in a thread of its own, so that a viewer that hangs holds up no node.

Rerun's calls wait once a viewer has taken nothing for some hundred MB. What comes meanwhile waits
here, up to a bound; then pictures are left out first, and readings and events last.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from topreward_msgs.msg import EpisodeEvent, RewardStamped
from topreward_ros.nodes.messages import ending
from topreward_ros.nodes.viewing.episode_watch import logged
from topreward_ros.nodes.viewing.rerun_viewer import Viewer
from topreward_ros.offline.rerun_drawing import RerunDrawing
from topreward_ros.video.image import ImageError, ImageMessage, decode, stamp_seconds
from topreward_ros.video.resizing import within_width

WAITING_PICTURES, WAITING = 60, 2000
"""How many may wait in all for a picture, or for anything else, to be taken too."""
EARLY = 30
"""Pictures, and events, kept for an episode whose first reading is yet to come."""
LINGER = 2.0
"""s after an episode's end in which the manager tells of its stop actions."""
TICK = 0.2
SAID_EVERY = 10.0
"""s between two warnings of the same."""


@dataclass(frozen=True)
class Picture:
    """A camera's message.

    Attributes:
        camera: its topic.
        message: the picture.
    """

    camera: str
    message: ImageMessage


class DrawingThread:
    """Takes readings, pictures and events from a node, and draws them episode by episode.

    Attributes:
        left_out: how many were, because the viewer takes nothing.
        drawn: episodes begun.
    """

    def __init__(self, viewer: Viewer, max_width: int, warn: Callable[[str], None]) -> None:
        """Starts it.

        Args:
            viewer: where episodes go.
            max_width: px; wider pictures are made smaller.
            warn: told in one sentence what is wrong; from any thread.
        """
        self.left_out = self.drawn = 0
        self._viewer, self._max_width, self._warn = viewer, max_width, warn
        self._waiting: queue.Queue[Picture | RewardStamped | EpisodeEvent] = queue.Queue(WAITING)
        self._closing = threading.Event()
        self._warned: dict[str, float] = {}
        self._early_pictures: deque[Picture] = deque(maxlen=EARLY)
        self._early_events: deque[EpisodeEvent] = deque(maxlen=EARLY)
        self._drawing: RerunDrawing | None = None
        self._key = ("", "")
        self._start = self._newest = self._last_reading = math.inf
        self._ended_at = math.inf
        self._thread = threading.Thread(target=self._run, name="drawing", daemon=True)
        self._thread.start()

    def take(self, item: Picture | RewardStamped | EpisodeEvent) -> None:
        """Takes something in, without waiting; leaves it out where too much waits already."""
        limit = WAITING_PICTURES if isinstance(item, Picture) else WAITING
        if self._waiting.qsize() >= limit:
            self.left_out += 1
            self._say(
                "slow",
                f"The viewer does not keep up or hangs: {self.left_out} pictures, readings or "
                "events are not drawn. The reward does not depend on it.",
            )
            return
        self._waiting.put(item)

    def close(self, patience: float) -> bool:
        """Draws what waits and ends the last episode.

        Args:
            patience: s that it may take.

        Returns:
            Whether it has ended in that time.
        """
        self._closing.set()
        self._thread.join(patience)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            try:
                self._take_in(self._waiting.get(timeout=TICK))
            except queue.Empty:
                if self._closing.is_set():
                    break
            except Exception as error:  # of Rerun, a file or a picture: the next one may do
                self._say("failed", f"Something cannot be drawn: {error}")
            if time.monotonic() - self._ended_at > LINGER:
                self._end()
        self._end()

    def _take_in(self, item: Picture | RewardStamped | EpisodeEvent) -> None:
        if isinstance(item, RewardStamped):
            self._reading(item)
        elif isinstance(item, EpisodeEvent):
            self._event(item)
        elif self._belongs(item):
            self._picture(item)
        else:
            self._early_pictures.append(item)

    def _belongs(self, item: Picture) -> bool:
        """Says whether it is of the episode that is drawn; its end may be heard before it."""
        if self._drawing is None:
            return False
        ended = math.isfinite(self._ended_at)
        return not ended or stamp_seconds(item.message) <= self._last_reading

    def _reading(self, message: RewardStamped) -> None:
        key = (message.episode_id, message.instruction)
        if key != self._key:
            self._begin(key, message)
        if self._drawing is not None:
            self._last_reading = stamp_seconds(message)
            self._newest = max(self._newest, self._last_reading)
            self._drawing.reading(logged(message))
            if math.isfinite(self._ended_at):
                self._take_early_pictures()  # it comes after the end, and after its own picture

    def _begin(self, key: tuple[str, str], first: RewardStamped) -> None:
        self._end()
        self._start = self._newest = stamp_seconds(first) - first.episode_time
        name = f"{first.instruction} ({first.episode_id[:8]})"
        drawing = RerunDrawing(name, first.instruction, self._start)
        self._viewer.open(drawing, first.episode_id)  # where that fails, the next reading tries
        self._key, self._drawing = key, drawing
        self.drawn += 1
        events = list(self._early_events)
        self._early_events.clear()
        drawing.begin()
        for event in events:
            if event.episode_id == first.episode_id:
                self._event(event)
        self._take_early_pictures()

    def _take_early_pictures(self) -> None:
        """Draws those that are of the episode: they may be heard before its first reading."""
        waiting = list(self._early_pictures)
        self._early_pictures.clear()
        for one in waiting:
            if self._belongs(one):
                self._picture(one)
            else:
                self._early_pictures.append(one)

    def _picture(self, item: Picture) -> None:
        stamp = stamp_seconds(item.message)
        if stamp < self._start - 1e-6:
            return
        try:
            picture = within_width(decode(item.message), self._max_width)
        except ImageError as error:
            self._say(item.camera, f"Camera {item.camera}: {error}")
            return
        self._newest = max(self._newest, stamp)
        self._drawing.picture(item.camera, stamp, picture)

    def _event(self, event: EpisodeEvent) -> None:
        if self._drawing is None or event.episode_id != self._key[0]:
            self._early_events.append(event)
            return
        # Its own stamp is of the node's clock; the newest of the camera's is when it was heard.
        why = f" ({ending(event)})" if event.termination_reason else ""
        detail = f": {event.detail}" if event.detail else ""
        wrong = event.event == EpisodeEvent.FAULT
        self._drawing.event(self._newest, f"{event.event}{why}{detail}", warning=wrong)
        if event.event == EpisodeEvent.STOPPED:
            self._ended_at = min(self._ended_at, time.monotonic())

    def _end(self) -> None:
        self._ended_at = math.inf
        if self._drawing is not None:
            drawing, self._drawing = self._drawing, None
            self._viewer.close(drawing)

    def _say(self, what: str, sentence: str) -> None:
        now = time.monotonic()
        if now - self._warned.get(what, -math.inf) > SAID_EVERY:
            self._warned[what] = now
            self._warn(sentence)
