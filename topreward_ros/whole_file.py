"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_whole(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """Gives a path beside `path`, of the same suffix, to write to; at the end it takes its place.

    What fails meanwhile, as on a full disk, leaves `path` as it was, and nothing beside it; what a
    killed process has left there goes. Where nothing was written, `path` stays too.

    Args:
        path: the file.
        durable: wait until it is on disk. What a process has handed over survives its own end
            without that, and not the machine's.
    """
    _clear(path)
    beside = path.with_name(f".{path.stem}.{os.getpid()}.part{path.suffix}")
    try:
        yield beside
        if beside.exists():
            if durable:
                flush(beside)
            beside.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise


def _clear(path: Path) -> None:
    stem, suffix = glob.escape(path.stem), glob.escape(path.suffix)
    for left in path.parent.glob(f".{stem}.*.part{suffix}"):
        process = left.name.removesuffix(f".part{path.suffix}").rpartition(".")[2]
        if process.isdecimal() and not _runs(int(process)):
            left.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def flush(path: Path) -> None:
    """Returns when a file is on disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
