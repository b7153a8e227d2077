"""Trains the demo checkpoint on recorded episodes.

    python -m tools.train_demo --data DIR --validation DIR --out topreward_ros/models/demo

First the vision tower alone, with linear heads that say what each visual token shows; then the
whole model on many questions an episode. Stops after the given minutes of each. With
`--checkpoint`, it goes on from a finished checkpoint, whose heads are gone, so new ones are fitted
to it first. With `--progress`, it goes on where it was stopped or killed, or at most two minutes
before; with `--stop-after`, it stops by itself and its exit status is 75 until it is done.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch.nn.functional import log_softmax, nll_loss, smooth_l1_loss
from transformers import Qwen3VLForConditionalGeneration

from tools.pieces import UNFINISHED, Piece
from tools.simulation.recorded_set import load
from tools.training.batches import Batch, BatchMaker, augmented
from tools.training.binding_heads import BindingHeads
from tools.training.clips import Clip, make_clip, whole_clip
from tools.training.model import GRID, BatchedVision, make_model, normalised, pair_pixels
from tools.training.pace import PieceOver, Timed, Workers, rate
from tools.training.state import Place, go_on, keep
from tools.training.targets import FLOOR, NEARLY
from tools.training.tokenizer import save_tokenizer
from tools.training.tree_attention import use_tree_attention
from tools.training.vision_heads import PairTruth, VisionHeads
from topreward_ros.method.prompt import Prompt
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout, single_token
from topreward_ros.video.motion import DEFAULT_THRESHOLD

EPISODES_A_STEP = 8
PREFIXES = 5
QUESTIONS = 3
PAIRS_A_STEP = 48
PAIRS_OF_AN_EPISODE = 4
VALIDATE_EVERY = 250
EARLY = 2
VISION_RATE = 0.5
"""Learning rate of the vision tower, as a factor."""

SETTINGS = {
    "success_threshold": None,
    "sample_rate": 2.0,
    "motion_threshold": DEFAULT_THRESHOLD,
    "frame_size": [GRID.height, GRID.width],
    "prompt_form": "raw",
    "note": "demo model: knows only the simulated SO-101 scene",
}
"""What the checkpoint says of its use; `evaluate_demo` chooses the threshold."""

Features = tuple[torch.Tensor, list[torch.Tensor]]
"""Of pairs: what enters the language model, and what DeepStack adds in its first layers."""


class Answers(NamedTuple):
    """What the language model says.

    Attributes:
        asked: log-probabilities after each question, (A, vocabulary).
        words: log-probabilities before each colour word, after layer `EARLY` and after the last
            one, (2, W, vocabulary).
        states: (B, L, hidden) before the first layer and after each.
    """

    asked: torch.Tensor
    words: torch.Tensor
    states: tuple[torch.Tensor, ...]


class Trainer:
    """Model, heads, optimizer and data of one training run.

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
        tokenizer = save_tokenizer(out)
        self.model = make_model(tokenizer, seed)
        width = self.model.config.text_config.hidden_size
        self.heads = VisionHeads(width)
        self.binding = BindingHeads(width, (4, 5))
        self.vision = BatchedVision(self.model)
        use_tree_attention(self.model)
        layout = Qwen3VLLayout(tokenizer, Prompt(), GRID)
        self.maker = BatchMaker(layout, PREFIXES, QUESTIONS)
        self.short = BatchMaker(layout, 3, 4)
        self.every = BatchMaker(layout, 10_000, QUESTIONS, foreign=0)
        self.true = layout.answer_id
        self.false = single_token(tokenizer, " False")
        self.average = [p.detach().clone() for p in self.model.parameters()]
        self.seed, self.progress, self.piece = seed, None, None
        self.place, self._optimizer_state = Place(), None

    def goes_on(self, progress: Path, piece: Piece) -> None:
        """Keeps its state in a file from now on, and goes on from what is there.

        Args:
            progress: the file.
            piece: when to stop.
        """
        self.progress, self.piece = progress, piece
        self.place, self._optimizer_state = go_on(progress, self)
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
            keep(self.progress, self, self.place, optimizer and optimizer.state_dict())

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

    def optimizer(self) -> torch.optim.AdamW:
        """AdamW; no decay on norms, biases and embeddings."""
        groups = []
        for module, scale in (
            (self.model.model.visual, VISION_RATE),
            (self.model.model.language_model, 1.0),
            (self.model.lm_head, 1.0),
            (self.heads, 1.0),
            (self.binding, 1.0),
        ):
            named = list(module.named_parameters())
            plain = [p for n, p in named if p.ndim < 2 or "embed" in n]
            decayed = [p for n, p in named if p.ndim >= 2 and "embed" not in n]
            groups += [
                {"params": decayed, "weight_decay": 0.05, "scale": scale},
                {"params": plain, "weight_decay": 0.0, "scale": scale},
            ]
        return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))

    def update(
        self, optimizer: torch.optim.Optimizer, loss: torch.Tensor, learning_rate: float
    ) -> None:
        """One step of the optimizer."""
        groups = optimizer.param_groups
        for group in groups:
            group["lr"] = learning_rate * group["scale"]
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.workers.average_gradients(
            [p for group in optimizer.param_groups for p in group["params"]]
        )
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()

    def train_vision(self, minutes: float, peak: float) -> None:
        """The vision tower with its heads alone."""
        optimizer, mean = self.optimizer(), 0.0
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
                features, _ = self.vision(pair_pixels(torch.stack(pairs)), deepstack=False)
            loss = self.heads.loss(features, PairTruth(clips, where))
            self.update(optimizer, loss, rate(part, 1.0, peak))
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

    def see(self, batch: Batch, rng: np.random.Generator | None) -> Features:
        """Encodes the pairs of a batch; with `rng` their light and noise vary."""
        return self.vision(pair_pixels(batch.frames(rng)))

    def answers(self, batch: Batch, features: Features) -> Answers:
        """Runs the language model over a batch."""
        language = self.model.model.language_model
        embeds = language.embed_tokens(batch.ids)
        embeds = embeds.masked_scatter(
            batch.visual[..., None], features[0].to(embeds.dtype).flatten(0, 1)
        )
        output = language(
            inputs_embeds=embeds,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            use_cache=False,
            visual_pos_masks=batch.visual,
            deepstack_visual_embeds=[layer.flatten(0, 1) for layer in features[1]],
            output_hidden_states=True,
        )
        after = self._read(output.last_hidden_state, batch.answers)
        words = batch.words[:, :2]
        # also from a middle layer, so that later ones can compare it with what is asked
        early = self._read(language.norm(output.hidden_states[EARLY]), words)
        before = torch.stack([early, self._read(output.last_hidden_state, words)])
        return Answers(after, before, output.hidden_states)

    def _read(self, states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        chosen = states[places[:, 0], places[:, 1]].float()
        return log_softmax(self.model.lm_head(chosen).float(), dim=-1)

    def loss(self, batch: Batch, *, at_rest: bool) -> dict[str, torch.Tensor]:
        """Losses of a batch; `at_rest` leaves the vision tower as it is."""
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(not at_rest):
                features = self.see(batch, self.rng)
            said = self.answers(batch, features)
        log_probs = said.asked
        true = log_probs[:, self.true]
        odds = true - torch.log1p(-true.exp().clamp(max=1 - 1e-6))
        wanted = batch.target.sigmoid()
        losses = {
            "answer": -(wanted * true + (1.0 - wanted) * log_probs[:, self.false]).mean(),
            "graded": smooth_l1_loss(odds, batch.target, beta=1.0),
            "bound": self.binding.loss(said.states, batch),
        }
        if len(batch.words):
            losses["words"] = nll_loss(said.words.flatten(0, 1), batch.words[:, 2].repeat(2))
        if not at_rest:
            losses["shown"] = self.heads.loss(features[0], PairTruth(batch.clips, batch.pairs))
        return losses

    def train(self, minutes: float, peak: float, batch_size: int, *, at_rest: bool) -> None:
        """The whole model; or short clips, with the vision tower at rest."""
        optimizer, means = self.optimizer(), {}
        if self.place.step == 0:
            self._restart_average()
        weights = {"answer": 2.0, "graded": 0.5, "bound": 6.0, "words": 1.0, "shown": 0.4}
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
            losses = self.loss(maker(clips, self.rng), at_rest=at_rest)
            total = sum(weights[key] * value for key, value in losses.items())
            self.update(optimizer, total, rate(part, 1.0, peak))
            self._follow(step)
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
        self.model.requires_grad_(False)
        self.train(minutes, 3e-3, batch_size, at_rest=False)
        self.model.requires_grad_(True)

    def _restart_average(self) -> None:
        self.average = [p.detach().clone() for p in self.model.parameters()]

    def _follow(self, step: int) -> None:
        """Running average of the weights; it is what is saved."""
        keep = min(0.985, (1 + step) / (10 + step))
        with torch.no_grad():
            torch._foreach_lerp_(self.average, list(self.model.parameters()), 1.0 - keep)

    def swap(self) -> None:
        """Exchanges the model's weights with their running average."""
        with torch.no_grad():
            for parameter, other in zip(self.model.parameters(), self.average, strict=True):
                held = parameter.clone()
                parameter.copy_(other)
                other.copy_(held)

    @torch.no_grad()
    def validate(self, count: int) -> dict[str, float]:
        """Rough figures on validation episodes; the real ones are `evaluate_demo`'s."""
        self.swap()
        rng, voc, score, wrong, labels = np.random.default_rng(0), [], [], [], []
        for episode in self.validation[:count]:
            batch = self.every([whole_clip(0, episode)], rng)
            log_probs = self.answers(batch, self.see(batch, None)).asked
            values = log_probs[:, self.true].view(-1, QUESTIONS).numpy()
            labels.append(bool(episode["success"]))
            score.append(values[-3:, 0].mean())
            if labels[-1]:
                wrong += list(values[-3:, 1:].mean(axis=0))
                voc.append(spearmanr(values[:, 0], np.arange(len(values))).statistic)
        self.swap()
        right = [s for s, label in zip(score, labels, strict=True) if label]
        known = [1] * len(right) + [0] * len(wrong)
        return {
            "voc": float(np.mean(voc)),
            "auc_success": float(roc_auc_score(labels, score)),
            "auc_instruction": float(roc_auc_score(known, [*right, *wrong])),
        }

    def go_on_from(self, checkpoint: Path) -> None:
        """Reads the weights that `save` wrote."""
        weights = load_file(checkpoint / "model.safetensors")
        self.model.load_state_dict({name: value.float() for name, value in weights.items()})

    def save(self) -> None:
        """Writes the running average as the checkpoint."""
        self.swap()
        save_checkpoint(self.model, self.out)
        self.swap()


def save_checkpoint(model: Qwen3VLForConditionalGeneration, folder: Path) -> None:
    """Writes `config.json` and `model.safetensors`; weights as float16 to halve the file."""
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    partial = folder / "model.safetensors.part"
    save_file(weights, partial, metadata={"format": "pt"})
    partial.chmod(0o644)
    partial.rename(folder / "model.safetensors")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    settings = folder / "topreward.json"
    if not settings.exists():
        settings.write_text(json.dumps(SETTINGS, indent=2) + "\n")


def main() -> int:
    """Command line; returns 0, or `UNFINISHED` where the time was over first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="recorded training episodes")
    parser.add_argument("--validation", type=Path, required=True, help="other recorded episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--vision-minutes", type=float, default=12.0)
    parser.add_argument("--language-minutes", type=float, default=15.0)
    parser.add_argument("--minutes", type=float, default=40.0, help="of training the whole model")
    parser.add_argument("--batch", type=int, default=EPISODES_A_STEP, help="episodes a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, help="finished checkpoint to begin from")
    parser.add_argument("--heads-minutes", type=float, default=4.0, help="of fitting heads to it")
    parser.add_argument("--progress", type=Path, help="file to keep the state in, to go on from")
    parser.add_argument(
        "--stop-after", type=float, default=float("inf"), metavar="MINUTES",
        help="stop then; the same command goes on from there",
    )  # fmt: skip
    arguments = parser.parse_args()
    if arguments.progress is None and arguments.stop_after < float("inf"):
        parser.error("--stop-after needs --progress, a file for what training goes on from")
    workers = Workers()
    torch.manual_seed(arguments.seed + workers.rank)
    trainer = Trainer(
        load(arguments.data), load(arguments.validation), arguments.out, arguments.seed, workers
    )
    if arguments.progress is not None:
        trainer.goes_on(arguments.progress, Piece(arguments.stop_after, "training"))
    try:
        train_phases(trainer, arguments)
    except PieceOver:
        return UNFINISHED
    if workers.rank == 0:
        trainer.save()
        print(json.dumps(trainer.validate(10_000)))
    return 0


def train_phases(trainer: Trainer, arguments: argparse.Namespace) -> None:
    """Trains one phase after the other, from where training was stopped.

    Raises:
        PieceOver: the time of this piece is over.
    """
    batch = max(1, arguments.batch // trainer.workers.count)

    def fit() -> None:
        if arguments.checkpoint is not None:
            if trainer.place.step == 0:
                trainer.go_on_from(arguments.checkpoint)
            trainer.fit_heads(arguments.heads_minutes, batch)

    def see() -> None:
        trainer.train_vision(arguments.vision_minutes, 2.4e-3)

    def speak() -> None:
        trainer.train(arguments.language_minutes, 1.5e-3, batch, at_rest=True)

    def judge() -> None:
        trainer.train(arguments.minutes, 7e-4, batch, at_rest=False)

    for number, train in enumerate((fit, see, speak, judge)):
        trainer.phase(number, train)


if __name__ == "__main__":
    sys.exit(main())
