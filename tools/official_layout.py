"""Stores what transformers' own Qwen3-VL processor makes of a small video.

The package builds prompt and patches itself, without torchvision;
`test/models/test_qwen3_vl_layout.py` holds them against the arrays that this tool writes. It needs
torchvision:

    python -m tools.official_layout test/data/qwen3_vl_official.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor
from transformers.tokenization_utils_base import PreTrainedTokenizerBase
from transformers.video_utils import VideoMetadata

from topreward_ros.method.prompt import Prompt
from topreward_ros.models.checkpoints.sources import DEMO_DIRECTORY

SIZE = (32, 64)
FPS = 2.0
TASK = "put the red cube on the green disc"


def official(tokenizer: PreTrainedTokenizerBase, frames: int, seed: int) -> dict[str, np.ndarray]:
    """Returns the frames of a random video, and patches and text by the official processor.

    Args:
        tokenizer: of any Qwen3-VL checkpoint.
        frames: how many; an odd last one is doubled.
        seed: of the pixels.
    """
    video = np.random.default_rng(seed).integers(0, 256, (frames, *SIZE, 3), dtype=np.uint8)
    limits = {"shortest_edge": 1, "longest_edge": 2**40}
    processor = Qwen3VLProcessor(
        Qwen2VLImageProcessor(), tokenizer, Qwen3VLVideoProcessor(size=limits)
    )
    prompt = Prompt()
    made = processor.video_processor(
        videos=[torch.from_numpy(video).permute(0, 3, 1, 2)],
        do_sample_frames=False,
        cap_pixels_per_frame=False,
        return_tensors="pt",
    )
    # The text grows one placeholder per visual token; this is the processor's own expansion.
    made["video_metadata"] = [
        VideoMetadata(total_num_frames=frames, fps=FPS, frames_indices=list(range(frames)))
    ]
    text = prompt.before_video + processor.replace_video_token(made, 0) + prompt.after_video(TASK)
    return {
        "video": video,
        "patches": made["pixel_values_videos"].numpy(),
        "grid": made["video_grid_thw"].numpy(),
        "text": np.array(text),
    }


def main() -> None:
    """Writes the arrays for an even and an odd number of frames."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the .npz file to write")
    output = parser.parse_args().output
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(DEMO_DIRECTORY)
    arrays = {
        f"{name}_{frames}": value
        for frames in (4, 5)
        for name, value in official(tokenizer, frames, seed=frames).items()
    }
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output, **arrays)
    print(f"Wrote {output}")


if __name__ == "__main__":
    main()
