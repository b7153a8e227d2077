"""Where the success threshold that a model brings along holds.

It was measured at the model's own rate and motion gate, with the default window. At 10 Hz the three
readings of that window cover 0.2 s instead of 1 s, and a video with other gaps has other log-probs:
what was a rare false stop may then be a common one.
"""

from __future__ import annotations

from dataclasses import dataclass

from topreward_ros.method.success import SuccessSettings


@dataclass(frozen=True)
class OwnThreshold:
    """A model's own threshold, with what it was made for.

    Attributes:
        value: nat; None: the model brings none.
        sample_rate: frames per second.
        motion_threshold: grey levels of the motion gate; None: every frame counted.
    """

    value: float | None
    sample_rate: float
    motion_threshold: float | None = None

    def here(
        self, sample_rate: float, window: int, motion_threshold: float | None = None
    ) -> tuple[float | None, str]:
        """Says what is left of it under other settings.

        Args:
            sample_rate: frames per second that are scored.
            window: readings in the success score.
            motion_threshold: grey levels of the motion gate; None: off.

        Returns:
            The threshold, or None where it does not hold; and one sentence on why not, or "".
        """
        differences = []
        if sample_rate != self.sample_rate:
            differences.append(f"the sample rate was {self.sample_rate:g}, now {sample_rate:g}")
        if window != SuccessSettings.window:
            differences.append(f"the success window was {SuccessSettings.window}, now {window}")
        if motion_threshold != self.motion_threshold:
            was, now = map(_gate, (self.motion_threshold, motion_threshold))
            differences.append(f"the motion gate was {was}, now {now}")
        if self.value is None or not differences:
            return self.value, ""
        return None, (
            f"The model's own success threshold of {self.value:g} nat does not hold here "
            f"({'; '.join(differences)}), so success is not claimed: set a threshold, calibrate, "
            "or go back to those settings."
        )


def _gate(motion_threshold: float | None) -> str:
    return "off" if motion_threshold is None else f"{motion_threshold:g} grey levels"
