"""A checkpoint's configuration as text that is the same wherever and however it is loaded."""

from __future__ import annotations

import json
from typing import Any


def configuration_text(config: dict[str, Any]) -> str:
    """Returns JSON for a fingerprint; of `PreTrainedConfig.to_dict()`."""
    return json.dumps(_lasting(config), sort_keys=True, default=str)


def _lasting(config: object) -> object:
    """Leaves out of a configuration what depends on how and with what it was loaded."""
    if not isinstance(config, dict):
        return config
    return {
        key: _lasting(value)
        for key, value in config.items()
        if not str(key).startswith("_") and key not in ("dtype", "transformers_version")
    }
