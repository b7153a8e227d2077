"""What of a bag lies on disk: judged before it is opened, so that a refusal names its reason."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topreward_ros.small_files import FileRefused, load_yaml, read_small
from topreward_ros.video.recordings.recording import BAG_SUFFIXES, RecordingError, one_line
from topreward_ros.video.recordings.unfolding import check_file

if TYPE_CHECKING:
    from pathlib import Path

METADATA = "metadata.yaml"
NEWEST_METADATA = 9
"""Version that the reader knows, of ROS 2 Jazzy and later."""
_LARGEST_METADATA = 2**23
_ROS1_SUFFIX, _ROS1_START = ".bag", b"#ROSBAG V"
_PACKED_SUFFIX = ".zstd"


def is_bag_file(path: Path) -> bool:
    """Says whether a file is a bag by its name, of whatever kind; else it may be a video."""
    return path.suffix == _ROS1_SUFFIX or _holds_messages(path)


def storage(path: Path) -> Path:
    """Returns what to open: a bag's directory, or its only file if the index file is missing.

    Raises:
        RecordingError: it is no bag that can be read as a whole.
    """
    if path.is_file():
        _refuse_other_kind(path)
        return path
    if (path / METADATA).exists():
        _check_directory(path)
        return path
    files = [file for file in sorted(path.iterdir()) if is_bag_file(file)]
    if len(files) != 1:
        raise RecordingError(
            f"{path} is no rosbag2: it has no {METADATA} and {len(files)} .mcap or .db3 files; "
            "expected a directory as `ros2 bag record` makes it."
        )
    _refuse_other_kind(files[0])
    return files[0]


def _holds_messages(path: Path) -> bool:
    return path.suffix in BAG_SUFFIXES or _is_packed(path)


def _is_packed(path: Path) -> bool:
    return path.suffix == _PACKED_SUFFIX and path.with_suffix("").suffix in BAG_SUFFIXES


def _refuse_other_kind(file: Path) -> None:
    with file.open("rb") as opened:
        start = opened.read(len(_ROS1_START))
    if file.suffix == _ROS1_SUFFIX or start == _ROS1_START:
        raise RecordingError(
            f"{file} is a bag of ROS 1; expected one of ROS 2: convert it "
            f"(rosbags-convert --src {file.name} --dst {file.stem})."
        )
    if _is_packed(file):
        raise RecordingError(
            f"{file} is compressed as a whole file; expected the bag's directory with its "
            f"{METADATA}, or the file unpacked (zstd -d {file.name})."
        )


def _check_directory(path: Path) -> None:
    """Raises RecordingError where the metadata are not those of all files, or not known."""
    said = _metadata(path / METADATA)
    version = said.get("version")
    if not isinstance(version, int) or version > NEWEST_METADATA:
        raise RecordingError(
            f"{path}: {METADATA} has the version {version}; expected 1 to {NEWEST_METADATA}: "
            "convert the bag where it was recorded (`ros2 bag convert`), or delete the file where "
            "the bag has a single .mcap or .db3 file."
        )
    listed = said.get("relative_file_paths")
    if not isinstance(listed, list) or not all(isinstance(name, str) for name in listed):
        raise RecordingError(
            f"{path}: {METADATA} lists no files; `ros2 bag reindex` writes it anew."
        )
    names = {name.replace("\\", "/").rpartition("/")[2] for name in listed}
    there = {file.name for file in path.iterdir() if _holds_messages(file)}
    if names - there:
        raise RecordingError(
            f"{path} lacks {_some(names - there)}, which its {METADATA} lists: the bag was copied "
            "in part; expected all of its files."
        )
    if {name.removesuffix(_PACKED_SUFFIX) for name in there - names} - {
        name.removesuffix(_PACKED_SUFFIX) for name in names
    }:
        raise RecordingError(
            f"{path} holds {_some(there - names)}, which its {METADATA} does not list, so that "
            "they would be left out; `ros2 bag reindex` writes it anew, or put them elsewhere."
        )
    for name in sorted(filter(lambda name: _is_packed(path / name), names)):
        try:
            check_file(path / name)
        except Exception as error:  # the decompressor's errors have no common kind
            raise RecordingError(f"{path} cannot be unpacked: {one_line(error)}.") from error


def _metadata(file: Path) -> dict[str, Any]:
    try:
        text = read_small(file, largest=_LARGEST_METADATA)
        said = load_yaml(  # profiles of many publishers are long, splits of a day are many
            text, longest=_LARGEST_METADATA, most=_LARGEST_METADATA
        )
    except FileRefused as error:
        raise RecordingError(
            f"{file} cannot be read: {error}; `ros2 bag reindex` writes it anew."
        ) from None
    inner = said.get("rosbag2_bagfile_information") if isinstance(said, dict) else None
    if not isinstance(inner, dict):
        raise RecordingError(
            f"{file} holds no rosbag2_bagfile_information; `ros2 bag reindex` writes it anew."
        )
    return inner


def _some(names: set[str]) -> str:
    """Names the first three."""
    first = ", ".join(sorted(names)[:3])
    return first if len(names) <= 3 else f"{first} and {len(names) - 3} more"
