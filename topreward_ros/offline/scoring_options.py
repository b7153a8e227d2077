"""What decides scores and success, as options that the commands share.

Defaults are those of reward_node's parameters, so that a command scores as the node does.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from topreward_ros.method.calibration import ScoringSetup
from topreward_ros.method.prompt import PromptForm
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.loading import open_scorer
from topreward_ros.models.served.options import DEFAULT_PATIENCE
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT
from topreward_ros.video.intake import IntakeSettings

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.video.recordings.recording import Recording

WHOLE_HELP = "a bag is one episode, whatever episodes its events tell of"


def add_detector(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Adds window, hold and minimum duration; returns their group."""
    defaults = SuccessSettings()
    live = parser.add_argument_group("the detector, as reward_node will run it")
    live.add_argument(
        "--window", type=int, default=defaults.window, metavar="N",
        help="log-probs in the success score (default: %(default)s)",
    )  # fmt: skip
    add_number(live, "--hold", defaults.hold, "s that the score must stay above the threshold")
    add_number(live, "--min-duration", defaults.min_duration, "s before which no success counts")
    return live


def add_frames(parser: argparse.ArgumentParser) -> None:
    """Adds how messages become frames."""
    defaults = IntakeSettings()
    frames = parser.add_argument_group("frames, as reward_node will take them")
    frames.add_argument(
        "--cameras", nargs="+", metavar="TOPIC", help="image topics in layout order (default: all)"
    )
    frames.add_argument("--layout", default=defaults.layout.value, help="(default: %(default)s)")
    add_number(frames, "--camera-max-age", defaults.camera_max_age, "s between pictures of a frame")
    add_number(frames, "--sample-rate", 0.0, "frames per second; 0: the model's own")
    add_number(
        frames, "--motion-threshold", defaults.motion_threshold, "grey levels of the motion gate"
    )
    frames.add_argument(
        "--no-motion-gate",
        dest="motion_threshold",
        action="store_const",
        const=None,
        help="every frame counts, also where nothing moves",
    )
    frames.add_argument(
        "--no-frozen-check",
        dest="frozen_check",
        action="store_false",
        help="pictures that are equal bit for bit count as new ones, as a simulator sends them",
    )
    frames.add_argument(
        "--fps", type=float, metavar="X", help="of video files, instead of what they say"
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Adds which model is loaded, and how."""
    model = parser.add_argument_group("the model, as reward_node will load it")
    model.add_argument(
        "--model", default="Qwen/Qwen3-VL-8B-Instruct",
        help="demo, a hub id, a directory, or the address of a server, <engine>+http://<host>:<port>"
        " (default: %(default)s)",
    )  # fmt: skip
    model.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    model.add_argument("--dtype", default="auto", help="auto, float32, bfloat16 or float16")
    model.add_argument("--quantization", default="none", help="none, int8 or nf4")
    model.add_argument("--prompt-form", choices=[form.value for form in PromptForm])
    model.add_argument("--frame-size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"))
    model.add_argument(
        "--max-pairs", type=int, default=DEFAULT_LIMIT, metavar="N",
        help="pairs of frames kept at most, even (default: %(default)s)",
    )  # fmt: skip
    model.add_argument("--attention", default="sdpa", help="sdpa or eager")
    add_number(
        model, "--server-patience", DEFAULT_PATIENCE, "s that a question waits for a silent server"
    )


def add_number(group: argparse._ArgumentGroup, name: str, default: float, text: str) -> None:
    """Adds an option that is a number, with its default in its help."""
    group.add_argument(
        name, type=float, default=default, metavar="X", help=f"{text} (default: %(default)s)"
    )


def detector_settings(
    options: argparse.Namespace, threshold: float | None = None
) -> SuccessSettings:
    """Returns the detector that was asked for.

    Raises:
        SuccessError: it could never, or always, claim success.
    """
    return SuccessSettings(threshold, options.window, options.hold, options.min_duration)


def load_model(options: argparse.Namespace) -> VideoScorer:
    """Loads the model that was asked for.

    Raises:
        ModelError: it cannot be loaded so.
    """
    return open_scorer(
        options.model,
        device=options.device,
        dtype=options.dtype,
        quantization=options.quantization,
        prompt=options.prompt_form,
        frame_size=tuple(options.frame_size) if options.frame_size else None,
        max_pairs=options.max_pairs,
        patience=options.server_patience,
        attention=options.attention,
    )


def intake_settings(options: argparse.Namespace, scorer: VideoScorer) -> IntakeSettings:
    """Returns how messages become frames for a model.

    Raises:
        ValueError: an option is out of its range.
    """
    return IntakeSettings(
        sample_rate=options.sample_rate or scorer.sample_rate,
        camera_max_age=options.camera_max_age,
        layout=options.layout,
        motion_threshold=options.motion_threshold,
        frozen_check=options.frozen_check,
    )


def scoring_setup(
    scorer: VideoScorer, intake: IntakeSettings, options: argparse.Namespace, recording: Recording
) -> ScoringSetup:
    """Returns what a calibration is held against, where this recording is scored."""
    return ScoringSetup(
        model=scorer.name,
        fingerprint=scorer.fingerprint,
        backend=scorer.backend.name,
        prompt=scorer.prompt_form.value,
        frame_size=(int(scorer.frame_size[0]), int(scorer.frame_size[1])),
        sample_rate=intake.sample_rate,
        cameras=len(options.cameras or recording.topics),
        layout=intake.layout.value,
        camera_max_age=intake.camera_max_age,
        max_pairs=options.max_pairs,
        motion_threshold=intake.motion_threshold,
    )
