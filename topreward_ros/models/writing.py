"""A loaded model that writes: what it would answer to a user's turn of texts and pictures.

Pictures reach the model as its own processor makes them of pictures that already have their final
size, as frames do in `streaming`: without torchvision, and without a processor's budget of pixels,
which counts pictures. Decoding is transformers' own `generate`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import GenerationConfig

from topreward_ros.models.backbone import Backbone
from topreward_ros.models.contract import ModelError, TextWriter, VideoScorer, Written
from topreward_ros.models.scorer import LocalScorer

Turn = Sequence[str | NDArray[np.uint8]]


def writer_of(scorer: VideoScorer) -> TextWriter:
    """Returns the writer on a scorer's model, whose weights are not loaded again.

    Raises:
        ModelError: the model runs elsewhere, and only its scores come here.
    """
    if not isinstance(scorer, LocalScorer):
        raise ModelError(
            f"The model {scorer.name} gives scores only, and text is asked for; load a checkpoint "
            "on this machine."
        )
    return LocalWriter(scorer.backbone)


class LocalWriter:
    """Implements `TextWriter` on a loaded backbone."""

    def __init__(self, backbone: Backbone) -> None:
        """Leaves of the checkpoint's own settings of generation only what ends an answer.

        They would sample, or punish repetition, of which a row of like answers is full, and
        transformers takes from them whatever a call does not name.
        """
        self._backbone = backbone
        said = backbone.model.generation_config.eos_token_id
        ends = [*(said if isinstance(said, list) else [said]), backbone.tokenizer.eos_token_id]
        self._ends = sorted({end for end in ends if end is not None})
        backbone.model.generation_config = GenerationConfig(
            do_sample=False,
            eos_token_id=self._ends or None,
            pad_token_id=self._ends[0] if self._ends else 0,
        )

    @torch.inference_mode()
    def write(self, turn: Turn, limit: int) -> Written:
        """Answers greedily; see `TextWriter`."""
        inputs = self.inputs(turn)
        ids = self._backbone.model.generate(**inputs, max_new_tokens=limit)
        new = ids[0, inputs["input_ids"].shape[1] :]
        text = self._backbone.tokenizer.decode(new, skip_special_tokens=True)
        return Written(text, bool(len(new)) and int(new[-1]) in self._ends)

    def inputs(self, turn: Turn) -> dict[str, object]:
        """Returns what the public forward and `generate` take.

        Raises:
            ValueError: a picture of another shape or type, or a text that holds a placeholder.
        """
        backbone, pictures = self._backbone, [part for part in turn if not isinstance(part, str)]
        for picture in pictures:
            if picture.shape != (*backbone.frame_size, 3) or picture.dtype != np.uint8:
                raise ValueError(
                    f"Got a picture of shape {picture.shape} and type {picture.dtype}; expected "
                    f"({backbone.frame_size[0]}, {backbone.frame_size[1]}, 3) of uint8."
                )
        text = self.prompt(turn)
        if text.count(backbone.picture_mark) != len(pictures):
            raise ValueError(
                f"The prompt has {text.count(backbone.picture_mark)} places for {len(pictures)} "
                f"pictures: the text holds {backbone.picture_mark}, or the checkpoint's chat "
                "template leaves pictures out. Say the task without chat markup."
            )
        whole = text.replace(backbone.picture_mark, backbone.picture_text())
        ids = backbone.tokenizer.encode(whole, add_special_tokens=False, return_tensors="pt")
        ids = ids.to(backbone.device)
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        return inputs | (backbone.picture_inputs(pictures, ids) if pictures else {})

    def prompt(self, turn: Turn) -> str:
        """Returns the text with one placeholder a picture, by the checkpoint's chat template."""
        backbone = self._backbone
        start = backbone.start_of_text()
        if not backbone.tokenizer.chat_template:
            markup = backbone.markup
            parts = [part if isinstance(part, str) else backbone.picture_place for part in turn]
            return start + markup.user + "".join(parts) + markup.turn_end + markup.assistant
        content = [
            {"type": "text", "text": part} if isinstance(part, str) else {"type": "image"}
            for part in turn
        ]
        text = backbone.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}],
            tokenize=False,
            add_generation_prompt=True,
            enable_thinking=False,  # known to the templates of thinking models alone
        )
        return text if text.startswith(start) else start + text
