"""A session that goes on with what another one has kept scores what that one would have scored."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from checkpoints import write_qwen3_vl
from family_checkpoints import SIZES, write_family

from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.streaming.kept_video import KeptVideo
from topreward_ros.models.streaming.thinning import Thinning, thinned

TASKS = ("open the drawer", "close it")
KEPT = 6
FRAMES = 44
"""Three thinnings of pairs, four of single frames."""
EVERY = {"qwen3_vl": 1}
"""Frames from one moment of restoring to the next; 3 for the others, which share the session."""
SAME = {"qwen3_5": 1e-5}
"""nat in float64, 1e-10 for the others; linear attention computes its state in float32."""


@pytest.fixture(
    scope="module", params=["qwen3_vl", "qwen3_vl fixed", "qwen3_5", "internvl", "molmo2"]
)
def scorer(request, tmp_path_factory):
    folder, family = tmp_path_factory.mktemp("family"), request.param
    own = family.startswith("qwen3_vl")
    model = write_qwen3_vl(folder) if own else write_family(family, folder)
    size = (32, 48) if own else SIZES[family]
    return load_scorer(
        str(model), device="cpu", dtype="float64", max_pairs=KEPT, frame_size=size, sessions=2,
        fixed_shapes=family.endswith(" fixed"),
    )  # fmt: skip


def video(scorer, frames: int = FRAMES):
    shape = (frames, *scorer.frame_size, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def keeping(scorer) -> KeptVideo:
    return KeptVideo(scorer.frame_size, scorer.capabilities.frames_per_unit, KEPT)


@pytest.mark.parametrize("limit", [4, 6, 8, 64])
def test_how_a_video_is_thinned_depends_on_its_length_alone(limit):
    step_by_step = Thinning(limit)
    for unit in range(20 * limit):
        assert thinned(unit, limit) == step_by_step
        step_by_step.take(unit)
    assert len(thinned(10**12, limit).kept) < limit  # at once


@pytest.mark.slow
def test_a_restored_session_goes_on_as_one_that_was_never_interrupted(scorer):
    frames, kept, whole = video(scorer), keeping(scorer), scorer.start()
    uninterrupted, saved = [], []
    family = scorer.backbone.model.config.model_type
    same = SAME.get(family, 1e-10)
    for index, frame in enumerate(frames):
        for one in (kept, whole):
            one.append(frame, index / 2)
        uninterrupted.append(whole.log_probs(TASKS))
        saved.append(kept.units())
    for moment in range(0, FRAMES, EVERY.get(family, 3)):
        session = scorer.start()
        session.restore(saved[moment], moment + 1)
        assert session.frames == moment + 1
        found = [session.log_probs(TASKS)]
        # Far enough to need what only the next thinning takes, but not from everywhere.
        for index in range(moment + 1, FRAMES if moment % 7 == 3 else min(moment + 3, FRAMES)):
            session.append(frames[index], index / 2)
            found.append(session.log_probs(TASKS))
            if index % 3:
                session.settle()
        difference = np.abs(np.array(found) - uninterrupted[moment : moment + len(found)])
        assert difference.max() <= same, f"restored after {moment + 1} frames"
        del session


@pytest.mark.slow
def test_kept_frames_as_if_they_were_all_is_another_video(scorer):
    """The mistake that `restore` is there for."""
    frames, kept, whole = video(scorer), keeping(scorer), scorer.start()
    for index, frame in enumerate(frames[:30]):
        for one in (kept, whole):
            one.append(frame, index / 2)
    session, differences = scorer.start(), []
    for unit in kept.units():
        for frame, stamp in zip(unit.frames, unit.stamps, strict=True):
            session.append(frame, stamp)
    for index, frame in enumerate(frames[30:], start=30):
        for one in (whole, session):
            one.append(frame, index / 2)
        differences.append(session.log_probs(TASKS) - whole.log_probs(TASKS))
    assert np.abs(differences).max() > 1e-3


def test_what_is_not_kept_of_such_a_video_is_refused(scorer):
    size, kept = scorer.capabilities.frames_per_unit, keeping(scorer)
    for index, frame in enumerate(video(scorer, 40)):
        kept.append(frame, index / 2)
    units = kept.units()
    wrong = dataclasses.replace(units[1], number=units[1].number + 1)
    wide = dataclasses.replace(units[0], frames=units[0].frames[:, :, :-1])
    back = dataclasses.replace(units[1], stamps=(0.0,) * size)
    for given, count, words in (
        (units, 39 * size, "not the units"),
        (units[1:], 40, "not the units"),
        ([units[0], wrong, *units[2:]], 40, "not the units"),
        ([wide, *units[1:]], 40, "Got a frame of shape"),
        ([units[0], back, *units[2:]], 40, "must grow"),
        ([], 0, "cannot go on"),
    ):
        with pytest.raises(ValueError, match=words):
            scorer.start().restore(given, count)
    begun = scorer.start()
    begun.append(units[0].frames[0], 0.0)
    with pytest.raises(ValueError, match="just begun"):
        begun.restore(units, 40)
