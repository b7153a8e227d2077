"""The demo's two worlds are apart, and what is drawn from them is what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tools.make_demo import LEAST, SETS, Stopped, run
from tools.pieces import PIECE_MINUTES, SAY_EVERY, Piece
from tools.simulation.instructions import COLOURS
from tools.simulation.scene_look import APART, random_look
from tools.simulation.surfaces import PATTERNS, SIZE, paint
from tools.simulation.worlds import DISTANCE, HALF_HEIGHT, TEST, TRAINING, WORLDS

RESERVED = range(770000, 780000)


def looks(world, count=150):
    places = np.random.default_rng(1).uniform([0.15, -0.1], [0.3, 0.1], (count, 2, 2))
    return [
        random_look(np.random.default_rng([seed, 4]), *places[seed], world) for seed in range(count)
    ]


def inside(value, ranges):
    return any(low <= value <= high for low, high in ranges)


def test_nothing_of_the_test_world_is_in_the_training_world():
    assert not set(TRAINING.surfaces) & set(TEST.surfaces)
    assert not set(TRAINING.things) & set(TEST.things)
    assert not set(TRAINING.thing_colours) & set(TEST.thing_colours)
    colours = [[*world.thing_colours.values()] for world in (TRAINING, TEST)]
    apart = np.linalg.norm(np.subtract(np.expand_dims(colours[0], 1), colours[1]), axis=2)
    assert apart.min() > 0.2
    for name in ("azimuths", "elevations"):
        for low, high in getattr(TRAINING, name):
            assert all(high < other[0] or other[1] < low for other in getattr(TEST, name))
    assert {*TRAINING.surfaces, *TEST.surfaces} == set(PATTERNS)


@pytest.mark.parametrize("world", WORLDS.values(), ids=WORLDS)
def test_every_look_is_of_its_world(world):
    drawn = looks(world)
    for look in drawn:
        surfaces = [one for one in (look.floor, look.table, look.wall) if one is not None]
        assert {one.family for one in surfaces} <= set(world.surfaces)
        assert {one.shape for one in look.things} <= set(world.things)
        assert inside(look.azimuth, world.azimuths) and inside(look.elevation, world.elevations)
        assert DISTANCE[0] <= look.distance <= DISTANCE[1]
        half = look.distance * np.tan(np.radians(look.view) / 2)
        assert HALF_HEIGHT[0] <= half <= HALF_HEIGHT[1]
        used = [COLOURS[n] for n in (look.cube, look.disc, look.other_cube, look.other_disc)]
        for colour in (colour for one in surfaces for colour in one.colours):
            assert min(np.linalg.norm(np.subtract(colour, one)) for one in used) >= APART
        assert look.cube != look.other_cube and look.disc != look.other_disc
        places = [look.goal_xy, look.other_disc_xy, look.other_cube_xy]
        for thing in look.things:
            assert min(np.linalg.norm(np.subtract(thing.xy, one)) for one in places) > 0.05
    assert {look.floor.family for look in drawn} == set(world.surfaces)
    assert {thing.shape for look in drawn for thing in look.things} == set(world.things)
    assert any(look.cube == look.disc for look in drawn), "tasks of one colour"
    assert {look.wall is None for look in drawn} == {look.table is None for look in drawn}


def test_places_and_colours_are_the_same_in_both_worlds():
    for one, other in zip(looks(TRAINING, 20), looks(TEST, 20), strict=True):
        assert one.instruction == other.instruction
        assert one.other_disc_xy == other.other_disc_xy
        assert (one.light, one.distance) == (other.light, other.distance)


def test_a_seed_makes_the_same_look_again():
    assert looks(TEST, 5) == looks(TEST, 5)


@pytest.mark.parametrize("family", PATTERNS)
def test_a_texture_has_both_colours_and_is_made_again_by_its_seed(family):
    colours = (np.array([0.9, 0.1, 0.1]), np.array([0.1, 0.1, 0.9]))
    painted = paint(family, colours, np.random.default_rng(3))
    assert painted.shape == (SIZE, SIZE, 3) and painted.dtype == np.uint8
    assert (painted == paint(family, colours, np.random.default_rng(3))).all()
    if family != "plain":
        assert np.ptp(painted[..., 2].astype(int)) > 60


def test_no_seed_is_in_two_sets_and_none_is_reserved():
    seen = [
        seed for one in SETS.values() for seed in range(one.first_seed, one.first_seed + one.count)
    ]
    assert len(seen) == len(set(seen)) and not set(seen) & set(RESERVED)
    assert SETS["held_out_test"].world == "test" and SETS["held_out_test"].count >= 400
    assert all(one.world == "training" for name, one in SETS.items() if name != "held_out_test")
    assert min(one.count for one in SETS.values()) >= LEAST


def test_a_piece_says_how_long_is_left_and_when_it_is_over():
    now, said = [0.0], []
    piece = Piece(2.0, "train", clock=lambda: now[0], say=said.append)
    piece.tell(100, 200, 100, "episodes")
    assert said == ["train: 100 of 200 episodes"], (
        "what former pieces did tells nothing of the pace"
    )
    now[0] = SAY_EVERY - 1
    piece.tell(105, 200, 100, "episodes")
    assert len(said) == 1
    now[0] = 60.0
    piece.tell(110, 200, 100, "episodes")
    assert said[-1] == "train: 110 of 200 episodes, 9 min left"
    assert not piece.over and piece.minutes_left == 1.0
    now[0] = 121.0
    assert piece.over and piece.minutes_left == 0.0
    assert PIECE_MINUTES < 120


def test_a_tool_that_is_not_done_stops_the_making_and_one_that_fails_ends_it(tmp_path, monkeypatch):
    package = tmp_path / "tools"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "half.py").write_text("import sys; sys.exit(75)")
    (package / "broken.py").write_text("import sys; sys.exit(3)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(Path(tmp_path)))
    with pytest.raises(Stopped):
        run("half")
    with pytest.raises(SystemExit, match="broken failed"):
        run("broken")
