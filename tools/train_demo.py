"""Trains the demo checkpoint on recorded episodes.

    python -m tools.train_demo --data DIR --validation DIR --out topreward_ros/models/demo

First the vision tower alone, with linear heads that say what each visual token shows; then the
whole model on many questions an episode. Stops after the given minutes.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as distributed
from numpy.typing import NDArray
from safetensors.torch import save_file
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score
from torch.nn.functional import log_softmax, smooth_l1_loss
from tqdm import tqdm
from transformers import Qwen3VLForConditionalGeneration

from tools.demo_batches import Batch, BatchMaker, Clip, augmented, make_clip, whole_clip
from tools.demo_model import GRID, BatchedVision, make_model, normalised, pair_pixels
from tools.demo_targets import FLOOR, NEARLY
from tools.demo_tokenizer import save_tokenizer
from tools.record_dataset import load
from tools.tree_attention import use_tree_attention
from tools.vision_heads import PairTruth, VisionHeads
from topreward_ros.method.prompt import Prompt
from topreward_ros.models.qwen3_vl_layout import Qwen3VLLayout, single_token

EPISODES_A_STEP = 8
PREFIXES = 5
QUESTIONS = 3
PAIRS_A_STEP = 48
PAIRS_OF_AN_EPISODE = 4
VALIDATE_EVERY = 400

Features = tuple[torch.Tensor, list[torch.Tensor]]
"""Of pairs: what enters the language model, and what DeepStack adds in its first layers."""


def rate(step: float, total: float, peak: float, warm: float = 0.03) -> float:
    """Learning rate: a short rise, then a cosine to nearly nothing; `step` out of `total`."""
    part = min(step / total, 1.0)
    if part < warm:
        return peak * part / warm
    return peak * (0.02 + 0.98 * 0.5 * (1.0 + np.cos(np.pi * (part - warm) / (1.0 - warm))))


class Workers:
    """Processes that train one model together, one core each; their gradients are averaged."""

    def __init__(self) -> None:
        self.rank = int(os.environ.get("RANK", "0"))
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        if self.count > 1:
            distributed.init_process_group("gloo", timeout=timedelta(minutes=30))

    def agree(self, value: float) -> float:
        """The first process's value."""
        if self.count == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64)
        distributed.broadcast(shared, 0)
        return float(shared)

    def average_gradients(self, parameters: list[torch.nn.Parameter]) -> None:
        """Replaces each gradient by its mean over the processes."""
        if self.count == 1:
            return
        found = [p for p in parameters if p.grad is not None]
        flat = torch.cat([p.grad.flatten() for p in found])
        distributed.all_reduce(flat)
        parts = flat.div_(self.count).split([p.numel() for p in found])
        for parameter, part in zip(found, parts, strict=True):
            parameter.grad.copy_(part.view_as(parameter))


class Timed:
    """Steps until the minutes are over; gives the part of the time that has passed.

    Args:
        minutes: of wall clock.
        name: for the progress bar.
        workers: who stop together.
    """

    def __init__(self, minutes: float, name: str, workers: Workers) -> None:
        self._seconds = minutes * 60
        self._name = name
        self._workers = workers

    def __iter__(self) -> Iterator[tuple[int, float, tqdm]]:
        begin, step = time.monotonic(), 0
        quiet = self._workers.rank > 0
        with tqdm(total=100, desc=self._name, mininterval=20, disable=quiet) as bar:
            while (part := self._workers.agree(time.monotonic() - begin) / self._seconds) < 1.0:
                yield step, part, bar
                bar.update(int(part * 100) - bar.n)
                step += 1


class Trainer:
    """Model, heads, optimizer and data of one training run.

    Args:
        episodes: from `record_dataset.load`.
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
        self.heads = VisionHeads(self.model.config.text_config.hidden_size)
        self.vision = BatchedVision(self.model)
        use_tree_attention(self.model)
        layout = Qwen3VLLayout(tokenizer, Prompt(), GRID)
        self.maker = BatchMaker(layout, PREFIXES, QUESTIONS)
        self.every = BatchMaker(layout, 10_000, QUESTIONS)
        self.true = layout.answer_id
        self.false = single_token(tokenizer, " False")
        self.average = [p.detach().clone() for p in self.model.parameters()]

    def optimizer(self) -> torch.optim.AdamW:
        """AdamW without decay on norms, biases and embeddings."""
        modules = [*self.model.named_parameters(), *self.heads.named_parameters()]
        plain = [p for n, p in modules if p.ndim < 2 or "embed" in n]
        decayed = [p for n, p in modules if p.ndim >= 2 and "embed" not in n]
        groups = [
            {"params": decayed, "weight_decay": 0.05},
            {"params": plain, "weight_decay": 0.0},
        ]
        return torch.optim.AdamW(groups, lr=1e-3, betas=(0.9, 0.98))

    def update(
        self, optimizer: torch.optim.Optimizer, loss: torch.Tensor, learning_rate: float
    ) -> None:
        """One step of the optimizer."""
        for group in optimizer.param_groups:
            group["lr"] = learning_rate
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.workers.average_gradients([*self.model.parameters(), *self.heads.parameters()])
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        optimizer.step()

    def train_vision(self, minutes: float, peak: float) -> None:
        """The vision tower with its heads alone."""
        optimizer, mean = self.optimizer(), 0.0
        for step, part, bar in Timed(minutes, "vision", self.workers):
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
            mean = loss.item() if step == 0 else 0.98 * mean + 0.02 * loss.item()
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

    def answers(self, batch: Batch, features: Features) -> torch.Tensor:
        """Log-probabilities of all tokens after each question, (A, vocabulary)."""
        language = self.model.model.language_model
        embeds = language.embed_tokens(batch.ids)
        embeds = embeds.masked_scatter(
            batch.visual[..., None], features[0].to(embeds.dtype).flatten(0, 1)
        )
        hidden = language(
            inputs_embeds=embeds,
            position_ids=batch.positions,
            attention_mask=batch.mask,
            use_cache=False,
            visual_pos_masks=batch.visual,
            deepstack_visual_embeds=[layer.flatten(0, 1) for layer in features[1]],
        ).last_hidden_state
        asked = hidden[batch.answers[:, 0], batch.answers[:, 1]].float()
        return log_softmax(self.model.lm_head(asked).float(), dim=-1)

    def loss(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Losses of a batch."""
        with torch.autocast("cpu", torch.bfloat16):
            features = self.see(batch, self.rng)
            log_probs = self.answers(batch, features)
        true = log_probs[:, self.true]
        odds = true - torch.log1p(-true.exp().clamp(max=1 - 1e-6))
        wanted = batch.target.sigmoid()
        return {
            "answer": -(wanted * true + (1.0 - wanted) * log_probs[:, self.false]).mean(),
            "graded": smooth_l1_loss(odds, batch.target, beta=1.0),
            "shown": self.heads.loss(features[0], PairTruth(batch.clips, batch.pairs)),
        }

    def train(self, minutes: float, peak: float, batch_size: int) -> None:
        """The whole model."""
        optimizer, means = self.optimizer(), {}
        self._restart_average()
        weights = {"answer": 2.0, "graded": 0.5, "shown": 0.2}
        order = np.argsort([len(episode["stamps"]) for episode in self.episodes])
        for step, part, bar in Timed(minutes, "model", self.workers):
            # episodes of about one length, so that little is padded
            first = int(self.rng.integers(0, len(order) - 6 * batch_size))
            lot = order[first : first + 6 * batch_size]
            lot = self.rng.choice(lot, batch_size, replace=False)
            clips = [make_clip(int(i), self.episodes[i], self.rng) for i in lot]
            losses = self.loss(self.maker(clips, self.rng))
            total = sum(weights[name] * value for name, value in losses.items())
            self.update(optimizer, total, rate(part, 1.0, peak))
            self._follow(step)
            if self.workers.rank > 0:
                continue
            for name, value in losses.items():
                means[name] = 0.97 * means.get(name, value.item()) + 0.03 * value.item()
            if step % 25 == 0:
                text = " ".join(f"{name} {value:.4f}" for name, value in means.items())
                bar.write(f"step {step} part {part:.3f} {text}")
            if step % VALIDATE_EVERY == VALIDATE_EVERY - 1:
                bar.write(json.dumps(self.validate(24)))
                self.save()

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
            log_probs = self.answers(batch, self.see(batch, None))
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

    def keep(self, path: Path | None) -> None:
        """Writes weights and heads, to train on from there."""
        if path is not None and self.workers.rank == 0:
            state = {"model": self.model.state_dict(), "heads": self.heads.state_dict()}
            torch.save(state, path)

    def restore(self, path: Path) -> None:
        """Reads what `keep` wrote."""
        state = torch.load(path)
        self.model.load_state_dict(state["model"])
        self.heads.load_state_dict(state["heads"])

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
    partial.rename(folder / "model.safetensors")
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="recorded training episodes")
    parser.add_argument("--validation", type=Path, required=True, help="other recorded episodes")
    parser.add_argument("--out", type=Path, required=True, help="folder of the checkpoint")
    parser.add_argument("--vision-minutes", type=float, default=12.0)
    parser.add_argument("--minutes", type=float, default=40.0, help="of training the whole model")
    parser.add_argument("--batch", type=int, default=EPISODES_A_STEP, help="episodes a step")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--state", type=Path, help="file to begin from, made by --keep")
    parser.add_argument("--keep", type=Path, help="file for the state after each phase")
    arguments = parser.parse_args()
    workers = Workers()
    torch.manual_seed(arguments.seed + workers.rank)
    trainer = Trainer(
        load(arguments.data), load(arguments.validation), arguments.out, arguments.seed, workers
    )
    if arguments.state is not None:
        trainer.restore(arguments.state)
    batch = max(1, arguments.batch // workers.count)
    if arguments.vision_minutes > 0:
        trainer.train_vision(arguments.vision_minutes, 1.2e-3)
        trainer.keep(arguments.keep)
    if arguments.minutes > 0:
        trainer.train(arguments.minutes, 1e-3, batch)
        trainer.keep(arguments.keep)
    if workers.rank == 0:
        trainer.save()
        print(json.dumps(trainer.validate(10_000)))


if __name__ == "__main__":
    main()
