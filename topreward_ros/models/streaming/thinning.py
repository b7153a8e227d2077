"""Which units of a video are kept when it outgrows its memory.

At the limit every second unit goes and from then on every second new one is kept, so the kept
units always span the episode evenly from its start. A shadow of the thinned video is filled one
unit per commit from half occupancy on, so that the change over costs no update a burst; a session
that is settled fills it between its updates.
"""

from __future__ import annotations

from dataclasses import dataclass, field

DEFAULT_LIMIT = 64
"""Units: of pairs at 2 Hz, the whole of an episode's first minute, then every second one."""


@dataclass
class Thinning:
    """Bookkeeping of kept units, by their index in the episode.

    Attributes:
        limit: units kept at most; even, at least 4.
        stride: every `stride`-th unit is kept.
        kept: indices of the units in the main cache.
        shadow: indices of the units in the shadow cache.
    """

    limit: int
    stride: int = 1
    kept: list[int] = field(default_factory=list)
    shadow: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.limit < 4 or self.limit % 2:
            raise ValueError(f"max_pairs is {self.limit}; it must be an even number from 4 on.")

    def keeps(self, unit: int) -> bool:
        """Whether a unit goes into the cache, as opposed to being seen once and dropped."""
        return unit % self.stride == 0

    def lasts(self, unit: int) -> bool:
        """Whether a kept unit stays when the video is thinned the next time."""
        return unit % (2 * self.stride) == 0

    @property
    def full(self) -> bool:
        """Whether the next unit to keep needs `thin` first."""
        return len(self.kept) == self.limit - 1

    def keep(self, unit: int) -> None:
        """Notes a kept unit."""
        self.kept.append(unit)

    def thin(self) -> None:
        """Makes the shadow the video: every second unit goes, the stride doubles."""
        self.kept, self.shadow = self.shadow, []
        self.stride *= 2

    def take(self, unit: int) -> None:
        """Notes a complete unit, whether it is kept or not, and what its shadow takes then."""
        if self.keeps(unit):
            if self.full:
                self.thin()
            else:
                self.keep(unit)
            self.feed_shadow()

    def feed_shadow(self) -> int | None:
        """Returns the unit that the shadow takes in this step, if one is due.

        To be asked after each `keep` and each `thin`; asked again, it says None.
        """
        if len(self.shadow) > len(self.kept) - self.limit // 2:
            return None
        self.shadow.append(2 * self.stride * len(self.shadow))
        return self.shadow[-1]


def thinned(units: int, limit: int) -> Thinning:
    """Returns how a video of so many complete units is thinned."""
    thinning, unit = Thinning(limit), 0
    while unit < units:
        thinning.take(unit)
        unit = (unit // thinning.stride + 1) * thinning.stride
    return thinning
