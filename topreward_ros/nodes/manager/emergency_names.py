"""Which names are those of emergency stops.

An emergency stop is for danger and needs people to release it; it is no way to end an episode.
"""

from __future__ import annotations

import re

_STOP = r"(?:stop|halt)"
_DANGER = r"(?:emergency|emerg|emg|em|e|protective|safeguard|safety|safe|panic)"
_MAKE = r"(?:hardware|hard|hw|software|soft|sw|robot|arm|remote|wireless|main|global|system)"
# After what is no letter: "episode_stop", "release_stop" and "system/stop" are ordinary names.
_EMERGENCY = re.compile(
    r"emergency"
    rf"|(?<![a-z])(?:{_MAKE}_?)?{_DANGER}_?{_STOP}"
    rf"|(?<![a-z]){_STOP}_?{_DANGER}(?![a-z])"
    r"|kill_?switch"
    r"|(?<![a-z])dead_?man(?:stop|switch|halt|(?![a-z]))"
)


def is_emergency_stop(name: str) -> bool:
    """Says whether a name (of a service, topic or controller) or a text is an emergency stop's.

    Words are told apart by capitals and by whatever is neither letter nor digit, a slash too.
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name)
    return _EMERGENCY.search(re.sub(r"[^a-z0-9]+", "_", words.lower())) is not None
