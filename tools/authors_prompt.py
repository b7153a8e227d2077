"""Stores the token ids that the authors' code gives to a model, with the processor of its time.

Their code lets `Qwen3VLProcessor` of transformers 4.57.1 expand the video of a chat turn, and cuts
the text before the first end of a turn. Later processors write another pair of vision markers
around the whole video; `test/models/test_qwen3_vl_layout.py` holds the package against the ids
that this tool writes. It needs transformers 4.57.1 and torchvision, in an environment of its own:

    python -m tools.authors_prompt test/data/authors_prompt.npz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from transformers import (
    Qwen2TokenizerFast,
    Qwen2VLImageProcessorFast,
    Qwen3VLProcessor,
    Qwen3VLVideoProcessor,
)
from transformers.video_utils import VideoMetadata

TOKENIZER = Path(__file__).parents[1] / "topreward_ros" / "models" / "demo" / "tokenizer.json"
SIZE = (96, 64)
FPS = 2.0
FRAMES = (1, 2, 5, 8, 21)
TASK = "put the red cube on the green disc"
# Written out, and not taken from the package: it is what the package is held against.
TURN = "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>"
QUESTION = (
    "The above video shows a robot manipulation trajectory that completes the following task: "
    f"{TASK} Decide whether the above statement is True or not. The answer is:"
)


def authors_ids(processor: Qwen3VLProcessor, frames: int) -> np.ndarray:
    """Returns (n,) token ids of a video of so many frames and its question."""
    video = np.zeros((frames, *SIZE, 3), np.uint8)
    made = processor(
        text=[TURN + QUESTION],
        videos=[video],
        video_metadata=[
            VideoMetadata(total_num_frames=frames, fps=FPS, frames_indices=list(range(frames)))
        ],
        do_sample_frames=False,
        do_resize=False,
        return_tensors="pt",
    )
    return np.asarray(made["input_ids"][0], np.int64)


def main() -> None:
    """Writes the ids for each number of frames."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", type=Path, help="the .npz file to write")
    output = parser.parse_args().output
    tokenizer = Qwen2TokenizerFast(tokenizer_file=str(TOKENIZER))
    # A patch of 8 px, as the demo model's: it only sets how many placeholders a pair has.
    video = Qwen3VLVideoProcessor(patch_size=8, merge_size=2, temporal_patch_size=2)
    processor = Qwen3VLProcessor(Qwen2VLImageProcessorFast(), tokenizer, video)
    ids = {f"ids_{frames}": authors_ids(processor, frames) for frames in FRAMES}
    output.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(output, **ids)
    print(f"Wrote {output}: {', '.join(f'{len(row)} ids' for row in ids.values())}")


if __name__ == "__main__":
    main()
