"""What Prometheus is told of the replicas, in its text format."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

METRICS = "/metrics"
_TOLD = {
    "updates": ("counter", "Updates that were scored"),
    "resends_asked": ("counter", "Updates whose video was not there, and was asked for"),
    "videos_restored": ("counter", "Videos that came as a whole"),
    "given_up": ("counter", "Videos that were given up for another robot's"),
    "model_seconds": ("counter", "Seconds that the model took"),
    "videos": ("gauge", "Videos that are held"),
    "process_id": ("gauge", "Process of the replica"),
    "sessions": ("gauge", "Videos that can be held"),
}


def exposition(replicas: Iterable[tuple[str, Mapping[str, float]]]) -> bytes:
    """Returns the text.

    Args:
        replicas: name and counts of each.
    """
    known = sorted(replicas)
    lines = []
    for name, (kind, words) in _TOLD.items():
        full = f"topreward_{name}" + ("_total" if kind == "counter" else "")
        lines += [f"# HELP {full} {words}.", f"# TYPE {full} {kind}"]
        lines += [
            f'{full}{{replica="{replica}"}} {counts[name]:.17g}'
            for replica, counts in known
            if name in counts
        ]
    return ("\n".join(lines) + "\n").encode()
