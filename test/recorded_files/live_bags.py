"""Bags of a camera with readings that were recorded live: late, each by its latency."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from camera_bags import NANO, raw_image, write_bag

from topreward_ros.offline.message_types import READING_TYPE, message_types

START = 1_700_000_000 * NANO + 123_456_789
ARRIVAL = 20_000_000
"""ns from a picture's stamp to its recording."""
LENS, READINGS, REWARDS = "/lens", "/topreward/reward_node/reading", "/reward"


def picture(tenth: int) -> tuple[int, str, Any]:
    """The picture of that tenth of a second."""
    pixels = np.random.default_rng(tenth).integers(0, 256, (48, 64, 3), np.uint8)
    stamp = START + tenth * NANO // 10
    return stamp + ARRIVAL, LENS, raw_image(stamp, pixels)


def reading(tenth: int, index: int, late: float = 0.33, **values: Any) -> tuple[int, str, Any]:
    """A reading of the picture of that tenth of a second, recorded `late` s after it."""
    types, stamp = message_types().types, START + tenth * NANO // 10
    time = types["builtin_interfaces/msg/Time"](stamp // NANO, stamp % NANO)
    message = types[READING_TYPE](
        header=types["std_msgs/msg/Header"](stamp=time, frame_id="optical"), episode_id="aaa",
        instruction="open", index=index, frames=index + 1, episode_time=tenth / 10,
        log_prob=-1.0 - index, censored=False, progress=index / 10, progress_source="running",
        reward=0.5 + index, reward_form="difference", success_score=-1.0, success_threshold=-2.0,
        success=False, success_holds=False, latency=late, model_time=late / 2, pending_frames=0,
        model="demo", stage="", stage_progress=math.nan,
    )  # fmt: skip
    message = types[READING_TYPE](**{**vars(message), **values})
    return stamp + ARRIVAL + round(late * NANO), READINGS, message


def mirror(of: tuple[int, str, Any]) -> tuple[int, str, Any]:
    """The reward alone of a reading."""
    received, _, message = of
    return received, REWARDS, message_types().types["std_msgs/msg/Float64"](data=message.reward)


def live_bag(path: Path, *more: Any, first: int = 0, kept: int = 30) -> Path:
    """Pictures at 10 Hz, a reading of each fifth, and its reward."""
    said = [reading(tenth, index) for index, tenth in enumerate(range(first, 30, 5))]
    messages = [*map(picture, range(30 - kept, 30)), *said, *map(mirror, said), *more]
    return write_bag(path, sorted(messages, key=lambda one: one[0]))
