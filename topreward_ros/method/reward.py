"""Progress to a dense reward: the difference (live default) or the paper's clipped exponential.

The paper's form (arXiv 2602.19313, section 3) is `clip(tau * exp(s_k - s_(k-1)), 0, delta_max)`
with tau = delta_max = 2.0. With these constants every step that does not go back clips to 2.0, so
one bit is all it tells of progress; it serves weights for behaviour cloning (TOP-AWR subtracts the
data set's mean). Live, the difference is a potential-based shaping reward.
"""

from __future__ import annotations

import math
from enum import Enum

import numpy as np
from numpy.typing import ArrayLike, NDArray

TAU = 2.0
DELTA_MAX = 2.0


class RewardForm(str, Enum):
    """Named forms of the dense reward; the values are those of `RewardStamped.reward_form`."""

    DIFFERENCE = "difference"
    EXP_CLIP = "exp_clip"


class DenseReward:
    """The dense reward of one episode, reading by reading.

    The first reading has no predecessor and counts as a standstill: 0.0 in difference form,
    `min(tau, delta_max)` in the paper's. An unknown progress (NaN) gives an unknown reward, and the
    next known one is held against the last known one, so that differences still sum to the total.
    """

    def __init__(
        self,
        form: RewardForm | str = RewardForm.DIFFERENCE,
        tau: float = TAU,
        delta_max: float = DELTA_MAX,
    ) -> None:
        """Starts an episode.

        Args:
            form: which of the named forms.
            tau: factor before the exponential; only for `exp_clip`.
            delta_max: upper clip; only for `exp_clip`.

        Raises:
            ValueError: unknown form, or a constant that is not a positive number.
        """
        try:
            self.form = RewardForm(form)
        except ValueError:
            names = ", ".join(known.value for known in RewardForm)
            raise ValueError(f'Unknown reward form "{form}"; expected one of: {names}.') from None
        for name, value in (("tau", tau), ("delta_max", delta_max)):
            if not (math.isfinite(value) and value > 0.0):
                raise ValueError(f"The reward's {name} is {value}; expected a positive number.")
        self._tau = tau
        self._delta_max = delta_max
        self._previous = math.nan

    def step(self, progress: float) -> float:
        """Reward of the next reading.

        Args:
            progress: 0..1, NaN when unknown.

        Returns:
            The reward, without unit; NaN when the progress is unknown.
        """
        if math.isnan(progress):
            return math.nan
        change = 0.0 if math.isnan(self._previous) else progress - self._previous
        self._previous = progress
        if self.form is RewardForm.DIFFERENCE:
            return change
        return min(max(self._tau * math.exp(change), 0.0), self._delta_max)


def dense_rewards(
    progress: ArrayLike, form: RewardForm | str = RewardForm.EXP_CLIP
) -> NDArray[np.float64]:
    """Rewards of a whole episode, with the paper's constants.

    Args:
        progress: (K,) progress in time order.
        form: the paper's form by default, as offline use (TOP-AWR) wants it.

    Returns:
        (K,) rewards; the first one is a standstill's.
    """
    reward = DenseReward(form)
    return np.array(
        [reward.step(float(value)) for value in np.asarray(progress, dtype=np.float64)],
        dtype=np.float64,
    )
