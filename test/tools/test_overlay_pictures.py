"""The overlay of the demo episode is the one that docs/watching.md shows."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from repository import ROOT

from tools.overlay_pictures import overlay_pictures
from topreward_ros.models.checkpoints.loading import load_scorer

NAMES = ["overlay_running", "overlay_success"]
BAND = slice(320, None)
"""Rows in which the overlay is drawn."""
ALIKE = 2.0
"""Grey levels of mean difference; what fewer colours and another font renderer cost."""


@pytest.fixture(scope="module")
def drawn():
    return overlay_pictures(load_scorer("demo", device="cpu"), ROOT / "demo" / "success")


def shown(name):
    return np.asarray(Image.open(ROOT / "docs" / f"{name}.png").convert("RGB"))


def difference(one, other):
    return np.abs(one[BAND].astype(float) - other[BAND]).mean()


@pytest.mark.parametrize("name", NAMES)
def test_the_overlay_looks_as_in_the_readme(drawn, name):
    assert drawn[name].shape == shown(name).shape
    assert difference(drawn[name], shown(name)) < ALIKE
    assert f"({name}.png)" in (ROOT / "docs" / "watching.md").read_text()


def test_another_state_looks_otherwise(drawn):
    assert difference(drawn[NAMES[0]], shown(NAMES[1])) > 2 * ALIKE
    assert difference(drawn[NAMES[1]], shown(NAMES[0])) > 2 * ALIKE
