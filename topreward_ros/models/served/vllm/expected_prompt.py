"""The prompt that the server has to make of a request, token by token, and what is wrong with it.

A checkpoint's tokenizer and configuration are read on this machine; its weights are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from transformers import AutoTokenizer, PreTrainedConfig

from topreward_ros.method.prompt import Prompt, PromptForm
from topreward_ros.models.checkpoints.configuration import load_configuration
from topreward_ros.models.checkpoints.errors import one_sentence
from topreward_ros.models.checkpoints.settings import read_settings
from topreward_ros.models.checkpoints.sources import Source
from topreward_ros.models.contract import ModelError
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout
from topreward_ros.models.families.qwen_patches import PatchGrid
from topreward_ros.models.families.registry import FAMILIES

SERVED = ("qwen3_vl", "qwen3_vl_moe")
"""Families whose pairs of frames can be items of their own without changing the prompt."""
LONGEST_EPISODE = 99999.9
"""s; bounds how many tokens a stamp takes."""


class ExpectedPrompt:
    """Of one checkpoint, prompt form and frame size.

    Attributes:
        settings: what the checkpoint says of its own use.
        config: its configuration.
        form: of the prompt.
        frame_size: (height, width) px.
        answer_id: the token whose log-probability is the score.
        pair_tokens: of one pair at most, its stamp included.
    """

    def __init__(
        self, source: Source, form: str | None, frame_size: tuple[int, int] | None
    ) -> None:
        """Reads tokenizer and configuration.

        Args:
            source: where they lie.
            form: a `PromptForm`; None: the checkpoint's own, else raw.
            frame_size: (height, width) px; None: the checkpoint's own, else the family's.

        Raises:
            ModelError: they cannot be used.
        """
        with one_sentence(source, "config.json or tokenizer's files"):
            self.config: PreTrainedConfig = load_configuration(
                source.location, source.revision, "eager"
            )
            tokenizer = AutoTokenizer.from_pretrained(
                source.location, revision=source.revision, trust_remote_code=False
            )
        if self.config.model_type not in SERVED:
            raise ModelError(
                f"{source.name} is of family {self.config.model_type!r}, and behind vLLM only "
                f"{' and '.join(SERVED)} are scored; serve it with ray+http (docs/fleet.md), or "
                "run it on this machine."
            )
        self.settings = read_settings(source.directory)
        family = FAMILIES[self.config.model_type]
        self.form = PromptForm(form) if form else self.settings.prompt_form
        self.frame_size = frame_size or self.settings.frame_size or family.frame_size
        self.own = self.settings.made_for(family.frame_size) == (self.form, self.frame_size)
        """Whether prompt form and frame size are those of the checkpoint's own threshold."""
        vision = self.config.vision_config
        self.prompt = Prompt(self.form)
        with one_sentence(source):
            grid = PatchGrid(*self.frame_size, vision.patch_size, vision.spatial_merge_size)
            self._layout = Qwen3VLLayout(tokenizer, self.prompt, grid)
        self.answer_id = self._layout.answer_id
        self._preamble = self._layout.preamble().ids.tolist()
        # Nearly all of a prompt is that of the update before.
        self._pair = lru_cache(4096)(lambda time: self._layout.pair(time).ids.tolist())
        self._suffix = lru_cache(64)(lambda text: self._layout.suffix(text).ids.tolist())
        self.pair_tokens = len(self._layout.pair(LONGEST_EPISODE))

    def ids(self, seconds: Sequence[float], instruction: str) -> list[int]:
        """Returns the token ids of a whole prompt.

        Args:
            seconds: mean time of each pair, since the episode's start.
            instruction: the task.
        """
        parts = [self._preamble, *map(self._pair, seconds), self._suffix(instruction)]
        return [token for part in parts for token in part]

    def length(self, seconds: Sequence[float], instruction: str) -> int:
        """Returns how many token ids that are."""
        pairs = sum(len(self._pair(time)) for time in seconds)
        return len(self._preamble) + pairs + len(self._suffix(instruction))

    def fault(self, got: Sequence[int], seconds: Sequence[float], instruction: str) -> str:
        """Says what a server made of a prompt; "" where it is as expected.

        Args:
            got: the token ids that it says.
            seconds: mean time of each pair.
            instruction: the task.
        """
        expected = self.ids(seconds, instruction)
        if list(got) == expected:
            return ""
        pad, start, end = (
            getattr(self.config, f"{name}_token_id")
            for name in ("video", "vision_start", "vision_end")
        )
        tail = self._suffix(instruction)
        count = list(got).count
        if count(start) > len(seconds) or count(end) > len(seconds):
            return "puts a second pair of vision markers around each picture; " + TEMPLATE
        if not count(pad):
            return "leaves the pictures out of the prompt; " + TEMPLATE
        if count(pad) != expected.count(pad):
            return (
                f"makes {count(pad)} tokens of the pictures and not {expected.count(pad)}: it "
                "samples or resizes frames; start it with " + LOADER + " and without "
                "--mm-processor-kwargs, and see the sizes in video_preprocessor_config.json"
            )
        if list(got)[-len(tail) :] != tail:
            if _within(tail, got):
                return "adds text behind the question, as a turn's end; " + TEMPLATE
            return "reads the instruction as other tokens: its tokenizer is another one"
        return "gives the pictures other times, or puts other text before them; start it with " + (
            LOADER + ", and " + TEMPLATE
        )


def _within(part: Sequence[int], whole: Sequence[int]) -> bool:
    size = len(part)
    return any(list(whole[i : i + size]) == list(part) for i in range(len(whole) - size + 1))


TEMPLATE = "start it with --chat-template config/serve/vllm/prompt.jinja"
LOADER = (
    """--media-io-kwargs '{"video": {"video_backend": "topreward_pairs", "num_frames": -1}}'"""
    " and our plug-in installed"
)
