"""The videos that one loaded model holds, by their episodes."""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from topreward_ros.models.contract import SessionReplaced
from topreward_ros.models.served.ray_serve.answer import Answer
from topreward_ros.models.served.ray_serve.fields import WireError
from topreward_ros.models.served.ray_serve.history import history
from topreward_ros.models.served.ray_serve.served_model import describe

if TYPE_CHECKING:
    from topreward_ros.models.scorer import LocalScorer
    from topreward_ros.models.served.ray_serve.update import Update
    from topreward_ros.models.streaming.session import StreamingSession

log = logging.getLogger(__name__)


class OtherModel(WireError):
    """An update that is meant for another model than this one."""


@dataclass
class _Held:
    session: StreamingSession
    digest: str


class HeldVideos:
    """As many as the scorer has sessions; the one asked about longest ago goes first.

    Belongs to one thread.

    Attributes:
        model: what robots are told of the scorer.
    """

    def __init__(self, scorer: LocalScorer) -> None:
        """Holds none yet."""
        self._scorer = scorer
        self._held: OrderedDict[str, _Held] = OrderedDict()
        self.model = describe(scorer, scorer.max_pairs)
        names = "updates", "resends_asked", "videos_restored", "given_up", "model_seconds"
        self._counts: dict[str, float] = dict.fromkeys(names, 0)

    def counts(self) -> dict[str, float]:
        """Returns what has happened, and how many videos there are, by its name. Of any thread."""
        held = {"videos": len(self._held), "sessions": self._scorer.sessions}
        return {**self._counts, **held}

    def answer(self, update: Update) -> Answer:
        """Takes the frames in, and scores.

        Returns:
            The answer; without log-probs where the video is not here.

        Raises:
            OtherModel: the update is meant for another one.
            WireError: the frames are not those that they claim to be.
            ValueError: a frame or an instruction cannot be taken.
        """
        self._check_model(update)
        before = time.perf_counter()
        log_probs = None
        try:
            if self._has(update):
                session = self._held[update.episode].session
                log_probs = tuple(session.log_probs(update.instructions).tolist())
        except SessionReplaced:
            self._drop(update.episode)
        except Exception:
            self._drop(update.episode)  # nobody knows how far it came
            raise
        seconds = time.perf_counter() - before
        self._counts["updates" if log_probs is not None else "resends_asked"] += 1
        self._counts["model_seconds"] += seconds
        model = self.model
        return Answer(
            update.episode, update.frames, model.fingerprint, model.backend.name, log_probs, seconds
        )

    def settle(self, episode: str) -> None:
        """Does what only later updates of an episode need."""
        held = self._held.get(episode)
        if held is not None:
            try:
                held.session.settle()
            except SessionReplaced:
                self._drop(episode)

    def _check_model(self, update: Update) -> None:
        model = self.model
        here = model.fingerprint, model.backend.name, model.max_pairs
        if here != (update.fingerprint, update.backend, update.max_pairs):
            raise OtherModel(
                f"The update is meant for the model {update.fingerprint} ({update.backend}) with a "
                f"max_pairs of {update.max_pairs}, and this server has {here[0]} ({here[1]}) with "
                f"{here[2]}; configure the robot's node again."
            )

    def _has(self, update: Update) -> bool:
        """Brings the video up to the update; returns whether it is here."""
        held = self._held.get(update.episode)
        if held is not None and held.digest == update.after:
            pass  # an update that comes again: its answer was lost
        elif update.numbers is not None:
            self._restore(update)
        elif held is not None and held.digest == update.before:
            self._append(held, update)
        else:
            return False
        self._held.move_to_end(update.episode)
        return True

    def _append(self, held: _Held, update: Update) -> None:
        digest = held.digest
        for frame, stamp in zip(update.pictures, update.stamps, strict=True):
            digest = history(digest, frame, stamp)
        if digest != update.after or held.session.frames + len(update.stamps) != update.frames:
            raise WireError(
                "The frames of the update are not those that its digest is of; they were damaged "
                "on their way."
            )
        for frame, stamp in zip(update.pictures, update.stamps, strict=True):
            held.session.append(frame, stamp)
        held.digest = digest

    def _restore(self, update: Update) -> None:
        units = update.units(self.model.capabilities.frames_per_unit)
        self._drop(update.episode)
        while len(self._held) >= self._scorer.sessions:
            episode = next(iter(self._held))
            del self._held[episode]  # the last reference, so that its memory is free
            self._counts["given_up"] += 1
            log.info("The video of episode %s is given up for another one.", episode)
        session = self._scorer.start()
        session.restore(units, update.frames)
        self._held[update.episode] = _Held(session, update.after)
        self._counts["videos_restored"] += 1

    def _drop(self, episode: str) -> None:
        self._held.pop(episode, None)
