"""A plug-in for vLLM: a video of raw frames, each with its own stamp, taken as it is.

vLLM's own loaders decode a file, resample it, and stamp by a frame rate; a pair of frames has none.
Installed beside vLLM, it is used by a server that runs with
`--media-io-kwargs '{"video": {"video_backend": "topreward_pairs"}}'`.
"""

import json
from typing import Any

NAME = "topreward_pairs"
STEPS = 10000
"""A second's: stamps are exact to 0.1 ms, and so are sent as whole numbers of that."""
LARGEST_HEAD = 4096
LARGEST_SIDE = 4096
LARGEST_COUNT = 64


def read(data: bytes) -> tuple[Any, dict[str, Any]]:
    """Reads one line of JSON (`stamps`, `height`, `width`) and the frames' RGB bytes behind it.

    Returns:
        (n, height, width, 3) uint8, and what vLLM wants to know of a video.

    Raises:
        ValueError: that is something else.
    """
    import numpy as np

    end = data[:LARGEST_HEAD].find(b"\n")
    try:
        head = json.loads(data[:end]) if end > 0 else None
        stamps = [int(stamp) for stamp in head["stamps"]]
        height, width = int(head["height"]), int(head["width"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("This video is none of raw frames with stamps.") from None
    fits = 0 < len(stamps) <= LARGEST_COUNT and min(height, width) > 0
    if not fits or max(height, width) > LARGEST_SIDE:
        raise ValueError("This video's frames are too many, too large, or none.")
    shape = (len(stamps), height, width, 3)
    if len(data) - end - 1 != np.prod(shape):
        raise ValueError("This video has not as many bytes as it says.")
    frames = np.frombuffer(data, np.uint8, offset=end + 1).reshape(shape)
    return frames, {
        "total_num_frames": len(stamps),
        "fps": float(STEPS),
        "duration": len(stamps) / STEPS,
        "video_backend": NAME,
        "frames_indices": stamps,
        "do_sample_frames": False,
    }


def register() -> None:
    """Makes the loader known to vLLM, which calls this in each of its processes."""
    from vllm.multimodal.video import VIDEO_LOADER_REGISTRY, VideoLoader

    @VIDEO_LOADER_REGISTRY.register(NAME)
    class PairLoader(VideoLoader):
        """Takes frames as they are."""

        @classmethod
        def load_bytes(cls, data: bytes, **options: Any) -> tuple[Any, dict[str, Any]]:
            """Returns `read(data)`, whatever is said of sampling."""
            return read(data)
