"""One episode's video on a server, which may lose it, and then gets all of it once more."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from topreward_ros.models.contract import ModelError
from topreward_ros.models.served.ray_serve.answer import Answer
from topreward_ros.models.served.ray_serve.history import EMPTY, history
from topreward_ros.models.served.ray_serve.served_model import ServedModel
from topreward_ros.models.served.ray_serve.update import Update
from topreward_ros.models.server_health import ServerHealth
from topreward_ros.models.streaming.kept_session import KeptSession


class RaySession(KeptSession):
    """Implements `VideoSession`."""

    def __init__(
        self, model: ServedModel, ask: Callable[[Update], Answer], health: ServerHealth
    ) -> None:
        """Begins an episode of which the server knows nothing yet.

        Args:
            model: that is served.
            ask: sends an update; returns its answer.
            health: is told when the video had to be sent again.
        """
        super().__init__(model.frame_size, model.capabilities.frames_per_unit, model.max_pairs)
        self._model, self._ask, self._health = model, ask, health
        # Not the robot's own name of it: two robots may have the same.
        self._episode = secrets.token_hex(16)
        self._digest = self._known = EMPTY
        self._new: list[tuple[NDArray[np.uint8], float]] = []
        self._most_new = 0  # until the server has the video at all
        self._lost = False

    def append(self, frame: NDArray[np.uint8], stamp: float) -> None:
        """Adds the next frame; see `VideoSession.append`."""
        super().append(frame, stamp)
        self._digest = history(self._digest, frame, float(stamp))
        if len(self._new) < self._most_new:
            self._new.append((frame.copy(), float(stamp)))
        else:  # then all that is kept is sent, which is less
            self._forget()

    def log_probs(self, instructions: Sequence[str]) -> NDArray[np.float64]:
        """Returns one log-probability per instruction, in nats, shape (n,)."""
        self.video.units()  # raises where there is no frame
        if not instructions:
            return np.empty(0)
        asked = tuple(instructions)
        known = self._known != EMPTY
        answer = self._ask(self._newest(asked) if known else self._whole(asked))
        lost = answer.log_probs is None and known
        if lost:
            self._tell()
            answer = self._ask(self._whole(asked))
        if answer.log_probs is None:
            self._forget()
            raise ModelError(
                f"The server {self._health.address} has not the video that it was sent just now; "
                "see its log."
            )
        self._lost = lost
        self._known, self._new, self._most_new = self._digest, [], self._model.max_pairs
        return np.array(answer.log_probs)

    def _tell(self) -> None:
        """Tells that the server has lost the video; where it does so each time, once."""
        self._health.sent_again()
        if not self._lost:
            self._health.lost(
                f"The server {self._health.address} has lost the episode's video, as where a "
                "replica ended or has more robots than sessions; all of it is sent again."
            )

    def _forget(self) -> None:
        self._known, self._new, self._most_new = EMPTY, [], 0

    def _newest(self, instructions: tuple[str, ...]) -> Update:
        pictures = [frame for frame, _ in self._new]
        return self._update(None, [stamp for _, stamp in self._new], pictures, instructions)

    def _whole(self, instructions: tuple[str, ...]) -> Update:
        units = self.video.units()
        size = self._model.capabilities.frames_per_unit
        count = (len(units) - 1) * size + (self.frames - 1) % size + 1  # without the repeated one
        stamps = [stamp for unit in units for stamp in unit.stamps][:count]
        pictures = [frame for unit in units for frame in unit.frames][:count]
        numbers = tuple(unit.number for unit in units)
        return self._update(numbers, stamps, pictures, instructions)

    def _update(
        self,
        numbers: tuple[int, ...] | None,
        stamps: Sequence[float],
        pictures: Sequence[NDArray[np.uint8]],
        instructions: tuple[str, ...],
    ) -> Update:
        model = self._model
        return Update(
            episode=self._episode,
            fingerprint=model.fingerprint,
            backend=model.backend.name,
            max_pairs=model.max_pairs,
            frames=self.frames,
            before=self._known,
            after=self._digest,
            numbers=numbers,
            stamps=tuple(map(float, stamps)),
            pictures=np.array(pictures, np.uint8).reshape(-1, *model.frame_size, 3),
            instructions=instructions,
        )
