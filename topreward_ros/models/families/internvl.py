"""InternVL 3 and 3.5 in their transformers format (`*-hf` on the hub).

A video is written as `InternVLProcessor` writes it: every frame is one picture of fixed size after
its number, and frames know nothing of each other until the language model reads them. There are no
time stamps; a thinned video keeps each frame's own number, as it keeps its time elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.contract import Capabilities, Rewind
from topreward_ros.models.families.flat_backbone import FlatBackbone
from topreward_ros.models.video_unit import VideoUnit

# ImageNet's, as in the checkpoints' preprocessor_config.json; the class has other defaults.
MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


class InternVL(FlatBackbone):
    """A loaded `InternVLForConditionalGeneration`."""

    capabilities = Capabilities(frames_per_unit=1, kv_append=True, rewind=Rewind.CROP)
    picture = ("<IMG_CONTEXT>",)
    picture_mark = "<IMG_CONTEXT>"
    picture_place = "<IMG_CONTEXT>\n"

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        prompt: Prompt,
        frame_size: tuple[int, int],
    ) -> None:
        """Takes the number of a frame's tokens from the configuration.

        Raises:
            ValueError: the frame size is not the model's, or the tokenizer lacks a token.
        """
        super().__init__(model, tokenizer, prompt, frame_size, model.config.image_seq_length)

    def frame_text(self, number: int, seconds: float) -> str:
        """`Frame1: <img>…</img>`, on a line of its own."""
        line = "\n" if number else ""
        return f"{line}Frame{number + 1}: {self.picture_text()}"

    def before_video(self) -> str:
        """The text before the first frame."""
        return self.prompt.before_video

    def after_video(self, instruction: str) -> str:
        """The text after the last frame; the chat template starts a new line after a video."""
        return "\n" + self.prompt.after_video(instruction)

    def embed_frame(self, embeds: torch.Tensor, unit: VideoUnit) -> torch.Tensor:
        """Returns the vision tower's features, which replace the placeholders."""
        return self.model.get_image_features(pixel_values=self._pixels(unit.frames)).pooler_output[
            0
        ]

    def reference_inputs(self, video: Sequence[VideoUnit], ids: torch.Tensor) -> dict[str, object]:
        """All frames' pixels."""
        return {"pixel_values": self._pixels([unit.frames[0] for unit in video])}

    def picture_text(self) -> str:
        """`<img>…</img>`: a picture of the tower's size is one tile."""
        return f"<img>{self.picture_mark * self.frame_tokens}</img>"

    def picture_inputs(
        self, pictures: Sequence[NDArray[np.uint8]], ids: torch.Tensor
    ) -> dict[str, object]:
        """All pictures' pixels."""
        return {"pixel_values": self._pixels(pictures)}

    def _pixels(self, pictures: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
        """Returns (pictures, 3, height, width), normalized."""
        frames = torch.stack([torch.from_numpy(picture) for picture in pictures])
        pixels = frames.to(self.device, torch.float32)
        normal = (pixels - 255 * pixels.new_tensor(MEAN)) / (255 * pixels.new_tensor(DEVIATION))
        return normal.permute(0, 3, 1, 2).to(self.model.dtype)
