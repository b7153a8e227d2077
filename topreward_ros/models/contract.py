"""What every model offers, whatever its family and wherever it runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.server_health import ServerHealth


class ModelError(RuntimeError):
    """A model that cannot be loaded or run as asked; the message says why and what to do."""


class SessionReplaced(RuntimeError):
    """A session whose memory another one has by now; it can be asked nothing any more."""


class Rewind(str, Enum):
    """How a family takes tokens back out of its cache."""

    CROP = "crop"
    """The cache is cut; costs nothing."""
    SNAPSHOT = "snapshot"
    """The recurrent state is copied before and put back after (linear attention)."""


@dataclass(frozen=True)
class Capabilities:
    """What a family allows a session to reuse.

    Attributes:
        frames_per_unit: frames that are encoded together, 1 or 2.
        kv_append: whether the keys and values of old frames stay valid when new ones come; where
            not, an update reads the whole video again, from the vision tower's features.
        rewind: how the suffix is taken back out.
    """

    frames_per_unit: int
    kv_append: bool
    rewind: Rewind


@dataclass(frozen=True)
class Backend:
    """Where a model runs, and what its log-probabilities are worth.

    Attributes:
        name: of what decides them beside the weights: the engine, its number format, its settings.
            A calibration holds under one.
        exact: each is that of one whole forward pass over all frames that are kept, to the rounding
            of the number format.
        flat: an update costs the same at any length of the video.
        resend: the video lies on a server, which may lose it; then it is sent again as a whole.
        censored: the service tells the most probable tokens alone; a log-probability of another is
            NaN, and means that it is below all that are told.
        remark: what people should know of it, in a sentence; "" if nothing.
    """

    name: str
    exact: bool
    flat: bool
    resend: bool = False
    censored: bool = False
    remark: str = ""


@dataclass(frozen=True)
class Settings:
    """What a checkpoint says of its own use.

    Attributes:
        success_threshold: nats; None where the checkpoint names none.
        sample_rate: frames per second.
        motion_threshold: grey levels of the motion gate that the threshold was chosen with; None:
            every frame counted.
        frame_size: (height, width) px, or None for the family's.
        prompt_form: the form it was made for.
    """

    success_threshold: float | None = None
    sample_rate: float = 2.0
    motion_threshold: float | None = None
    frame_size: tuple[int, int] | None = None
    prompt_form: PromptForm = PromptForm.RAW

    def made_for(self, frame_size: tuple[int, int]) -> tuple[PromptForm, tuple[int, int]]:
        """Returns the prompt form and frame size, a family's by default, of the threshold."""
        return self.prompt_form, self.frame_size or frame_size


class VideoSession(Protocol):
    """One episode's video, as far as it has been seen. Belongs to one thread."""

    @property
    def frames(self) -> int:
        """Number of frames appended so far."""

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame.

        Args:
            frame: (height, width, 3) uint8 RGB, of the scorer's `frame_size`.
            stamp: seconds since the episode's start, larger than the one before.

        Raises:
            ValueError: wrong shape, type or order.
            SessionReplaced: another session has taken this one's memory.
        """

    def log_prob(self, instruction: str) -> float:
        """Returns log p(answer | video so far, instruction) in nats, at most 0.

        NaN where the model gave no number, or a censored backend none that is told.

        Raises:
            ModelError: the model's server refuses, or stays away.
            ValueError: no frame has been appended, or the instruction is too long.
            SessionReplaced: another session has taken this one's memory.
        """

    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, on one video cache. Shape (n,), nats."""

    def settle(self) -> None:
        """Does the work that only later updates need; meant for the pause after a reading.

        A session that is never settled gives the same scores; some of its updates take longer.
        """


class VideoScorer(Protocol):
    """One loaded model, for one thread; it has as many sessions at a time as it was made for."""

    name: str
    """What was asked for: `demo`, a hub id, a directory."""
    fingerprint: str
    """Names weights, prompt and frame size, as far as this machine can see them; a calibration
    holds for one fingerprint."""
    frame_size: tuple[int, int]
    """(height, width) in px that sessions expect."""
    prompt_form: PromptForm
    success_threshold: float | None
    """Nats, where the checkpoint brings its own; thresholds do not transfer between models."""
    sample_rate: float
    """Frames per second that the model is meant for."""
    motion_threshold: float | None
    """Grey levels of the motion gate that its own success threshold was chosen with; None: none."""
    capabilities: Capabilities
    backend: Backend
    health: ServerHealth | None
    """Of the server that the model runs on; None: it runs here."""

    def start(self) -> VideoSession:
        """Starts an episode.

        It takes the memory of a session that is gone; where there is none, that of the one which
        began first, which from then on refuses with `SessionReplaced`.
        """


@dataclass(frozen=True)
class Written:
    """What a model wrote.

    Attributes:
        text: without special tokens.
        finished: whether the model ended it; False where it was cut off.
    """

    text: str
    finished: bool


class TextWriter(Protocol):
    """A loaded model that answers a user's turn in words. Belongs to its scorer's thread."""

    def write(self, turn: Sequence[str | NDArray[np.uint8]], limit: int) -> Written:
        """Answers greedily, at temperature 0.

        Args:
            turn: texts and pictures in their order; pictures are (height, width, 3) uint8 RGB of
                the scorer's `frame_size`.
            limit: tokens at most.

        Raises:
            ValueError: a picture of another shape or type, or a text that holds a placeholder.
        """
