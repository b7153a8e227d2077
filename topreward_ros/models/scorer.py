"""A model on this machine, ready to score one episode after another."""

from __future__ import annotations

import hashlib

import numpy as np
import torch

from topreward_ros.models.backbone import Backbone
from topreward_ros.models.configuration_text import configuration_text
from topreward_ros.models.contract import Backend, ModelError, Settings, VideoSession
from topreward_ros.models.streaming.recompute import RecomputeSession
from topreward_ros.models.streaming.session import StreamingSession
from topreward_ros.models.streaming.thinning import Thinning
from topreward_ros.models.streaming.video_memory import VideoMemory, memory_bytes
from topreward_ros.models.streaming.vision_cache import VisionCacheSession
from topreward_ros.models.video_unit import unit_of

MEBIBYTE = 2**20
REHEARSED = (
    "open the drawer",
    "take the red cube out of the bowl on the left, put it on the green disc behind the plate, and "
    "leave all other cubes where they are",
)
"""Instructions of the usual lengths."""


class LocalScorer:
    """Implements `VideoScorer` on a loaded backbone."""

    def __init__(
        self,
        name: str,
        backbone: Backbone,
        settings: Settings,
        max_pairs: int,
        *,
        streaming: bool = True,
        fixed_shapes: bool = False,
        sessions: int = 1,
        number_format: str = "",
    ) -> None:
        """Allocates the memory of all later episodes.

        Args:
            name: what was asked for.
            backbone: the model.
            settings: what the checkpoint says of its own use.
            max_pairs: units of frames that are kept at most.
            streaming: False recomputes every score from scratch, as a yardstick.
            fixed_shapes: run updates in fixed shapes where that can be, recorded on a GPU.
            sessions: that may run at a time, each with caches of its own.
            number_format: of the weights, in words; "": the model's dtype.

        Raises:
            ModelError: the memory cannot be had.
            ValueError: `max_pairs` is odd or too small, or there is to be no session.
        """
        Thinning(max_pairs)
        if sessions < 1:
            raise ValueError(f"sessions is {sessions}; expected 1 or more.")
        self.name = name
        self.backbone = backbone
        self.frame_size = backbone.frame_size
        self.prompt_form = backbone.prompt.form
        self.capabilities = backbone.capabilities
        number_format = number_format or str(backbone.model.dtype).removeprefix("torch.")
        flat = streaming and backbone.capabilities.kv_append
        self.backend = Backend(f"local {number_format}", exact=True, flat=flat)
        self.health = None
        self.success_threshold = settings.success_threshold
        self.sample_rate = settings.sample_rate
        self.motion_threshold = settings.motion_threshold
        self.max_pairs = max_pairs
        self.sessions = sessions
        self.fingerprint = _fingerprint(backbone)
        if fixed_shapes:
            backbone.fix_shapes()
        # In the order in which their sessions began.
        self._memories = self._allocate(fixed_shapes) if streaming else []

    def start(self) -> VideoSession:
        """Starts an episode; see `VideoScorer.start`."""
        if not self._memories:
            return RecomputeSession(self.backbone, self.max_pairs)
        kind = StreamingSession if self.capabilities.kv_append else VisionCacheSession
        return kind(self.backbone, self._next_memory())

    @torch.inference_mode()
    def rehearse(self) -> None:
        """Runs updates whose scores nobody needs; of several sessions it ends one.

        A device chooses kernels, takes memory and records graphs when it first runs them, for which
        no reading should have to wait.
        """
        session, frame = self.start(), np.zeros((*self.frame_size, 3), np.uint8)
        session.append(frame, 0.0)
        session.log_prob(REHEARSED[0])
        for memory in self._memories:
            if memory.main.fixed is not None:
                frames = unit_of([frame], [0.0], self.capabilities.frames_per_unit, 0)
                unit = self.backbone.unit(frames)
                for instruction in REHEARSED:
                    memory.main.rehearse(unit, self.backbone.suffix(instruction))

    def _next_memory(self) -> VideoMemory:
        """Returns a free memory, else the one whose session began first."""
        memory = next((one for one in self._memories if one.free), self._memories[0])
        self._memories.remove(memory)
        self._memories.append(memory)
        return memory

    def _allocate(self, fixed_shapes: bool) -> list[VideoMemory]:
        with torch.inference_mode():
            needed = memory_bytes(self.backbone, self.max_pairs)
            free = free_bytes(self.backbone.device)
            if needed > free:
                raise ModelError(self._too_large(needed, free))
            if self.sessions * needed > free:
                raise ModelError(
                    f"{self.sessions} sessions take {self.sessions * needed // MEBIBYTE} MiB of "
                    f"cache beside the model, and {free // MEBIBYTE} MiB are free: "
                    f"{free // needed} fit, or more with a smaller max_pairs or frame_size."
                )
        return [
            VideoMemory(self.backbone, self.max_pairs, fixed_shapes=fixed_shapes)
            for _ in range(self.sessions)
        ]

    def _too_large(self, needed: int, free: int) -> str:
        fitting = self.max_pairs
        while fitting > 4 and memory_bytes(self.backbone, fitting) > free:
            fitting = max(4, fitting // 4 * 2)
        return (
            f"max_pairs is {self.max_pairs}, which takes {needed // MEBIBYTE} MiB of cache beside "
            f"the model, and {free // MEBIBYTE} MiB are free; set max_pairs to {fitting} or less, "
            "take a smaller frame_size or model, or quantize it."
        )


def free_bytes(device: torch.device) -> int:
    """Returns the free memory of a GPU, or what the system can still give to a CPU's model."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    with open("/proc/meminfo") as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if "MemAvailable" in line)


def _fingerprint(backbone: Backbone) -> str:
    """Hashes what a log-probability depends on: architecture, weights, prompt, frame size."""
    # Not the whole of it, which takes seconds a gigabyte: one row of each matrix tells
    # checkpoints apart, fine-tuned ones too.
    digest = hashlib.sha256(configuration_text(backbone.model.config.to_dict()).encode())
    digest.update(f"{backbone.prompt.form.value} {backbone.frame_size}".encode())
    for name, weight in backbone.model.named_parameters():
        digest.update(name.encode())
        row = weight.detach().reshape(-1)[: weight.shape[-1] if weight.ndim else 1]
        if row.is_floating_point():
            digest.update(row.float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
