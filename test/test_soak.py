"""A short soak: an episode of every kind and a few more, none lost, doubled or unaccounted for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from reward_stack import write_checkpoint

sys.path.insert(0, str(Path(__file__).parent.parent / "benchmarks"))
import soak


@pytest.mark.slow
def test_no_episode_of_a_soak_is_lost_doubled_or_ended_for_another_reason(tmp_path):
    model = write_checkpoint(tmp_path / "random")
    figures = soak.run(14, seed=1, model=model, log=tmp_path)
    assert figures.passed, soak.summary(figures)
    assert figures.episodes >= 14 and len(figures.reasons) >= 8
