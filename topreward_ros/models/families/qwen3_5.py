"""Qwen3.5, dense and mixture of experts.

Prompt, patches and positions are those of Qwen3-VL (its checkpoints name `Qwen3VLProcessor`); there
is no DeepStack. Three of four layers are linear attention: their state takes new frames in, but a
question can only be taken out by putting a copy back.
"""

from __future__ import annotations

from topreward_ros.method.prompt import ChatMarkup
from topreward_ros.models.contract import Capabilities, Rewind
from topreward_ros.models.families.qwen3_vl import Qwen3VL
from topreward_ros.models.runtime.snapshot_cache import SnapshotCache

FLOAT32_BYTES = 4
STATE_COPIES = 3
"""The state, and its copies from before the frames of a step and before a question."""


class Qwen35(Qwen3VL):
    """A loaded `Qwen3_5ForConditionalGeneration` or `Qwen3_5MoeForConditionalGeneration`."""

    capabilities = Capabilities(frames_per_unit=2, kv_append=True, rewind=Rewind.SNAPSHOT)
    # The chat template's header without thinking, which answers at once.
    markup = ChatMarkup(assistant="<|im_start|>assistant\n<think>\n\n</think>\n\n")

    def new_cache(self, capacity: int) -> SnapshotCache:
        """Returns an empty cache for `capacity` tokens."""
        return SnapshotCache(self.text_config.layer_types, capacity)

    def cache_bytes(self, tokens: int) -> int:
        """Returns the memory that a session over so many tokens takes beside the model."""
        types, text = self.text_config.layer_types, self.text_config
        keys = text.linear_num_key_heads * text.linear_key_head_dim
        values = text.linear_num_value_heads * text.linear_value_head_dim
        recurrent = FLOAT32_BYTES * values * text.linear_key_head_dim
        window = self.model.dtype.itemsize * (2 * keys + values) * text.linear_conv_kernel_dim
        states = types.count("linear_attention") * STATE_COPIES * (recurrent + window)
        return states + tokens * types.count("full_attention") * self.layer_token_bytes()
