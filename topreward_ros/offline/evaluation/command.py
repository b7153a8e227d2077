"""The command `evaluate`: recorded episodes in, a report on how well a model judges them out."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import Progress

from topreward_ros.commands import INTERRUPTED
from topreward_ros.episode_settings import task_settings
from topreward_ros.method.progress import DEFAULT_PREFIXES
from topreward_ros.method.reward import RewardForm
from topreward_ros.method.success import SuccessSettings
from topreward_ros.method.unknown_scores import unknown_scores
from topreward_ros.offline.episodes.opening import open_source
from topreward_ros.offline.episodes.recorded_episode import (
    EpisodeSource,
    RecordedEpisode,
    SourceError,
)
from topreward_ros.offline.evaluation.ablations import ABLATIONS, variants
from topreward_ros.offline.evaluation.controls import NAMES
from topreward_ros.offline.evaluation.evaluation import Evaluation, Variant
from topreward_ros.offline.evaluation.gvl import GvlSettings
from topreward_ros.offline.evaluation.markdown import markdown
from topreward_ros.offline.evaluation.plots import (
    draw_controls,
    draw_curves,
    draw_gvl,
    draw_matrix,
    draw_roc,
    draw_tasks,
)
from topreward_ros.offline.evaluation.scored_episode import ScoredEpisode
from topreward_ros.offline.evaluation.scoring import (
    EvaluationSettings,
    score_episode,
)
from topreward_ros.offline.evaluation.video import EpisodeVideo
from topreward_ros.offline.scoring_options import (
    WHOLE_HELP,
    add_detector,
    add_frames,
    add_model,
    detector_settings,
    intake_settings,
    load_model,
)
from topreward_ros.printable import PrintableParser, printable
from topreward_ros.whole_file import written_whole

if TYPE_CHECKING:
    from topreward_ros.models.contract import VideoScorer
    from topreward_ros.video.intake import IntakeSettings

DESCRIPTION = """\
Scores recorded episodes and writes a report: report.md with its pictures, and report.json with all
numbers. SOURCE is a LeRobot data set (v2.1 or v3.0), a folder with a labels.csv or a RoboReward
metadata.jsonl, a folder of bags, or one recording; of a bag, each episode that its events tell of.

VOC, ROC-AUC of success, people's grades and stages are told where the source has the labels for
them. Controls are videos that do not show the task being done: a model that merely counts time does
well on them too. An episode that cannot be scored is named and left out; the exit status is then 1.
"""
DRAWN = 8
"""Episodes in the picture of curves."""


def parse_arguments(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line; None: that of the process. Exits with status 2 where it is wrong."""
    parser = PrintableParser(
        "evaluate", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add, names = parser.add_argument, [name.replace(" ", "-") for name in NAMES]
    add("source", type=Path, help="recorded episodes; see above")
    add("--output", type=Path, default=Path("evaluation"), help="folder (default: %(default)s)")
    add("--instruction", help="the task of all episodes, instead of what the source says")
    add("--whole", action="store_true", help=WHOLE_HELP)
    add("--episodes", type=int, metavar="N", help="only the first N")
    add(
        "--controls", nargs="*", default=names, choices=names, metavar="NAME",
        help="(default: all: %(choices)s; give none to leave them out)",
    )  # fmt: skip
    add(
        "--prefixes", type=int, default=DEFAULT_PREFIXES, metavar="K",
        help="evenly spaced, of which VOC is, beside that of all; GVL is asked about the frames "
        "with which they end (default: the paper's %(default)s)",
    )  # fmt: skip
    add("--no-matrix", action="store_true", help="do not ask every instruction about every video")
    add(
        "--ablate", action="append", default=[], metavar="NAME=VALUE,VALUE",
        help=f"score once more for each value; one of {', '.join(ABLATIONS)}; may be repeated",
    )  # fmt: skip
    gvl = parser.add_argument_group("GVL, the baseline: the same model writes percentages")
    gvl.add_argument("--gvl", action="store_true", help="ask it too; takes much longer")
    gvl.add_argument(
        "--gvl-seed", type=int, default=GvlSettings.seed, metavar="N",
        help="of the order in which frames are shown, 0 or more (default: %(default)s)",
    )  # fmt: skip
    gvl.add_argument(
        "--gvl-tokens", type=int, default=GvlSettings.tokens, metavar="N",
        help="of an answer at most (default: %(default)s)",
    )  # fmt: skip
    live = add_detector(parser)
    live.add_argument(
        "--threshold", type=float, metavar="X",
        help="nat; default: the model's own, where that holds",
    )  # fmt: skip
    add_frames(parser)
    add_model(parser)
    parser.set_defaults(last=None)
    options = parser.parse_args(arguments)
    if options.prefixes < 2:
        parser.error(f"--prefixes is {options.prefixes}; VOC is of 2 or more")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Evaluates; returns 0, or 1 after a sentence on each thing that was wrong."""
    options = parse_arguments(arguments)
    try:
        return evaluate(options)
    except (ValueError, RuntimeError, OSError) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        _say("stopped, no report is written.")
        return INTERRUPTED


def evaluate(options: argparse.Namespace) -> int:
    """Scores all variants and writes the report; returns the exit status.

    Raises:
        ValueError, RuntimeError, OSError: source, model or options cannot be used; one sentence.
    """
    ways = variants(options, options.ablate)
    gvl = None
    if options.gvl:
        gvl = GvlSettings(options.gvl_seed, options.gvl_tokens, options.prefixes)
    source = open_source(options.source, options.fps, whole=options.whole)
    for note in source.notes:
        _say(note)
    episodes = _episodes(source, options)
    options.output.mkdir(parents=True, exist_ok=True)
    scored, videos = [], {}
    for name, way in ways:
        variant, seen = _score(name, way, episodes, None if scored else gvl, first=not scored)
        scored.append(variant)
        videos = videos or seen
    evaluation = Evaluation(
        f"{options.source.name} ({source.kind})",
        tuple(scored),
        {name: value for name, value in sorted(vars(options).items()) if name != "last"},
    )
    _write(evaluation, videos, options.output)
    return 1 if any(variant.failed for variant in scored) else 0


def _episodes(source: EpisodeSource, options: argparse.Namespace) -> list[RecordedEpisode]:
    found = list(source)[: options.episodes]
    if options.instruction:
        found = [replace(each, tasks=(options.instruction,)) for each in found]
    if not found:
        raise SourceError(f"{source.path} holds no episode.")
    return found


def _score(
    name: str,
    options: argparse.Namespace,
    episodes: Sequence[RecordedEpisode],
    gvl: GvlSettings | None,
    *,
    first: bool,
) -> tuple[Variant, dict[str, EpisodeVideo]]:
    scorer = load_model(options)
    intake = intake_settings(options, scorer)
    controls = tuple(one.replace("-", " ") for one in options.controls) if first else ()
    cameras = tuple(options.cameras) if options.cameras else None
    settings = EvaluationSettings(
        controls,
        first and not options.no_matrix,
        intake,
        cameras,
        options.last,
        gvl,
        options.prefixes,
    )
    instructions = list(dict.fromkeys(task for each in episodes for task in each.tasks))
    scored: list[ScoredEpisode] = []
    videos: dict[str, EpisodeVideo] = {}
    failed: list[str] = []
    started = time.monotonic()
    with Progress(*Progress.get_default_columns(), console=Console(stderr=True)) as progress:
        for each in progress.track(episodes, description=f"scoring, {name}"):
            try:
                one, video = score_episode(scorer, each, instructions, settings)
            except (ValueError, RuntimeError) as error:
                failed.append(f"{each.name}: {error}")
                _say(failed[-1])
                continue
            scored.append(one)
            if len(videos) < DRAWN:
                videos[one.name] = video
    if not scored:
        raise SourceError(f"None of {len(episodes)} episodes could be scored. {failed[0]}")
    minutes = (time.monotonic() - started) / 60.0
    detector = _detector(options, scorer, intake)
    seed = gvl.seed if gvl else None
    curves = [one.log_probs for one in scored]
    if unknown := unknown_scores(curves, censored=scorer.backend.censored):
        _say(unknown)
    variant = Variant(
        name, options.model, tuple(scored), detector, tuple(failed), minutes, seed, unknown
    )
    return variant, videos


def _detector(
    options: argparse.Namespace, scorer: VideoScorer, intake: IntakeSettings
) -> SuccessSettings:
    """Returns the detector that the live node would run, without a calibration."""
    asked = detector_settings(options, options.threshold)
    settings, warning = task_settings(scorer, intake, asked, RewardForm.DIFFERENCE, None, "")
    if warning:
        _say(warning)
    return settings.success


def _write(evaluation: Evaluation, videos: dict[str, EpisodeVideo], folder: Path) -> None:
    base = evaluation.variants[0]
    threshold = base.detector.threshold
    pictures: dict[str, Path] = {}

    def draw(title: str, name: str, act: Callable[[Path], object]) -> None:
        with written_whole(folder / name) as path:
            act(path)
            if path.exists():
                pictures[title] = folder / name

    shown = [(each, videos[each.name]) for each in base.episodes if each.name in videos]
    draw("Curves", "curves.png", partial(draw_curves, shown, threshold))
    draw("ROC", "roc.png", partial(draw_roc, base.episodes))
    if any(each.gvl for each, _ in shown):
        draw("Percentages of GVL", "gvl.png", partial(draw_gvl, [each for each, _ in shown]))
    tasks = evaluation.by_task(base)
    if len(tasks) > 1:
        draw("Tasks in figures", "tasks.png", partial(draw_tasks, tasks))
    if any(len(each.answers) > 1 for each in base.episodes):
        draw("Instructions against videos", "matrix.png", partial(draw_matrix, base.episodes))
    if any(each.controls for each in base.episodes):
        draw("Controls in time", "controls.png", partial(draw_controls, base.episodes))
    with written_whole(folder / "report.json") as path:
        path.write_text(json.dumps(evaluation.as_json(), indent=1, default=str))
    with written_whole(folder / "report.md") as path:
        path.write_text(markdown(evaluation, pictures))
    _say(f"the report is {folder / 'report.md'}")


def _say(text: str) -> None:
    print(printable(f"evaluate: {text}"), file=sys.stderr)
