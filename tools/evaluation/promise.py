"""The demo model's threshold by the bound of `calibrate`: what is promised, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tools.evaluation.scored import Scored
from topreward_ros.method.calibrating import LabelledEpisode, calibrate
from topreward_ros.method.calibration import Calibration, ScoringSetup
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.success import SuccessSettings
from topreward_ros.method.verifying import verify
from topreward_ros.models.contract import VideoScorer

BOUND = FalseStopBound(rate=0.03, confidence=0.9)
"""What the threshold promises: of 180 failures, two may lie above it. At a rate of 0.02 none could,
and a single failure that looks like a success would set the threshold."""
TASK = "the episode's own task"
"""All instructions are one task: the promise is for their mix."""


def calibrated(
    scored: Sequence[Scored],
    scorer: VideoScorer,
    model: str,
    detector: SuccessSettings,
    bound: FalseStopBound = BOUND,
) -> Calibration:
    """Calibrates on a set of its own.

    Args:
        scored: its episodes, drawn like those that the promise is for.
        scorer: the model.
        model: its name.
        detector: as the live node has it.
        bound: the promise.

    Raises:
        CalibrationRefusedError: there are too few episodes for the promise, or the model does not
            see the task being done.
    """
    setup = ScoringSetup(
        model=model,
        fingerprint=scorer.fingerprint,
        prompt="raw",
        frame_size=scorer.frame_size,
        sample_rate=2.0,
        cameras=1,
        layout="row",
        camera_max_age=1.0,
        max_pairs=64,
        backend=scorer.backend.name,
        motion_threshold=scorer.motion_threshold,
    )
    return calibrate(_labelled(scored), setup, detector, bound)


def promise(calibration: Calibration, worlds: Mapping[str, Sequence[Scored]]) -> str:
    """What was promised and what came, in words for the card.

    Args:
        calibration: from `calibrated`.
        worlds: held-out episodes by the world's name.
    """
    (task,) = calibration.tasks
    lines = [
        f"The threshold is {task.threshold:.3f} nat. The bound of `calibrate` chose it on "
        f"{task.failures} failures and {task.successes} successes of a set of its own: with "
        f"{task.confidence:.0%} confidence, at most {task.false_stop_rate:.0%} of failures like "
        "those are called a success. What came:",
        "",
    ]
    for name, scored in worlds.items():
        if all(one.success for one in scored):
            lines.append(f"- {name}: no failure, so nothing can be said.")
            continue
        (came,) = verify(calibration, _labelled(scored))
        stopped, detected = came.false_stop_rate, came.detection_rate
        verdict = "contradicts" if came.contradicted else "does not contradict"
        found = "-" if detected is None else f"{detected.value:.1%} of {came.successes} successes"
        lines.append(
            f"- {name}: {stopped.value:.1%} [{stopped.low:.1%}, {stopped.high:.1%}] of "
            f"{came.failures} failures, which {verdict} the promise; detected {found}."
        )
    lines += ["", "The promise is for the world in which the threshold was chosen, no other."]
    return "\n".join(lines)


def _labelled(scored: Sequence[Scored]) -> list[LabelledEpisode]:
    return [
        LabelledEpisode(
            f"episode {number}",
            TASK,
            one.success,
            tuple(map(float, one.log_probs)),
            tuple(map(float, one.stamps)),
        )
        for number, one in enumerate(scored)
    ]
