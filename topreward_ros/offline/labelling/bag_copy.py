"""A bag that is written as a copy of another: its notes, its topics, and the types of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rosbags.interfaces import MessageDefinitionFormat
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

from topreward_ros.offline.message_types import message_types
from topreward_ros.video.recordings.recording import RecordingError, one_line

if TYPE_CHECKING:
    from pathlib import Path

    from rosbags.interfaces import Connection


def open_copy(target: Path, notes: Mapping[str, str]) -> Writer:
    """Returns what writes an mcap bag whose chunks are compressed.

    Args:
        target: directory that is not there yet.
        notes: what its metadata note, by name.
    """
    writer = Writer(target, version=9, storage_plugin=StoragePlugin.MCAP)
    writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    for name, value in notes.items():
        writer.set_custom_data(name, value)
    return writer


def announce_copies(
    writer: Writer, source: Path, connections: Sequence[Connection]
) -> dict[int, Connection]:
    """Announces an original's topics; returns the new connection of each old one's id.

    Raises:
        RecordingError: the definition of a type is missing, or cannot be read.
    """
    made: dict[tuple[str, str, str], Connection] = {}
    copies = {}
    for one in connections:
        key = (one.topic, one.msgtype, repr(one.ext))
        if key not in made:
            text, digest = _definition(source, one)
            made[key] = writer.add_connection(
                one.topic,
                one.msgtype,
                msgdef=text,
                rihs01=digest,
                serialization_format=one.ext.serialization_format,
                offered_qos_profiles=one.ext.offered_qos_profiles,
            )
        copies[one.id] = made[key]
    return copies


def _definition(source: Path, connection: Connection) -> tuple[str, str]:
    """Returns a type's text and hash; older bags hold neither, and some only the text."""
    known, name = message_types(), connection.msgtype
    if connection.msgdef.format is MessageDefinitionFormat.NONE:
        if name not in known.fielddefs:
            raise RecordingError(
                f"{source} does not hold the definition of {name} ({connection.topic}), which a "
                "copy needs; convert it to mcap where that type is installed (`ros2 bag convert`)."
            )
        return known.generate_msgdef(name, ros_version=2)[0], known.hash_rihs01(name)
    text = connection.msgdef.data
    if connection.digest:
        return text, connection.digest
    try:
        store = get_typestore(Stores.EMPTY)
        store.register(get_types_from_msg(text, name))
        return text, store.hash_rihs01(name)
    except Exception as error:  # whatever the text is
        raise RecordingError(
            f"{source}: the definition of {name} cannot be read ({one_line(error)})."
        ) from error
