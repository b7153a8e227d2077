"""What a recording is known by, wherever it lies and whatever it is called: its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from topreward_ros.method.recording_identity import part_identity
from topreward_ros.video.recordings.bag_part import WHOLE, BagPart
from topreward_ros.video.recordings.recording import BAG_SUFFIXES

CHUNK = 1 << 20
"""Bytes read at once."""
DIGEST_SIZE = 16
"""Bytes of a digest."""


def recording_digest(path: Path, part: BagPart = WHOLE) -> str:
    """Returns what two recordings share only if their data are the same: hexadecimal digits.

    Args:
        path: rosbag2 directory, of which only the files with messages count, or a file.
        part: of a bag; its start and end are added to the digits (see `part_identity`).

    Raises:
        OSError: it cannot be read.
    """
    files = [file for file in path.rglob("*") if _holds_messages(file)] if path.is_dir() else [path]
    whole = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for digest in sorted(map(_file_digest, files)):
        whole.update(digest)
    digest = whole.hexdigest()
    return digest if part == WHOLE else part_identity(digest, part.start, part.end)


def _holds_messages(file: Path) -> bool:
    # Among the suffixes, not the last one: a bag's files may be compressed.
    return file.is_file() and any(suffix in BAG_SUFFIXES for suffix in file.suffixes)


def _file_digest(file: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
