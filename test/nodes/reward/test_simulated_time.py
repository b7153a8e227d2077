"""A simulator's time under `use_sim_time`: slow, fast, stopped, reset and leaping."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from manager_stack import ALWAYS
from reward_stack import START, image, stack
from rosgraph_msgs.msg import Clock

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.messages import time_message
from topreward_ros.video.image import stamp_seconds

pytestmark = pytest.mark.usefixtures("context")
STEP = 0.25
"""s of simulated time between two pictures."""


class Simulator:
    """Publishes /clock and pictures of its time."""

    def __init__(self, live) -> None:
        self.live = live
        self.now = START
        self._shown = 0
        self._clock = live.node.create_publisher(Clock, "/clock", 10)

    def tell(self) -> None:
        """Publishes the time of now."""
        self._clock.publish(Clock(clock=time_message(self.now)))

    def match(self) -> None:
        """Waits until the node hears the clock."""
        clock = self.live.reward_node.get_clock()

        def told() -> bool:
            self.tell()
            return clock.now().nanoseconds > 0

        self.live.wait(told)

    def run(self, seconds: float, rate: float) -> None:
        """Lets simulated time pass at `rate` times the real one, a picture every `STEP`."""
        begun, pictures = time.monotonic(), round(seconds / STEP)
        for index in range(pictures):
            due = begun + (index + 1) * STEP / rate
            self.now += STEP
            # The clock runs on between pictures.
            self.live.wait(lambda due=due: self.tell() or time.monotonic() >= due)
            self._shown += 1
            self.live.cameras[0].publish(image(self.now, seed=self._shown))
        self.wait(self.now - STEP)  # every second picture is a frame

    def step(self) -> None:
        """Shows the picture of half a second later, and waits for its reading."""
        self.now += 2 * STEP
        self.tell()
        clock, due = self.live.reward_node.get_clock(), (self.now - 1e-3) * 1e9
        self.live.wait(lambda: clock.now().nanoseconds >= due)
        self._shown += 1
        self.live.cameras[0].publish(image(self.now, seed=self._shown))
        self.wait(self.now)

    def wait(self, stamp: float) -> None:
        """Waits for a reading of that time, s, or a later one."""
        readings = self.live.readings
        self.live.wait(lambda: readings and stamp_seconds(readings[-1]) >= stamp - 1e-3)


@pytest.fixture
def simulator(model):
    settings = {"success_threshold": ALWAYS, "success_min_duration": 0.0, "success_hold": 1.0}
    with stack(model, use_sim_time=True, camera_timeout=1.5, **settings) as live:
        made = Simulator(live)
        made.match()
        live.up()
        yield made


@pytest.mark.parametrize("rate", [0.1, 1.0, 10.0])
def test_readings_keep_the_simulators_time_whatever_its_speed(model, rate):
    slow = {"camera_timeout": 60.0}
    with stack(model, use_sim_time=True, success_threshold=ALWAYS, **slow) as live:
        made = Simulator(live)
        made.match()
        live.up()
        made.run(1.5 if rate < 1 else 4.0, rate)
        assert not live.named("fault") and not live.named("stopped")
        times = [reading.episode_time for reading in live.readings]
        steps = [later - earlier for earlier, later in pairwise(times)]
        assert all(step == pytest.approx(0.5 * round(step / 0.5)) for step in steps)
        # A busy machine merges some into one reading.
        assert live.readings[-1].frames == 1 + round(times[-1] / 0.5)


def test_a_simulator_that_stops_is_a_lost_camera_until_it_goes_on_and_the_hold_goes_on(simulator):
    live = simulator.live
    simulator.run(3.0, 2.0)
    live.wait(lambda: live.named("fault"))  # by the steady clock: who watches is waiting
    assert live.named("fault")[0].termination_reason == EpisodeEvent.REASON_CAMERA_LOST
    simulator.run(2.0, 2.0)
    live.wait(lambda: live.named("recovered"))
    assert not live.named("stopped")
    assert live.readings[-1].episode_time == pytest.approx(4.5, abs=0.51)


def test_a_simulator_that_is_reset_ends_the_episode_once_and_another_begins(simulator):
    live = simulator.live
    simulator.run(3.0, 2.0)
    simulator.now = START - 100.0
    simulator.run(3.0, 2.0)
    live.wait(lambda: len(live.named("started")) == 2)
    (stopped,) = live.named("stopped")
    assert stopped.termination_reason == EpisodeEvent.REASON_CLOCK_JUMP
    assert live.readings[-1].episode_id == live.named("started")[1].episode_id


def test_a_clock_that_leaps_with_its_cameras_is_a_hole_and_no_success_spans_it(simulator):
    live = simulator.live
    for _ in range(3):
        simulator.step()
    assert not live.readings[-1].success
    simulator.now += 30.0
    simulator.step()
    assert not live.readings[-1].success, "the leap was taken for a hold"
    for _ in range(5):
        simulator.step()
    assert live.readings[-1].success
    assert not live.named("stopped")
