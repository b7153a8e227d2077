"""One training run of the demo model: its phases, and its way through the recorded episodes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from tools.pieces import Piece
from tools.training.batches import BatchMaker, augmented
from tools.training.branches import ClipLayout
from tools.training.checkpoint import load_weights, save_checkpoint
from tools.training.clips import Clip, make_clip, whole_clip
from tools.training.model import GRID, normalised, pair_pixels
from tools.training.optimizer import make_optimizer, update
from tools.training.pace import Timed, Workers, rate
from tools.training.running_average import RunningAverage
from tools.training.state import Place, go_on, keep
from tools.training.student import Student
from tools.training.targets import FLOOR, NEARLY
from tools.training.tokenizer import make_tokenizer, save_tokenizer
from tools.training.validation import validate
from tools.training.vision_heads import PairTruth
from topreward_ros.method.prompt import Prompt
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout

PREFIXES = 5
QUESTIONS = 3
PAIRS_A_STEP = 48
PAIRS_OF_AN_EPISODE = 4
VALIDATE_EVERY = 250
WEIGHTS = {"answer": 2.0, "graded": 0.5, "bound": 6.0, "words": 1.0, "shown": 0.4}
"""Of the losses in their sum."""


class Trainer:
    """Model, data and place of one training run.

    Args:
        episodes: from `recorded_set.load`.
        validation: other episodes.
        out: folder of the checkpoint.
        seed: of weights and batches.
        workers: the processes that train together.
    """

    def __init__(
        self, episodes: list, validation: list, out: Path, seed: int, workers: Workers
    ) -> None:
        out.mkdir(parents=True, exist_ok=True)
        self.out, self.episodes, self.validation = out, episodes, validation
        self.workers = workers
        self.rng = np.random.default_rng([seed, workers.rank])
        # One process writes: two would read what the other has half written.
        tokenizer = save_tokenizer(out) if workers.rank == 0 else make_tokenizer()
        self.student = Student(tokenizer, seed)
        layout = Qwen3VLLayout(tokenizer, Prompt(), GRID)
        self.maker = BatchMaker(ClipLayout(layout, PREFIXES, QUESTIONS))
        self.short = BatchMaker(ClipLayout(layout, 3, 4))
        self.every = BatchMaker(ClipLayout(layout, 10_000, QUESTIONS, foreign=0))
        self.average = RunningAverage(self.student.model)
        self.seed, self.progress, self.piece = seed, None, None
        self.place, self._optimizer_state = Place(), None

    def goes_on(self, progress: Path, piece: Piece) -> None:
        """Keeps its state in a file from now on, and goes on from what is there.

        Args:
            progress: the file.
            piece: when to stop.
        """
        self.progress, self.piece = progress, piece
        self.place, self._optimizer_state = go_on(progress, self.student, self.average)
        place = (self.place.phase, self.place.step)
        self.rng = np.random.default_rng([self.seed, self.workers.rank, *place])

    def phase(self, number: int, train: Callable[[], None]) -> None:
        """Trains a phase, unless it is over already.

        Raises:
            PieceOver: the time of this piece is over.
        """
        if number < self.place.phase:
            return
        train()
        self.place, self._optimizer_state = Place(number + 1), None
        self._keep(None)

    def _keep(self, optimizer: torch.optim.Optimizer | None) -> None:
        if self.progress is not None and self.workers.rank == 0:
            state = optimizer and optimizer.state_dict()
            keep(self.progress, self.student, self.average, self.place, state)

    def _timed(self, minutes: float, name: str, optimizer: torch.optim.Optimizer) -> Timed:
        """Steps of the phase that is under way, from where it was stopped."""
        if self._optimizer_state is not None:
            optimizer.load_state_dict(self._optimizer_state)
            self._optimizer_state = None

        def kept(step: int, seconds: float) -> None:
            self.place = Place(self.place.phase, step, seconds)
            self._keep(optimizer)

        place = self.place
        return Timed(
            minutes, name, self.workers,
            spent=place.seconds, step=place.step, piece=self.piece, keep=kept,
        )  # fmt: skip

    def train_vision(self, minutes: float, peak: float) -> None:
        """The vision tower with its heads alone."""
        optimizer, mean = make_optimizer(self.student), 0.0
        for step, part, bar in self._timed(minutes, "vision", optimizer):
            clips, where, pairs = [], [], []
            while len(pairs) < PAIRS_A_STEP // self.workers.count:
                episode = self.episodes[self.rng.integers(len(self.episodes))]
                clip = whole_clip(0, episode)
                pixels = augmented(normalised(clip.frames), self.rng)
                for last in self._frames_to_show(clip):
                    first = last if last == 0 or self.rng.random() < 0.3 else last - 1
                    pairs.append(torch.stack([pixels[first], pixels[last]]))
                    where.append((len(clips), int(first), int(last)))
                clips.append(clip)
            with torch.autocast("cpu", torch.bfloat16):
                features, _ = self.student.vision(pair_pixels(torch.stack(pairs)), deepstack=False)
            loss = self.student.heads.loss(features, PairTruth(clips, where))
            update(self.student, optimizer, loss, rate(part, 1.0, peak), self.workers)
            mean = loss.item() if mean == 0.0 else 0.98 * mean + 0.02 * loss.item()
            if step % 50 == 0 and self.workers.rank == 0:
                bar.write(f"vision step {step} loss {mean:.4f}")

    def _frames_to_show(self, clip: Clip) -> NDArray[np.int64]:
        """Frames of a clip, half of them from where a cube is at a disc, if there are any."""
        near = np.flatnonzero((clip.target >= FLOOR + (NEARLY - FLOOR) * 0.75).any(axis=1))
        drawn = self.rng.choice(len(clip.target), PAIRS_OF_AN_EPISODE, replace=False)
        if len(near):
            half = PAIRS_OF_AN_EPISODE // 2
            drawn[:half] = self.rng.choice(near, half)
        return drawn

    def train(self, minutes: float, peak: float, batch_size: int, *, at_rest: bool) -> None:
        """The whole model; or short clips, with the vision tower at rest."""
        optimizer, means = make_optimizer(self.student), {}
        if self.place.step == 0:
            self.average.restart()
        order = np.argsort([len(episode["stamps"]) for episode in self.episodes])
        name = "language" if at_rest else "model"
        for step, part, bar in self._timed(minutes, name, optimizer):
            # episodes of about one length, so that little is padded
            alike = min(6 * batch_size, len(order))
            first = int(self.rng.integers(0, len(order) - alike + 1))
            lot = order[first : first + alike]
            lot = self.rng.choice(lot, batch_size, replace=False)
            clips = [make_clip(int(i), self.episodes[i], self.rng, short=at_rest) for i in lot]
            maker = self.short if at_rest else self.maker
            losses = self.student.loss(maker(clips, self.rng), self.rng, at_rest=at_rest)
            total = sum(WEIGHTS[key] * value for key, value in losses.items())
            update(self.student, optimizer, total, rate(part, 1.0, peak), self.workers)
            self.average.follow(step)
            if self.workers.rank > 0:
                continue
            for part_name, value in losses.items():
                former = means.get(part_name, value.item())
                means[part_name] = 0.97 * former + 0.03 * value.item()
            if step % 25 == 0:
                text = " ".join(f"{key} {value:.4f}" for key, value in means.items())
                bar.write(f"step {step} part {part:.3f} {text}")
            if step % VALIDATE_EVERY == VALIDATE_EVERY - 1:
                bar.write(json.dumps(self.validate(24)))
                self.save()

    def fit_heads(self, minutes: float, batch_size: int) -> None:
        """New heads to a model that was trained before, and stays as it is."""
        self.student.model.requires_grad_(False)
        self.train(minutes, 3e-3, batch_size, at_rest=False)
        self.student.model.requires_grad_(True)

    def validate(self, count: int) -> dict[str, float]:
        """Rough figures of the running average on the first validation episodes."""
        with self.average.shown():
            return validate(self.student, self.every, self.validation[:count])

    def go_on_from(self, checkpoint: Path) -> None:
        """Reads the weights that `save` wrote."""
        load_weights(self.student.model, checkpoint)

    def save(self) -> None:
        """Writes the running average as the checkpoint."""
        with self.average.shown():
            save_checkpoint(self.student.model, self.out)
