"""Statements on one video have the log-probs that they have alone, and cost their questions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from checkpoints import write_qwen3_vl

from topreward_ros.episode import Episode
from topreward_ros.episode_settings import EpisodeSettings
from topreward_ros.method.statement_states import AskedStatement
from topreward_ros.method.statements import parse_statements
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.streaming import video_memory

SIZE = (32, 32)
TASK = "put the red cube on the disc"
STATEMENTS = parse_statements(
    [
        "grasped|stage|grasp the red cube",
        "placed|stage|let go of the cube on the green disc there",
        "dropped|failure|drop the cube",
    ]
)
ALWAYS = SuccessSettings(threshold=-1000.0, hold=1.0, min_duration=0.0)
EXACT = 1e-5


@pytest.fixture(scope="module")
def scorer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    return load_scorer(str(write_qwen3_vl(folder)), frame_size=SIZE, max_pairs=4)


def play(scorer, task, settings=None, count=30):
    """Readings of noise, over several thinnings of at most 4 pairs."""
    episode = Episode(scorer, task, settings)
    readings = []
    images = np.random.default_rng(0).integers(0, 256, (count, *SIZE, 3), dtype=np.uint8)
    for index, frame in enumerate(images):
        episode.add_frame(frame, index / 2)
        readings.append(episode.update())
        if index % 3:
            episode.settle()
    return readings


def together(scorer):
    asked = tuple(AskedStatement(one, ALWAYS) for one in STATEMENTS)
    return play(scorer, TASK, EpisodeSettings(statements=asked))


def worst(scorer, readings):
    """Largest difference of any statement, and the task, to an episode that asks it alone."""
    columns = [[one.log_prob for one in readings]]
    columns += [[r.statements.each[n].log_prob for r in readings] for n in range(len(STATEMENTS))]
    alone = [
        [one.log_prob for one in play(scorer, text)]
        for text in (TASK, *(one.text for one in STATEMENTS))
    ]
    return np.abs(np.array(columns) - np.array(alone)).max()


def test_each_statement_has_the_log_prob_it_has_alone_also_where_the_video_is_thinned(scorer):
    assert worst(scorer, together(scorer)) <= EXACT


def test_statements_that_see_each_other_would_be_found_out(scorer, monkeypatch):
    """The negative control: the mask that keeps them apart is taken away."""

    def open_mask(held, length, branches, dtype, device):
        rows = length + sum(one.length for one in branches)
        mask = torch.full((rows, held + rows), torch.finfo(dtype).min, dtype=dtype, device=device)
        return torch.triu(mask, diagonal=held + 1)[None, None]

    monkeypatch.setattr(video_memory, "branch_mask", open_mask)
    assert worst(scorer, together(scorer)) > 100 * EXACT


def test_statements_cost_one_step_of_the_language_model(scorer, monkeypatch):
    steps, hidden = [], scorer.backbone.hidden

    def counted(chunks, *rest):
        steps.append(sum(map(len, chunks)))
        return hidden(chunks, *rest)

    monkeypatch.setattr(scorer.backbone, "hidden", counted)
    play(scorer, TASK, count=1)
    alone = steps[-1]
    steps.clear()
    asked = tuple(AskedStatement(one, ALWAYS) for one in STATEMENTS)
    play(scorer, TASK, EpisodeSettings(statements=asked), count=1)
    questions = sum(len(scorer.backbone.suffix(one.text)) for one in STATEMENTS)
    assert steps == [alone + questions]
