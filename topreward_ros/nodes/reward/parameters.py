"""The parameters of `reward_node`: each is declared once, with its type, range and meaning."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from topreward_ros.method.prompt import PromptForm
from topreward_ros.method.reward import RewardForm
from topreward_ros.models.checkpoints.settings import LARGEST_RATE
from topreward_ros.models.served.options import DEFAULT_PATIENCE
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT
from topreward_ros.nodes.parameters import parameter
from topreward_ros.nodes.reward import parameter_checks as checks
from topreward_ros.video.mosaic import Layout
from topreward_ros.video.motion import DEFAULT_THRESHOLD


class Change(str, Enum):
    """When a parameter may be set, and from when on it holds."""

    UNCONFIGURED = "while unconfigured"
    EPISODE = "at any time, for the next episode"
    ALWAYS = "at any time, at once"
    NEVER = "at the start only"


def _is(default: Any, description: str, change: Change, **allowed: Any) -> Any:
    return parameter(default, description, fixed=change is Change.NEVER, change=change, **allowed)


def _names(enum: type[Enum]) -> list[str]:
    return [member.value for member in enum]


@dataclass(frozen=True)
class RewardParameters:
    """A snapshot of all parameters."""

    model: str = _is(
        "Qwen/Qwen3-VL-8B-Instruct",
        "Hub id (@<revision> pins it), checkpoint directory, demo, random:<directory with a "
        "config.json>, or the address of a server (docs/fleet.md).",
        Change.UNCONFIGURED,
        check=checks.model,
    )
    device: str = _is(
        "auto",
        "auto (a GPU where there is one), cpu, cuda or cuda:<number>.",
        Change.UNCONFIGURED,
        check=checks.device,
    )
    dtype: str = _is(
        "auto",
        "Number format; auto: bfloat16 on a GPU, float32 on a CPU.",
        Change.UNCONFIGURED,
        choices=("auto", "float32", "bfloat16", "float16", "float64"),
    )
    quantization: str = _is(
        "none", "Of the weights.", Change.UNCONFIGURED, choices=("none", "int8", "nf4")
    )
    prompt_form: str = _is(
        "raw", "Form of the prompt.", Change.UNCONFIGURED, choices=_names(PromptForm)
    )
    frame_size: tuple[int, ...] = _is(
        (0, 0),
        "[height, width] in px; [0, 0]: the model's own.",
        Change.UNCONFIGURED,
        check=checks.frame_size,
    )
    max_pairs: int = _is(
        DEFAULT_LIMIT,
        "Pairs of frames kept at most, an even number; bounds memory and the cost of an update.",
        Change.UNCONFIGURED,
        limits=(4, 4096),
        check=checks.even,
    )
    server_patience: float = _is(
        DEFAULT_PATIENCE,
        "s that a reading waits for a model's server which does not answer; then the episode ends "
        "as model_error.",
        Change.UNCONFIGURED,
        limits=(0.1, 3600.0),
    )
    attention: str = _is(
        "sdpa", "Attention kernel.", Change.UNCONFIGURED, choices=("sdpa", "eager")
    )
    cuda_graphs: bool = _is(
        True,
        "On a GPU, replay updates as recorded CUDA graphs; what cannot be recorded runs as it "
        "comes, and the log says why.",
        Change.UNCONFIGURED,
    )
    instruction: str = _is(
        "",
        "The task in words; empty: wait for one on task_instruction.",
        Change.ALWAYS,
        check=checks.instruction,
    )
    statements: tuple[str, ...] = _is(
        ("",),
        "What is asked about beside the task, at most 16 of the form name | role | text or "
        "name | role | threshold | text, with the role task, stage or failure and a threshold in "
        'nat; [""]: nothing.',
        Change.EPISODE,
        check=checks.statements,
    )
    episode_statements: tuple[str, ...] = _is(
        ("",),
        "statements of the next episode alone, in place of the others; it takes them away when it "
        'starts. [""]: none of its own.',
        Change.EPISODE,
        check=checks.statements,
    )
    cameras: tuple[str, ...] = _is(
        ("/camera/image_raw",),
        "Image topics, 1 to 16, in the order of the layout.",
        Change.UNCONFIGURED,
        check=checks.cameras,
    )
    transport: str = _is(
        "auto",
        "Type of the image topics: raw (Image), compressed (CompressedImage), auto (as published).",
        Change.UNCONFIGURED,
        choices=("auto", "raw", "compressed"),
    )
    layout: str = _is(
        "row", "How several cameras become one frame.", Change.EPISODE, choices=_names(Layout)
    )
    camera_max_age: float = _is(
        0.5,
        "s; how much older than the newest picture another camera's may be to share its frame.",
        Change.EPISODE,
        limits=(0.001, 60.0),
    )
    sample_rate: float = _is(
        0.0,
        "Frames per second of camera time; 0.0: the model's own, usually 2.0.",
        Change.EPISODE,
        limits=(0.0, LARGEST_RATE),
    )
    motion_gate: bool = _is(True, "Leave frames out that show nothing new.", Change.EPISODE)
    motion_threshold: float = _is(
        DEFAULT_THRESHOLD,
        "Grey levels of change from which a frame is new; only with motion_gate.",
        Change.EPISODE,
        limits=(0.0, 255.0),
    )
    frozen_check: bool = _is(
        True,
        "Take a camera whose pictures are equal bit for bit for frozen: no success is claimed on "
        "them. false for simulators, which send such pictures.",
        Change.EPISODE,
    )
    reward_form: str = _is(
        "difference",
        "difference of progress, or the paper's exp_clip.",
        Change.EPISODE,
        choices=_names(RewardForm),
    )
    success_threshold: float = _is(
        math.nan,
        "nat, at most 0; .nan: the calibration's or else the model's own. Without any, success is "
        "never claimed.",
        Change.EPISODE,
        check=checks.threshold,
    )
    success_window: int = _is(
        3, "Readings in the mean that is the success score.", Change.EPISODE, limits=(1, 1000)
    )
    success_hold: float = _is(
        1.0,
        "s for which the score must stay above the threshold.",
        Change.EPISODE,
        limits=(0.0, 3600.0),
    )
    success_min_duration: float = _is(
        2.0,
        "s from the episode's start before which success is never claimed.",
        Change.EPISODE,
        limits=(0.0, 86400.0),
    )
    stall_time: float = _is(
        0.0,
        "s without progress after which an event tells of it: stalled where pictures changed all "
        "that time (without motion_gate they always do), standstill where they did not; 0.0: off.",
        Change.EPISODE,
        limits=(0.0, 3600.0),
    )
    stall_min_progress: float = _is(
        0.05,
        "Rise of progress, of 0..1, that counts; only with stall_time.",
        Change.EPISODE,
        limits=(0.001, 1.0),
    )
    regress_time: float = _is(
        0.0,
        "s for which progress has to stay fallen until an event (regressed) tells of it; 0.0: off.",
        Change.EPISODE,
        limits=(0.0, 3600.0),
    )
    regress_min_drop: float = _is(
        0.3,
        "Fall of progress below the best of before, of 0..1, that has to be exceeded; only with "
        "regress_time.",
        Change.EPISODE,
        limits=(0.001, 1.0),
    )
    calibration_file: str = _is("", "Written by `calibrate`; empty: none.", Change.UNCONFIGURED)
    camera_timeout: float = _is(
        2.0,
        "s by the wall clock without an image after which a camera counts as lost.",
        Change.ALWAYS,
        limits=(0.05, 3600.0),
    )
    inbox_size: int = _is(
        64,
        "Frames that may wait for scoring; with more the episode ends as model_error.",
        Change.EPISODE,
        limits=(1, 10000),
    )
    on_clock_jump: str = _is(
        "restart",
        "After camera time has jumped: restart with a new episode, or stop until ~/reset.",
        Change.ALWAYS,
        choices=("restart", "stop"),
    )
    autostart: bool = _is(False, "Configure and activate without being asked.", Change.NEVER)


RULES = {rule.name: rule for rule in fields(RewardParameters)}
"""Every parameter by name; `metadata` as in its declaration."""
