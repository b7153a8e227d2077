"""What a server says of the model that it serves."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from topreward_ros.method.prompt import PromptForm
from topreward_ros.models.contract import Backend, Capabilities, Rewind, VideoScorer
from topreward_ros.models.served.ray_serve.fields import Fields

VERSION = 1
"""Of the wire format."""
LONGEST_NAME = 4096
LARGEST_SIDE = 4096
"""px."""
MOST_UNITS = 2**20


@dataclass(frozen=True)
class ServedModel:
    """A model as its robots have to know it; the fields are those of `VideoScorer`.

    Attributes:
        max_pairs: units of frames that each of its sessions keeps at most.
    """

    name: str
    fingerprint: str
    frame_size: tuple[int, int]
    prompt_form: PromptForm
    success_threshold: float | None
    sample_rate: float
    motion_threshold: float | None
    capabilities: Capabilities
    backend: Backend
    max_pairs: int


def describe(scorer: VideoScorer, max_pairs: int) -> ServedModel:
    """Returns what a server says of a scorer of its own."""
    local = scorer.backend
    return ServedModel(
        scorer.name,
        scorer.fingerprint,
        scorer.frame_size,
        scorer.prompt_form,
        scorer.success_threshold,
        scorer.sample_rate,
        scorer.motion_threshold,
        scorer.capabilities,
        Backend(f"ray, {local.name}", local.exact, local.flat, resend=True),
        max_pairs,
    )


def pack_model(model: ServedModel) -> bytes:
    """Returns the answer to who serves there."""
    return json.dumps(
        {
            "version": VERSION,
            "name": model.name,
            "fingerprint": model.fingerprint,
            "height": model.frame_size[0],
            "width": model.frame_size[1],
            "prompt_form": model.prompt_form.value,
            "success_threshold": model.success_threshold,
            "sample_rate": model.sample_rate,
            "motion_threshold": model.motion_threshold,
            "frames_per_unit": model.capabilities.frames_per_unit,
            "kv_append": model.capabilities.kv_append,
            "rewind": model.capabilities.rewind.value,
            "backend": model.backend.name,
            "exact": model.backend.exact,
            "flat": model.backend.flat,
            "max_pairs": model.max_pairs,
        },
        allow_nan=False,
    ).encode()


def unpack_model(body: dict[str, Any]) -> tuple[int, ServedModel | None]:
    """Reads the JSON object of that answer.

    Returns:
        The version of the wire format that the server speaks, and what it says of its model; None
        where there is another version than those of this package, whose fields may differ.

    Raises:
        WireError: it is none.
    """
    fields = Fields(body, "What the server says of its model")
    version = fields.whole("version", 1, 2**31)
    if version != VERSION:
        return version, None
    return version, ServedModel(
        fields.text("name", LONGEST_NAME),
        fields.text("fingerprint", LONGEST_NAME),
        (fields.whole("height", 1, LARGEST_SIDE), fields.whole("width", 1, LARGEST_SIDE)),
        fields.choice("prompt_form", PromptForm),
        fields.maybe_number("success_threshold"),
        fields.number("sample_rate", 1e-6, 1e3),
        fields.maybe_number("motion_threshold"),
        Capabilities(
            fields.whole("frames_per_unit", 1, 2),
            fields.flag("kv_append"),
            fields.choice("rewind", Rewind),
        ),
        Backend(
            fields.text("backend", LONGEST_NAME),
            fields.flag("exact"),
            fields.flag("flat"),
            resend=True,
        ),
        fields.whole("max_pairs", 4, MOST_UNITS),
    )
