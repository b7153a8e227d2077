"""From a name to a model that scores."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from topreward_ros.method.prompt import Prompt, PromptForm
from topreward_ros.models.checkpoints.configuration import load_configuration
from topreward_ros.models.checkpoints.errors import one_sentence
from topreward_ros.models.checkpoints.quantization import (
    Quantization,
    check_quantization,
    keep_streaming,
    quantization_config,
    stored_form,
)
from topreward_ros.models.checkpoints.settings import read_settings
from topreward_ros.models.checkpoints.sizes import check_size
from topreward_ros.models.checkpoints.sources import DEMO_DIRECTORY, Source, find_source
from topreward_ros.models.contract import ModelError, Rewind, VideoScorer
from topreward_ros.models.families.registry import FAMILIES, Family
from topreward_ros.models.runtime.attention import ATTENTIONS
from topreward_ros.models.scorer import LocalScorer
from topreward_ros.models.streaming.prefixes import score_video_prefixes
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT

DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def load_scorer(
    model: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    quantization: str = "none",
    prompt: str | None = None,
    frame_size: tuple[int, int] | None = None,
    max_pairs: int = DEFAULT_LIMIT,
    attention: str = "sdpa",
    streaming: bool = True,
    fixed_shapes: bool | None = None,
    rehearse: bool = False,
    sessions: int = 1,
) -> VideoScorer:
    """Loads a model.

    Args:
        model: a hub id (`@<revision>` pins a branch, tag or commit), a checkpoint directory,
            `demo`, or `random:<directory>` for random weights from that directory's config.json.
        device: `auto` (a GPU where there is one), `cpu`, `cuda` or `cuda:<n>`.
        dtype: `auto` (bfloat16 on a GPU, float32 on a CPU), or one of `DTYPES`.
        quantization: `int8` or `nf4`; `none`: the weights as the checkpoint holds them.
        prompt: a `PromptForm`; None: the checkpoint's own, else raw.
        frame_size: (height, width) px; None: the checkpoint's own, else the family's.
        max_pairs: units of frames kept at most, even; bounds memory and cost of an update.
        attention: `sdpa`, or `eager` for comparison.
        streaming: False recomputes every score from scratch, as a yardstick.
        fixed_shapes: run updates in fixed shapes, which a GPU replays as recorded CUDA graphs; what
            cannot be recorded runs as it comes, and the log says why. None: on a GPU.
        rehearse: run updates before the first episode, so that none of its readings waits for what
            a device does only once.
        sessions: episodes that may run at a time, each with caches of its own.

    Raises:
        ModelError: it cannot be loaded as asked; the message says why and what to do.
    """
    source = find_source(model)
    place = _find_device(device)
    number = _find_dtype(dtype, place)
    bits = Quantization(_one_of("quantization", quantization, [q.value for q in Quantization]))
    attention = ATTENTIONS[_one_of("attention", attention, list(ATTENTIONS))]
    settings = read_settings(source.directory)
    form = _one_of("prompt", prompt or settings.prompt_form.value, [f.value for f in PromptForm])
    with _quiet():
        with one_sentence(source, "config.json"):
            config = load_configuration(source.location, source.revision, attention)
            check_quantization(bits, number, source, config)
        family = FAMILIES[config.model_type]
        with one_sentence(source, "tokenizer's files"):
            tokenizer = _load_tokenizer(source)
        with one_sentence(source, "config.json or weights"):
            if source.random:
                for name, token in family.placeholders.items():
                    setattr(config, name, tokenizer.convert_tokens_to_ids(token))
            loaded = _load_model(source, family, config, place, number, bits, attention)
        with one_sentence(source):
            backbone_class = family.load_backbone_class()
            asked = Prompt(PromptForm(form), backbone_class.markup)
            size = frame_size or settings.frame_size or family.frame_size
            backbone = backbone_class(loaded, tokenizer, asked, size)
            if (backbone.prompt.form, backbone.frame_size) != settings.made_for(family.frame_size):
                settings = replace(settings, success_threshold=None)
            fixed = place.type == "cuda" if fixed_shapes is None else fixed_shapes
            scorer = LocalScorer(
                model,
                backbone,
                settings,
                max_pairs,
                streaming=streaming,
                fixed_shapes=fixed,
                sessions=sessions,
                number_format=_number_format(number, bits, config),
            )
            if rehearse:
                scorer.rehearse()
            return scorer


def score_prefixes(
    scorer: VideoScorer,
    frames: Sequence[NDArray[np.uint8]],
    stamps: Sequence[float],
    instruction: str,
    prefix_lengths: Sequence[int],
) -> NDArray[np.float64]:
    """Scores prefixes of a recorded episode: the same numbers as a session, far cheaper.

    Args:
        scorer: any; one that cannot score prefixes together scores them one after the other.
        frames: each (height, width, 3) uint8 RGB of the scorer's frame size.
        stamps: seconds since the episode's start, growing.
        instruction: the task.
        prefix_lengths: numbers of frames, each from 1 to len(frames), in any order.

    Returns:
        (len(prefix_lengths),) nats.

    Raises:
        ValueError: a prefix is empty or longer than the video.
    """
    if not prefix_lengths:
        return np.empty(0)
    if min(prefix_lengths) < 1 or max(prefix_lengths) > len(frames):
        raise ValueError(
            f"Prefixes must have 1 to {len(frames)} frames, the video's length; got "
            f"{min(prefix_lengths)} to {max(prefix_lengths)}."
        )
    units = max(prefix_lengths) // scorer.capabilities.frames_per_unit
    able = scorer.capabilities.kv_append and scorer.capabilities.rewind is Rewind.CROP
    together = isinstance(scorer, LocalScorer) and able
    if together and units < scorer.max_pairs:
        return score_video_prefixes(scorer.backbone, frames, stamps, instruction, prefix_lengths)
    session, scores = scorer.start(), {}
    for count, (frame, stamp) in enumerate(zip(frames, stamps, strict=True), start=1):
        session.append(frame, stamp)
        if count in prefix_lengths:
            scores[count] = session.log_prob(instruction)
    return np.array([scores[length] for length in prefix_lengths])


def _number_format(
    number: torch.dtype, quantization: Quantization, config: transformers.PreTrainedConfig
) -> str:
    words = [str(number).removeprefix("torch.")]
    if form := stored_form(config):
        words.append(str(form))
    elif quantization is not Quantization.NONE:
        words.append(quantization.value)
    return " ".join(words)


def _find_device(device: str) -> torch.device:
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        place = torch.device(device)
    except RuntimeError:
        place = None
    if place is None or place.type not in ("cpu", "cuda"):
        raise ModelError(f"device is {device!r}; it must be auto, cpu, cuda or cuda:<number>.")
    if place.type == "cuda" and (place.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device is {device!r}, and this machine shows {torch.cuda.device_count()} CUDA "
            "devices to PyTorch; set device to cpu or auto, or install a driver and a CUDA build "
            "of PyTorch."
        )
    return place


def _find_dtype(dtype: str, device: torch.device) -> torch.dtype:
    if dtype == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return DTYPES[_one_of("dtype", dtype, ["auto", *DTYPES])]


def _one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    if value not in allowed:
        raise ModelError(f"{name} is {value!r}; it must be one of {', '.join(allowed)}.")
    return value


def _load_tokenizer(source: Source) -> PreTrainedTokenizerBase:
    directory = source.directory
    if source.random and directory and not (directory / "tokenizer.json").is_file():
        # A bare configuration brings no tokenizer; random weights give words no meaning anyway.
        return AutoTokenizer.from_pretrained(DEMO_DIRECTORY, trust_remote_code=False)
    return AutoTokenizer.from_pretrained(
        source.location, revision=source.revision, trust_remote_code=False
    )


def _load_model(
    source: Source,
    family: Family,
    config: transformers.PreTrainedConfig,
    device: torch.device,
    dtype: torch.dtype,
    quantization: Quantization,
    attention: str,
) -> PreTrainedModel:
    architecture: type[PreTrainedModel] = getattr(transformers, family.architecture)
    if dtype is torch.float64:
        # Grouped matrix products of experts know no float64.
        config._experts_implementation = "eager"
    check_size(source, architecture, config, dtype, device)
    if source.random:
        return _random_model(architecture, config, device, dtype, attention)
    form = Quantization.NONE if stored_form(config) else quantization
    model, info = architecture.from_pretrained(
        source.location,
        revision=source.revision,
        config=config,
        dtype=dtype,
        device_map={"": device},
        attn_implementation=attention,
        quantization_config=quantization_config(form, dtype, family.unquantized),
        # They are named below; transformers would only point to a report in its log.
        ignore_mismatched_sizes=True,
        use_safetensors=True,
        trust_remote_code=False,
        output_loading_info=True,
    )
    wrong = sorted([*info["missing_keys"], *(key[0] for key in info["mismatched_keys"])])
    if wrong:
        raise ModelError(
            f"The checkpoint {source.location} lacks {len(wrong)} tensors of its architecture, "
            f"{wrong[0]} for one, or has them in another shape; fetch the model again."
        )
    keep_streaming(model, dtype)
    return model.eval()


def _random_model(
    architecture: type[PreTrainedModel],
    config: transformers.PreTrainedConfig,
    device: torch.device,
    dtype: torch.dtype,
    attention: str,
) -> PreTrainedModel:
    with torch.random.fork_rng(), torch.device(device):
        torch.manual_seed(0)
        model = architecture._from_config(config, dtype=dtype, attn_implementation=attention)
    return model.eval()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps progress bars and advice of transformers out of a node's log while it loads."""
    level = transformers.logging.get_verbosity()
    transformers.logging.set_verbosity(logging.ERROR)
    transformers.logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers.logging.set_verbosity(level)
