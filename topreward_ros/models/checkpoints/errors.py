"""Whatever loading raises, as one sentence that names the model and says what to do."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import torch

from topreward_ros.models.checkpoints.sources import Source
from topreward_ros.models.contract import ModelError

LONGEST_REASON = 400
"""Characters of another library's text that are passed on."""


@contextlib.contextmanager
def one_sentence(source: Source, part: str = "") -> Iterator[None]:
    """Turns whatever loading raises into one sentence.

    Args:
        source: what is being loaded.
        part: which of its files are being read; "" where this package's own checks speak.

    Raises:
        ModelError: in place of any exception.
    """
    try:
        yield
    except ModelError:
        raise
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise ModelError(
            f"{source.name} does not fit the memory of the device; set quantization to int8 or "
            "nf4, or take a smaller model."
        ) from error
    except Exception as error:  # a damaged file makes libraries raise anything
        reason = reason_of(error)
        if _tells_what_to_do(error, source, part):
            raise ModelError(f"{source.name} cannot be loaded: {reason}.") from error
        raise ModelError(
            f"{source.name} cannot be loaded, because its {part or 'files'} cannot be used "
            f"({reason}); see whether the checkpoint is whole, or fetch it again."
        ) from error


def reason_of(error: Exception) -> str:
    """Returns an exception's text in one line of bounded length, without a full stop."""
    text = "" if isinstance(error, KeyError) else str(error)  # of a key alone nobody gets wise
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [repr(error)]
    joined = lines[0]
    for line in lines[1:]:
        new = line[0].isupper() and joined[-1] not in ".,:;!?"
        joined += f"; {line}" if new else f" {line}"
    if len(joined) > LONGEST_REASON:
        return joined[: LONGEST_REASON - 1].rstrip() + "…"
    return joined.rstrip(".")


def _tells_what_to_do(error: Exception, source: Source, part: str) -> bool:
    """Says whether the text is about something else than damaged files."""
    if isinstance(error, OSError):
        return source.directory is None  # a hub that cannot be reached
    own_check = not part and isinstance(error, ValueError | RuntimeError)
    of_device = isinstance(error, RuntimeError) and "CUDA" in str(error)
    return own_check or of_device or isinstance(error, ImportError)
