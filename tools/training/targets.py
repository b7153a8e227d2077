"""What the demo model is taught to answer.

With True/False alone a small model learns the clock and not the scene. The simulation knows how
far each task has come at each frame, so each prefix of an episode under each instruction gets a
graded answer: the log-odds of ` True` rise with the progress that is visible, stay clearly below
the threshold until the environment's predicate holds, and then jump.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FLOOR = -9.0
"""Log-odds when nothing is done."""
NEARLY = -3.0
"""Log-odds just before it is done."""
DONE = 0.5
"""Log-odds at the first moment at which it is done."""
SURE = 3.0
"""Log-odds some seconds later."""
SPAN = SURE - FLOOR
HELD = FLOOR + 0.41 * (NEARLY - FLOOR)
"""From which on it is plain which cube is meant."""
NEAR = FLOOR + 0.62 * (NEARLY - FLOOR)
"""From which on it is plain which disc is meant."""
SETTLING = 1.2
"""Seconds in which the answer gets sure."""


def log_odds(progress: NDArray[np.float32], stamps: NDArray[np.float64]) -> NDArray[np.float32]:
    """Log-odds of ` True` to be taught.

    Args:
        progress: shape (T, instructions), from `task_progress`.
        stamps: of the frames in seconds, shape (T,).

    Returns:
        Shape (T, instructions).
    """
    target = FLOOR + (NEARLY - FLOOR) * progress
    since = np.full(progress.shape[1], np.nan)
    for index, now in enumerate(stamps):
        done = progress[index] >= 1.0
        since = np.where(done, np.where(np.isnan(since), now, since), np.nan)
        settled = DONE + (SURE - DONE) * (1.0 - np.exp(-(now - since) / SETTLING))
        target[index] = np.where(done, settled, target[index])
    return target.astype(np.float32)
