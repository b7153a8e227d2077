"""What a recording is known by, wherever it lies and whatever it is called: its bytes."""

from __future__ import annotations

import hashlib
from pathlib import Path

from topreward_ros.video.bag_part import WHOLE, BagPart
from topreward_ros.video.recording import BAG_SUFFIXES

CHUNK = 1 << 20
"""Bytes read at once."""
DIGEST_SIZE = 16
"""Bytes of a digest."""


def recording_digest(path: Path, part: BagPart = WHOLE) -> str:
    """Returns hexadecimal digits that two recordings share only if their data are the same.

    Args:
        path: rosbag2 directory, of which only the files with messages count, or a file.
        part: of a bag; another part is another recording.

    Raises:
        OSError: it cannot be read.
    """
    files = [file for file in path.rglob("*") if _holds_messages(file)] if path.is_dir() else [path]
    whole = hashlib.blake2b(digest_size=DIGEST_SIZE)
    for digest in sorted(map(_file_digest, files)):
        whole.update(digest)
    if part != WHOLE:
        whole.update(repr(part).encode())
    return whole.hexdigest()


def _holds_messages(file: Path) -> bool:
    # Among the suffixes, not the last one: a bag's files may be compressed.
    return file.is_file() and any(suffix in BAG_SUFFIXES for suffix in file.suffixes)


def _file_digest(file: Path) -> bytes:
    digest = hashlib.blake2b(digest_size=DIGEST_SIZE)
    with file.open("rb") as content:
        while chunk := content.read(CHUNK):
            digest.update(chunk)
    return digest.digest()
