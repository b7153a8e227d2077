"""The demo model in training: what it says about a batch, and how wrong that is."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch.nn.functional import log_softmax, nll_loss, smooth_l1_loss
from transformers import PreTrainedTokenizerBase

from tools.training.batches import Batch
from tools.training.binding_heads import BindingHeads
from tools.training.model import BatchedVision, make_model, pair_pixels
from tools.training.tree_attention import use_tree_attention
from tools.training.vision_heads import PairTruth, VisionHeads
from topreward_ros.method.prompt import Prompt
from topreward_ros.models.families.single_token import single_token

EARLY = 2

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


class Student:
    """The model, and the heads that help to train it and are thrown away.

    Args:
        tokenizer: of the model.
        seed: of the weights.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, seed: int) -> None:
        self.model = make_model(tokenizer, seed)
        width = self.model.config.text_config.hidden_size
        self.heads = VisionHeads(width)
        self.binding = BindingHeads(width, (4, 5))
        self.vision = BatchedVision(self.model)
        use_tree_attention(self.model)
        self.true = single_token(tokenizer, Prompt().answer)
        self.false = single_token(tokenizer, " False")

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

    def loss(
        self, batch: Batch, rng: np.random.Generator, *, at_rest: bool
    ) -> dict[str, torch.Tensor]:
        """Losses of a batch; `at_rest` leaves the vision tower as it is."""
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(not at_rest):
                features = self.see(batch, rng)
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
