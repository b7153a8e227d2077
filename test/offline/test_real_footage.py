"""Real clips go through whole; what the demo model says of them is no claim of success."""

from __future__ import annotations

import numpy as np
import pytest
from repository import DATA

from topreward_ros.episode_settings import EpisodeSettings
from topreward_ros.method.success import SuccessSettings
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.offline.labels import recorded_frames, score_recording
from topreward_ros.video.intake import IntakeSettings
from topreward_ros.video.recordings.opening import open_recording

FOOTAGE = DATA / "footage"
TASK = "put the red cube on the white disc"


@pytest.fixture(scope="module")
def scorer():
    return load_scorer("demo", device="cpu")


@pytest.mark.parametrize("name", ["so101_red_block_up", "so101_red_block_side"])
@pytest.mark.slow
def test_every_frame_of_a_real_clip_is_read_and_no_success_is_claimed(scorer, name):
    recording = open_recording(FOOTAGE / f"{name}.mp4")
    settings = EpisodeSettings(success=SuccessSettings(threshold=scorer.success_threshold))
    every = IntakeSettings(sample_rate=scorer.sample_rate, motion_threshold=None)
    readings = list(score_recording(scorer, recording, TASK, settings, every))
    frames = list(recorded_frames(recording, every, scorer.frame_size))
    assert len(readings) == len(frames) == readings[-1].frames
    assert abs(len(readings) - scorer.sample_rate * recording.duration) <= 1
    log_probs = np.array([reading.log_prob for reading in readings])
    assert np.isfinite(log_probs).all() and (log_probs <= 0).all()
    assert not any(reading.success for reading in readings)
