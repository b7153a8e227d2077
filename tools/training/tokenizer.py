"""The demo model's own small tokenizer: byte-level BPE over the words of this scene.

Text is split as Qwen splits it, digits stand alone, and every word of the prompt is one token, so
` True` and ` False` are too. Any other text still works, byte by byte.
"""

from __future__ import annotations

import json
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tools.simulation.instructions import all_instructions
from tools.training.wrong_instructions import every_wording
from topreward_ros.method.prompt import Prompt, PromptForm

SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
QWEN_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def _texts() -> list[str]:
    texts = ["<12.3 seconds>", "True", "False", " True", " False", "system\n", "assistant\n"]
    for form in PromptForm:
        prompt = Prompt(form)
        texts.append(prompt.before_video)
        texts += [prompt.after_video(text) for text in (*all_instructions(), *every_wording())]
    for marker in SPECIAL:
        texts = [text.replace(marker, "\n") for text in texts]
    return [part for text in texts for part in text.split("\n") if part] + ["\n"] * 4


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Learns the tokenizer; the result is always the same."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(QWEN_SPLIT), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2000,
        min_frequency=1,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts() * 3, trainer)
    tokenizer.add_special_tokens([AddedToken(text, special=True) for text in SPECIAL])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        clean_up_tokenization_spaces=False,
        model_max_length=32768,
    )


def save_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Writes `tokenizer.json` and `tokenizer_config.json` into a folder."""
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    # the class by the name that all versions of transformers know
    path = folder / "tokenizer_config.json"
    config = {**json.loads(path.read_text()), "tokenizer_class": "PreTrainedTokenizerFast"}
    path.write_text(json.dumps(config, indent=2) + "\n")
    return tokenizer
