"""The model's side: streaming against recompute, flatness, prefixes, peers, host overhead."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks import flatness
from benchmarks.baselines import Evaluation
from benchmarks.models import MIDSIZE, TASK, WIDE, random_scorer, random_video
from benchmarks.results import Results
from benchmarks.timing import in_turns, timed
from topreward_ros.method.progress import prefix_lengths
from topreward_ros.models.checkpoints.loading import score_prefixes
from topreward_ros.models.scorer import LocalScorer
from topreward_ros.models.streaming.recompute import RecomputeSession
from topreward_ros.models.streaming.thinning import DEFAULT_LIMIT

SIZE = (224, 224)
FLATNESS = (
    ("145 M", MIDSIZE, DEFAULT_LIMIT, "<= 1.3"),
    ("width of the 8B", WIDE, DEFAULT_LIMIT, "<= 1.3"),
    ("145 M", MIDSIZE, 512, ""),
)
"""Model, pairs kept at most (512 are never reached, and the cache grows with the episode), goal."""
ALL_PAIRS = 128
"""Pairs kept at most where nothing is to be dropped: twice those of the longest episode."""
STATEMENTS = [f"the gripper holds the cube number {number} above the table" for number in range(8)]
STATEMENT_COUNTS = (1, 2, 4, 8)
LAST_GOALS = {64: ">= 13", 128: ">= 25"}
PREFIX_GOALS = {16: ">= 6", 32: ">= 10"}


def measure(results: Results, *, quick: bool = False) -> None:
    """Takes minutes on two cores; `quick` shows only that everything runs."""
    scorer = random_scorer(MIDSIZE, device="cpu", frame_size=SIZE, max_pairs=ALL_PAIRS)
    parameters = sum(weight.numel() for weight in scorer.backbone.model.parameters())
    results.add("model", "parameters", parameters / 1e6, "M")
    for frames in (8,) if quick else (8, 16, 32, 64, 128):
        streaming_against_recompute(results, scorer, frames)
    for count in (4,) if quick else (16, 32):
        prefixes_against_naive(results, scorer, 8 if quick else 64, count)
    peers(results, scorer, 8 if quick else 45)
    statements_beside_the_task(results, scorer, 2 if quick else 8)
    host_overhead(results, scorer, 4 if quick else 16)
    for name, config, bound, goal in FLATNESS:
        kept = random_scorer(config, device="cpu", frame_size=SIZE, max_pairs=4 if quick else bound)
        flatness.measure(results, name, kept, 16 if quick else 256, goal)


def streaming_against_recompute(results: Results, scorer: LocalScorer, frames: int) -> None:
    """One reading per pair of frames; the last one alone, and the whole episode."""
    video, stamps = random_video(frames, scorer.frame_size)
    session = scorer.start()
    yardstick = RecomputeSession(scorer.backbone, scorer.max_pairs)
    taken: dict[str, list[float]] = {"streaming": [], "recompute": []}
    worst = 0.0
    for index in range(0, frames, 2):
        for each in (session, yardstick):
            each.append(video[index], stamps[index])
            each.append(video[index + 1], stamps[index + 1])
        fast, score = timed(session.log_prob, TASK)
        slow, expected = timed(yardstick.log_prob, TASK)
        taken["streaming"].append(fast)
        taken["recompute"].append(slow)
        worst = max(worst, abs(score - expected))
    last = _last_update(scorer, video, stamps)
    group = f"(a) {frames} frames"
    results.add(group, "last update, recompute / streaming", last, "x", LAST_GOALS.get(frames, ""))
    whole = sum(taken["recompute"]) / sum(taken["streaming"])
    results.add(group, "whole episode, recompute / streaming", whole, "x")
    results.add(group, "largest difference", worst, "nat", "<= 1e-5")


def _last_update(scorer: LocalScorer, video: np.ndarray, stamps: list[float]) -> float:
    """Ratio of the last update's times, both ways in turns, medians of several."""
    fast, slow = [], []
    for _ in range(5):
        session, yardstick = scorer.start(), RecomputeSession(scorer.backbone, scorer.max_pairs)
        for frame, stamp in zip(video[:-2], stamps[:-2], strict=True):
            session.append(frame, stamp)
            yardstick.append(frame, stamp)
        session.log_prob(TASK)
        for frame, stamp in zip(video[-2:], stamps[-2:], strict=True):
            session.append(frame, stamp)
            yardstick.append(frame, stamp)
        fast.append(timed(session.log_prob, TASK)[0])
        slow.append(timed(yardstick.log_prob, TASK)[0])
    return statistics.median(slow) / statistics.median(fast)


def peers(results: Results, scorer: LocalScorer, frames: int) -> None:
    """15 prefixes of one episode, as peers evaluate them and by `score_prefixes`."""
    video, stamps = random_video(frames, scorer.frame_size)
    lengths = prefix_lengths(frames).tolist()
    theirs = Evaluation(scorer.backbone, video, stamps, TASK, lengths)
    taken = in_turns(
        {
            "ours": lambda: score_prefixes(scorer, video, stamps, TASK, lengths),
            "LeRobot-style, last 16 frames": theirs.last_frames,
            "LeRobot-style, true prefixes": theirs.full_prefixes,
            "authors-style, cached prefixes": theirs.cached_prefixes,
        }
    )
    group = f"(b) {len(lengths)} prefixes of {frames} frames"
    for name in list(taken)[1:]:
        results.add(group, f"{name} / score_prefixes", taken[name] / taken["ours"], "x")


def prefixes_against_naive(
    results: Results, scorer: LocalScorer, frames: int, prefixes: int
) -> None:
    """Prefixes together against one full forward each, at two spacings.

    Evenly spaced, each of them ends with a pair of frames. The authors' spacing starts at one
    frame, so about half of them end in the midst of a pair, which has to be encoded for them alone.
    """
    even = np.linspace(0, frames, prefixes + 1)[1:].round().astype(int).tolist()
    spacings = {"": even, ", spaced as the authors'": prefix_lengths(frames, prefixes).tolist()}
    video, stamps = random_video(frames, scorer.frame_size)
    for spacing, lengths in spacings.items():
        naive = Evaluation(scorer.backbone, video, stamps, TASK, lengths).full_prefixes
        together = partial(score_prefixes, scorer, video, stamps, TASK, lengths)
        taken = in_turns({"together": together, "naive": naive}, rounds=2)
        group = f"(d) {prefixes} prefixes of {frames} frames{spacing}"
        goal = "" if spacing else PREFIX_GOALS.get(prefixes, "")
        results.add(group, "naive / score_prefixes", taken["naive"] / taken["together"], "x", goal)


def statements_beside_the_task(results: Results, scorer: LocalScorer, pairs: int) -> None:
    """An episode that is asked so many more questions at each pair, against the task alone."""
    video, stamps = random_video(2 * pairs, scorer.frame_size)
    last: dict[str, float] = {}

    def play(texts: list[str]) -> None:
        session = scorer.start()
        for index in range(0, 2 * pairs, 2):
            session.append(video[index], stamps[index])
            session.append(video[index + 1], stamps[index + 1])
            scores = session.log_probs(texts)
        last[texts[-1]] = float(scores[-1])

    beside = {count: [TASK, *STATEMENTS[:count]] for count in (0, *STATEMENT_COUNTS)}
    plays = {str(count): partial(play, texts) for count, texts in beside.items()}
    taken = in_turns(plays, rounds=2)
    group = f"(f) statements, {2 * pairs} frames"
    for count in STATEMENT_COUNTS:
        results.add(group, f"{count} beside the task / none", taken[str(count)] / taken["0"], "x")
    asked_beside = dict(last)
    for count in STATEMENT_COUNTS:
        play(beside[count][-1:])
    worst = max(abs(last[text] - asked_beside[text]) for text in last)
    results.add(group, "largest difference to one asked alone", worst, "nat", "<= 1e-5")


def host_overhead(results: Results, scorer: LocalScorer, pairs: int) -> None:
    """What an update costs beside the vision tower, the language model and the output layer."""
    video, stamps = random_video(2 * pairs, scorer.frame_size)
    backbone, inside = scorer.backbone, []

    def watched(method: str) -> Callable[..., object]:
        original = getattr(backbone, method)

        def call(*args: object) -> object:
            taken, value = timed(original, *args)
            inside.append(taken)
            return value

        return call

    methods = ("unit", "hidden", "answer")
    for method in methods:
        setattr(backbone, method, watched(method))
    session, beside = scorer.start(), []
    with torch.inference_mode():
        for index in range(0, 2 * pairs, 2):
            session.append(video[index], stamps[index])
            session.append(video[index + 1], stamps[index + 1])
            inside.clear()
            whole, _ = timed(session.log_prob, TASK)
            beside.append(whole - sum(inside))
    for method in methods:
        delattr(backbone, method)
    results.add("(e) host", "an update beside the model", 1e3 * statistics.median(beside), "ms")
