"""Runs one episode after another: images in, readings and events out.

Belongs to the executor's thread; the model's part is done by the scoring thread.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.impl.rcutils_logger import RcutilsLogger

from topreward_msgs.msg import EpisodeEvent
from topreward_ros.nodes.diagnostics import Latencies
from topreward_ros.nodes.messages import frame_header, reading_message
from topreward_ros.nodes.reward.camera_faults import CameraFaults
from topreward_ros.nodes.reward.episode_setup import episode_maker, intake_settings
from topreward_ros.nodes.reward.image_taking import Beside, ImageTaking
from topreward_ros.nodes.reward.live_episode import Equipment, LiveEpisode
from topreward_ros.nodes.reward.live_parameters import LiveParameters
from topreward_ros.nodes.reward.outputs import Outputs
from topreward_ros.nodes.reward.scoring_exchange import Failed, QueuedFrame, Scored
from topreward_ros.nodes.reward.scoring_thread import ScoringThread
from topreward_ros.nodes.reward.stall_faults import StallFaults
from topreward_ros.nodes.reward.statement_events import StatementEvents
from topreward_ros.video.image import stamp_seconds
from topreward_ros.video.intake import FrameIntake
from topreward_ros.video.selection import ClockJump


class EpisodeRunner:
    """Starts and ends episodes, and feeds the running one.

    Attributes:
        instruction: the task, "" as long as there is none.
        equipment: while the node is configured.
        episode: the running one.
        opened: whether episodes are to run: the node is active.
        statements: tells of them.
        halted: why none runs although they are to; "" if nothing is wrong.
        latencies: of the readings, from a frame's last message on.
        pictures: the part of them in which the frame's picture is made.
        overheads: what is left of them beside picture and model.
    """

    def __init__(
        self,
        outputs: Outputs,
        scoring: ScoringThread,
        log: RcutilsLogger,
        settings: LiveParameters,
        now: Callable[[], float | None],
        beside: Beside,
    ) -> None:
        """Starts without equipment.

        Args:
            outputs: where readings and events go.
            scoring: scores.
            log: for people.
            settings: the parameters.
            now: returns s by a clock that goes as fast as the cameras', or None.
            beside: decodes pictures.
        """
        self.instruction = ""
        self.equipment: Equipment | None = None
        self.episode: LiveEpisode | None = None
        self.opened = False
        self.halted = ""
        self.latencies, self.pictures, self.overheads = Latencies(), Latencies(), Latencies()
        self._outputs = outputs
        self._scoring = scoring
        self._log = log
        self._settings = settings
        self._now = now
        self._faults = CameraFaults(self._tell, log)
        self._stalls = StallFaults(self._tell, log)
        self.statements = StatementEvents(self._tell, log)
        self._images = ImageTaking(beside, log)

    def open(self) -> None:
        """Starts an episode, or waits for an instruction.

        Raises:
            ValueError: parameters contradict each other.
        """
        self.equipment.watch.restart(time.monotonic())
        self._begin()
        self.opened = True

    def close(self, reason: str, detail: str) -> bool:
        """Ends the running episode; says whether there was one."""
        was_running = self.episode is not None
        self.opened = False
        self.halted = ""
        self._end(reason, detail)
        return was_running

    def reset(self) -> str:
        """Starts anew in place; returns a sentence.

        Raises:
            ValueError: parameters contradict each other.
        """
        self.equipment.watch.restart(time.monotonic())
        self._end(EpisodeEvent.REASON_RESET, "A reset was asked for.")
        self._begin()
        if self.episode is None:
            return "An episode starts as soon as there is an instruction."
        return f"Episode {self.episode.episode_id} has started."

    def take_instruction(self, text: str) -> None:
        """Asks about another task from now on.

        Args:
            text: valid, or "" to ask about none.
        """
        if text == self.instruction:
            return
        former, self.instruction = self.instruction, text
        self._log.info(f'The instruction is "{text}", it was "{former}".')
        if not self.opened or self.halted:
            return
        if self.episode is None:
            self._begin_or_halt()
        elif not text:
            self._restart(EpisodeEvent.REASON_STOPPED, "The instruction was taken away.")
        elif self.equipment.calibration is not None:
            # Another task has another threshold, floor and ceiling.
            self._restart(EpisodeEvent.REASON_INSTRUCTION_CHANGED, "The instruction was changed.")
        else:
            self.episode.baseline = self._scoring.set_instruction(text)
            self._outputs.no_success()

    def note_parameter(self, name: str, value: Any) -> None:
        """Tells of a parameter that was set while an episode runs which does not take it."""
        if self.episode is not None and (detail := self.episode.keeps(name, value)):
            self._log.warning(detail)
            self._tell(EpisodeEvent.CHANGED, "", detail)

    async def on_image(self, topic: str, message: Any) -> None:
        """Takes in an image message of a camera; the one before has been taken in."""
        arrived = self._now()
        now = time.monotonic()
        episode, equipment = self.episode, self.equipment
        try:
            stamp = stamp_seconds(message)
            frame = await self._images.frame(
                episode, equipment.watch, topic, stamp, message, arrived
            )
        except ClockJump as error:
            await self._on_clock_jump(str(error), topic, message)
            return
        except ValueError as error:
            self._images.refuse(equipment.watch, topic, str(error))
            return
        if self.episode is not episode or self.equipment is not equipment:
            return  # that has ended while the picture was decoded
        if self.equipment.watch.heard(topic, now) and self.opened:
            self._faults.heard_again(topic)
        if frame is not None:
            header = frame_header(frame.stamp, frame.frame_id, message.header)
            made = time.monotonic()
            seen = not frame.frozen
            self._queue(QueuedFrame(frame.image, frame.stamp, now, made, header, seen))
            self._faults.shown(self.equipment.watch, frame.frozen)

    def on_results(self) -> None:
        """Publishes what the scoring thread has laid out."""
        if self.equipment is not None:
            self.watch_server()  # before a reading, or an end, that it explains
        for result in self._scoring.collect():
            if self.episode is None or result.episode_id != self.episode.episode_id:
                continue  # of an episode that has ended meanwhile
            if isinstance(result, Failed):
                self._on_failure(result)
            elif result.baseline == self.episode.baseline:
                self._publish(result)

    def watch_server(self) -> None:
        """Tells that the model's server went away, or that it is back; once each."""
        health = self.equipment.scorer.health
        for news in health.news() if health else ():
            if news.lost:
                self._log.error(news.detail)
            else:
                self._log.info(news.detail)
            if self.episode is not None:
                event = EpisodeEvent.FAULT if news.lost else EpisodeEvent.RECOVERED
                self._tell(event, EpisodeEvent.REASON_MODEL_ERROR, news.detail)

    def watch_cameras(self, problems: dict[str, str], conflicts: dict[str, str]) -> None:
        """Looks for cameras that have gone silent, and for topics with several publishers.

        Args:
            problems: by camera, what is known to be wrong with its topic.
            conflicts: by camera, who publishes on its topic, where that are several.
        """
        if self.opened:
            timeout = self._settings.read().camera_timeout
            self._faults.watch(self.equipment.watch, problems, conflicts, timeout)

    def _begin(self) -> None:
        self.halted = ""
        self.episode = None
        self._outputs.no_success()
        if not self.instruction:
            self._log.warning("Waiting for an instruction on task_instruction.")
            return
        parameters, scorer = self._settings.take(), self.equipment.scorer
        make, warning = episode_maker(
            parameters, scorer, self.equipment.calibration, self.instruction
        )
        intake = FrameIntake(
            parameters.cameras, intake_settings(parameters, scorer), scorer.frame_size
        )
        self.episode = LiveEpisode(intake, time.monotonic(), parameters, warning)
        self._scoring.start(self.episode.episode_id, make)
        if warning:
            self._log.warning(warning)
        self.statements.introduce(parameters, self.equipment)
        self._tell(EpisodeEvent.STARTED)

    def _end(self, reason: str, detail: str) -> None:
        self.on_results()
        if self.episode is not None:  # else a result that was waiting has ended it
            self._scoring.stop()
            self._tell(EpisodeEvent.STOPPED, reason, detail)
            self.episode = None

    def _restart(self, reason: str, detail: str) -> None:
        self._end(reason, detail)
        self._begin_or_halt()

    def _begin_or_halt(self) -> None:
        try:
            self._begin()
        except ValueError as error:
            self._halt("", str(error))

    def _halt(self, reason: str, detail: str) -> None:
        self._log.error(f"{detail} No episode runs now; ~/reset starts another.")
        self._end(reason, detail)
        self.halted = detail

    def _tell(self, event: str, reason: str = "", detail: str = "") -> None:
        self._outputs.event(event, self.episode, self.instruction, reason, detail)

    async def _on_clock_jump(self, detail: str, topic: str, message: Any) -> None:
        if not self.episode.intake.selected:
            # No frame was taken yet: one camera went back before the others.
            self.episode.intake.reset()
        elif self._settings.read().on_clock_jump == "stop":
            self._halt(EpisodeEvent.REASON_CLOCK_JUMP, detail)
            return
        else:
            self._log.warning(detail)
            self._restart(EpisodeEvent.REASON_CLOCK_JUMP, detail)
        await self.on_image(topic, message)

    def _queue(self, frame: QueuedFrame) -> None:
        size = self.episode.parameters.inbox_size
        if not self._scoring.add(frame, size):
            self._halt(
                EpisodeEvent.REASON_MODEL_ERROR,
                f"Scoring is {size} frames behind, all that inbox_size allows; lower sample_rate, "
                "take a smaller model, or see whether its device hangs.",
            )

    def _publish(self, result: Scored) -> None:
        newest = result.newest
        latency, picture = time.monotonic() - newest.arrived, newest.made - newest.arrived
        self.episode.last = reading_message(
            result.reading,
            header=newest.header,
            episode_id=result.episode_id,
            model=self.equipment.scorer.name,
            latency=latency,
            pending_frames=self._scoring.pending,
        )
        self.latencies.add(latency)
        self.pictures.add(picture)
        self.overheads.add(latency - picture - result.reading.model_time)
        self._outputs.reading(self.episode.last, result.reading.statements)
        self._stalls.take(self.episode, result.reading)
        self.statements.take(self.episode, result.reading)

    def _on_failure(self, failure: Failed) -> None:
        if issubclass(failure.kind, ClockJump):
            self._halt(EpisodeEvent.REASON_CLOCK_JUMP, failure.message)
            return
        self._log.error(failure.trace)
        self._halt(
            EpisodeEvent.REASON_MODEL_ERROR,
            f"Scoring failed with {failure.kind.__name__}: {failure.message}",
        )
