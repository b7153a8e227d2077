"""What `label --bag --recorded` does: copies of bags whose readings stand beside their pictures."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from topreward_ros.offline.episodes.bag_folder import bags_in
from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.offline.labelling.bag_output import (
    bag_topics,
    check_output,
    finish_copy,
    take_place,
)
from topreward_ros.offline.labelling.recorded_readings import move_readings
from topreward_ros.video.recordings.recording import RecordingError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable
    from pathlib import Path


def write_recorded(options: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Writes the copies; a bag becomes a bag, and a folder of them a folder.

    Args:
        options: of the command line.
        say: told everything that people should know, a sentence each.

    Returns:
        0; 1 where a bag of many was left out, which was said.

    Raises:
        ValueError, OSError: nothing can be written; one sentence.
    """
    source, output = options.source, options.bag.absolute()
    if not source.exists():
        raise SourceError(f"{source} does not exist.")
    many = bags_in(source) if source.is_dir() else []
    topics = bag_topics(options, "")
    check_output(many or [source], topics, options)
    if output.exists() and not options.overwrite:
        raise SourceError(f"{options.bag} is there already; name another, or give --overwrite.")
    partial = output.with_name(f"{output.name}.moving")  # .partial may hold labels
    shutil.rmtree(partial, ignore_errors=True)
    written = partial / "bags"
    written.mkdir(parents=True)
    try:
        failed = 0
        for bag in many or [source]:
            name = bag.name if many else output.name
            try:
                moved = move_readings(bag, partial / "writing" / name, topics)
            except (SourceError, RecordingError) as error:
                if not many:
                    raise
                say(f"{bag.name} is left out: {error}")
                failed += 1
                shutil.rmtree(partial / "writing", ignore_errors=True)
                continue
            finish_copy(partial / "writing" / name, written / name)
            _tell(bag, moved.readings, moved.left_out, say)
        if failed and failed == len(many):
            raise SourceError(f"None of {failed} bags could be written.")
        take_place(written if many else written / output.name, output, partial / "replaced")
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    say(f"Readings in {len(many or [source]) - failed} bag(s): {options.bag}")
    return 1 if failed else 0


def _tell(bag: Path, moved: int, left_out: int, say: Callable[[str], None]) -> None:
    without = f"; {left_out} are left out, as their pictures are not in it" if left_out else ""
    say(f"{bag.name}: {moved} recorded readings stand beside their pictures{without}.")
