"""One bag as a source of the episodes that its events, or nothing but its ends, delimit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NoReturn

from topreward_ros.offline.episodes.bag_events import AT_ONCE, EventSpan, read_events
from topreward_ros.offline.episodes.clock_jumps import cut_at_jumps
from topreward_ros.offline.episodes.recorded_episode import (
    BagPlace,
    EpisodeSource,
    RecordedEpisode,
)
from topreward_ros.printable import printable
from topreward_ros.video.recordings.bag import IMAGE_TYPES, Bag
from topreward_ros.video.recordings.bag_messages import raw_messages, read_index
from topreward_ros.video.recordings.bag_part import BagPart
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

PROMPT = "lerobot.operator_prompt"
"""Name under which rosetta's recorder notes the task in a bag's metadata."""


class BagEpisodes(EpisodeSource):
    """A bag with the events of its episodes."""

    kind = "bag with episodes"

    def __init__(self, path: Path, spans: Sequence[EventSpan], nameless: int = 0) -> None:
        """Takes what `read_events` gives, of which there must be something."""
        super().__init__(path)
        first = _first_picture(path)
        over = [one for one in spans if one.before or one.end <= first]
        kept = [one for one in spans if one not in over]
        cut_at_jumps(path, kept, AT_ONCE)
        notes = [_past(path, len(over))] if over else []
        if nameless:
            notes.append(f"{path}: events without an episode_id are left out: {nameless}.")
        if judged := sum(one.judged for one in kept if one.success is None):
            notes.append(
                f"{path}: the outcome of {judged} episode(s) is what the model itself said "
                "(success, timeout, failure), and no label."
            )
        self._episodes = [_delimited(path, one, kept, notes) for one in kept]
        self.notes = tuple(notes)

    def __len__(self) -> int:
        """Number of episodes."""
        return len(self._episodes)

    def __iter__(self) -> Iterator[RecordedEpisode]:
        """Goes through the episodes in order of their starts."""
        return iter(self._episodes)


def refusal(text: str) -> Callable[[], NoReturn]:
    """Returns what stands for `open` of an episode that cannot be opened."""

    def refuse() -> NoReturn:
        raise RecordingError(text)

    return refuse


def whole_bag(path: Path, name: str) -> RecordedEpisode:
    """Returns a bag as one episode; its task is what rosetta's recorder noted, if that is there."""
    try:
        prompt = read_index(path).custom.get(PROMPT, "")
    except RecordingError:
        prompt = ""  # said when it is opened
    tasks = (prompt,) if prompt else ()
    return RecordedEpisode(name, tasks, partial(Bag, path), place=BagPlace(path))


def bag_episodes(path: Path) -> BagEpisodes | None:
    """Returns the episodes that a bag's events delimit; None where no episode is told of.

    Raises:
        RecordingError: the bag is damaged.
    """
    spans, nameless = read_events(path)
    source = BagEpisodes(path, spans, nameless) if spans else None
    return source if source else None


def _first_picture(path: Path) -> int:
    messages = raw_messages(path, lambda one: one.msgtype in IMAGE_TYPES)
    return next((received for _, received, _ in messages), 0)


def _delimited(
    path: Path, span: EventSpan, spans: Sequence[EventSpan], notes: list[str]
) -> RecordedEpisode:
    """Returns an episode; what is doubtful about its ends is noted, or said when it is opened."""
    name = printable(span.episode_id, 80)
    start, end, fault = span.begin, span.end, ""
    later = next((one for one in spans if one.begin > start), None)
    if span.stop is None:
        end = later.begin if later else end
        notes.append(
            f"{path}: the end of episode {name} was not recorded; it is cut where "
            f"{'the next one starts' if later else 'the bag ends'}."
        )
    elif span.stop <= (span.start or 0):
        fault = f"{path} tells of the end of episode {name} before its start."
    elif later and later.begin < end < later.begin + AT_ONCE:
        end = later.begin  # two nodes tell of the same moment
    if span.start is None:
        notes.append(
            f"{path}: the start of episode {name} was not recorded; it is cut where the bag starts."
        )
    elif span.late:
        notes.append(
            f"{path}: the start of episode {name} was told to the recorder {span.late:.1f} s late; "
            "it is taken from the episode's duration."
        )
    others = [one for one in spans if one is not span and _overlap(span, one)]
    if others and not fault:
        fault = (
            f"{path}: episode {name} overlaps with {printable(others[0].episode_id, 80)}, as of "
            "two robots in one bag, and events do not say whose cameras are whose; give start and "
            "end in a labels.csv, and --cameras."
        )
    part = BagPart(start, end)
    return RecordedEpisode(
        name=name,
        tasks=span.tasks,
        open=refusal(fault) if fault else partial(Bag, path, part),
        success=span.success,
        place=BagPlace(path, part),
        episode_id=span.episode_id,
    )


def _overlap(one: EventSpan, other: EventSpan) -> bool:
    """Whether both ran at a time, as far as their events say."""
    first, second = sorted((one, other), key=lambda span: (span.begin, span.end))
    return second.begin + AT_ONCE < first.end if first.stop is not None else False


def _past(path: Path, count: int) -> str:
    return f"{path}: episodes that were over before the recording began are left out: {count}."
