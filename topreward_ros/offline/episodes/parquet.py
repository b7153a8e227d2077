"""Parquet files, read by pyarrow; what is wrong with one is said in a sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from topreward_ros.offline.episodes.recorded_episode import SourceError
from topreward_ros.video.recordings.recording import one_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import pyarrow


def read_parquet(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    where: list[tuple[str, str, Any]] | None = None,
) -> pyarrow.Table:
    """Reads columns of a parquet file.

    Args:
        path: the file.
        columns: those that must be there.
        optional: those that are read where they are there.
        where: conditions that rows must fulfil, as pyarrow has them; None: all rows.

    Raises:
        SourceError: the extra packages are missing, or the file is, or it is damaged, was not
            closed, or lacks a column.
    """
    parquet = _library()
    try:
        names = parquet.read_schema(path).names
        missing = [name for name in columns if name not in names]
        if missing:
            raise SourceError(
                f"{path} has no column {missing[0]!r}; it has {', '.join(names)}. The data set is "
                "damaged, or of a version that is not known."
            )
        wanted = [*columns, *(name for name in optional if name in names)]
        return parquet.read_table(path, columns=wanted, filters=where)
    except FileNotFoundError:
        raise SourceError(
            f"{path} is missing, and the data set names it; fetch it again."
        ) from None
    except (OSError, ValueError) as error:  # pyarrow's own are of these kinds
        if isinstance(error, SourceError):
            raise
        raise SourceError(_damaged(path, error)) from error


def _damaged(path: Path, error: Exception) -> str:
    if "footer" in str(error) or "magic bytes" in str(error):
        return (
            f"{path} has no footer: whoever wrote it did not close it (LeRobotDataset.finalize() "
            "does), or it was cut; record or fetch it again."
        )
    return f"{path} cannot be read as a parquet file; it is damaged: {one_line(error)}."


def _library() -> Any:
    try:
        import pyarrow.parquet as parquet
    except ImportError as error:
        raise SourceError(
            "Data sets are read with pyarrow, which is not installed; "
            "pip install 'topreward_ros[datasets]' brings it."
        ) from error
    return parquet
