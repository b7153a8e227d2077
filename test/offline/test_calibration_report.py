"""What people are told of a calibration: warnings where its figures mislead, and a picture."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.figure import Figure

from topreward_ros.method.calibrating import LabelledEpisode, calibrate
from topreward_ros.method.calibration import Calibration, ScoringSetup
from topreward_ros.method.conformal import FalseStopBound
from topreward_ros.method.success import SuccessSettings
from topreward_ros.method.verifying import verify
from topreward_ros.offline.calibration_plot import calibration_figure
from topreward_ros.offline.calibration_report import calibration_lines, verification_lines

SETUP = ScoringSetup("model", "f" * 16, "native", (64, 64), 2.0, 1, "row", 0.5, 64, "local float32")
BOUND = FalseStopBound(0.1, 0.9)
FRAMES = 24


def episodes(
    successes: int = 8, *, high: float = -0.2, failures: float = -5.0, prefix: str = "put"
) -> list[LabelledEpisode]:
    """22 failures that stay low, one of them up to `failures`, and successes that end at `high`."""
    rng = np.random.default_rng(0)
    times = tuple(0.5 * index for index in range(FRAMES))
    made = []
    for number in range(22 + successes):
        success = number >= 22
        end = high if success else failures if number == 0 else -6.0
        curve = np.linspace(-7.0, end, FRAMES) - rng.random(FRAMES) * 0.1
        made.append(
            LabelledEpisode(
                f"{prefix}_{number}", f"{prefix} it", success, tuple(curve.tolist()), times
            )
        )
    return made


def calibrated(made: list[LabelledEpisode]) -> Calibration:
    return calibrate(made, SETUP, SuccessSettings(), BOUND)


def test_a_ceiling_below_the_threshold_is_warned_of():
    good = "\n".join(calibration_lines(calibrated(episodes())))
    assert "Warning" not in good
    bad = "\n".join(calibration_lines(calibrated(episodes(high=-3.0, failures=-1.0))))
    assert "the ceiling of progress" in bad and "below the threshold" in bad


def test_a_promise_that_is_kept_because_nothing_is_claimed_is_warned_of():
    reference = calibrated(episodes())
    fine = "\n".join(verification_lines(verify(reference, episodes(prefix="put"))))
    assert "not contradicted" in fine and "Warning" not in fine
    deaf = "\n".join(verification_lines(verify(reference, episodes(high=-5.5))))
    assert "not contradicted" in deaf
    assert "Warning: only 0.0% of these successes are detected" in deaf


@pytest.mark.parametrize("tasks", [1, 2])
def test_no_legend_hides_a_curve(tasks):
    made = [one for name in ("put", "fold")[:tasks] for one in episodes(prefix=name)]
    figure = calibration_figure(calibrated(made), made)
    assert isinstance(figure, Figure)
    figure.draw_without_rendering()
    assert len(figure.axes) == 3 * tasks
    for axes in figure.axes:
        legend = axes.get_legend().get_window_extent()
        assert not legend.overlaps(axes.get_window_extent())
        assert figure.bbox.y0 <= legend.y0 and legend.x1 <= figure.bbox.x1
        others = [other for other in figure.axes if other is not axes]
        assert not any(legend.overlaps(other.get_legend().get_window_extent()) for other in others)
