"""Whether a success that the reward node has claimed is still true when the manager acts on it.

The node's flag is latched: it stays true when the score falls again. Whoever waits before acting,
for a minimum duration of its own, must not stop a robot on what was true then.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from topreward_msgs.msg import RewardStamped
from topreward_ros.method.success import TIME_TOLERANCE, SuccessSettings


@dataclass
class SuccessClaim:
    """Follows one episode's readings.

    Attributes:
        hold: s of camera time for which the score must be above the threshold again after it fell;
            the reward node's `success_hold`.
    """

    hold: float = SuccessSettings().hold
    _next: int = field(default=0, init=False)
    _claimed: bool = field(default=False, init=False)
    _above_since: float = field(default=math.nan, init=False)
    _unbroken: bool = field(default=False, init=False)

    def take(self, reading: RewardStamped) -> bool:
        """Takes the next reading; says whether success is claimed and true at this one.

        A reading that was missed may have been below the threshold, and counts as such.
        """
        missed = reading.index != self._next
        if missed or not reading.success_score > reading.success_threshold:
            self._above_since, self._unbroken = math.nan, False
        if reading.success_score > reading.success_threshold:
            if math.isnan(self._above_since):
                self._above_since = reading.episode_time
            latched_now = reading.success and not self._claimed and not missed
            self._unbroken = self._unbroken or latched_now
        self._next, self._claimed = reading.index + 1, reading.success
        held = reading.episode_time - self._above_since + TIME_TOLERANCE >= self.hold
        return reading.success and (self._unbroken or held)
