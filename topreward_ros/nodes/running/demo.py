"""Plays a recorded episode on camera topics through the real reward node, and shows what it says.

Three processes on a graph of their own: reward_node, replay_node and this one, which watches them,
draws a live view, and leaves a film, a plot and a summary behind.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from topreward_ros.commands import INTERRUPTED
from topreward_ros.nodes.running.demo_episode import DemoError
from topreward_ros.nodes.running.demo_run import DemoRun
from topreward_ros.nodes.running.node_commands import package_directory
from topreward_ros.offline.report import EpisodeReport
from topreward_ros.offline.rerun_drawing import RerunMissing, load_rerun
from topreward_ros.printable import PrintableParser, printable

RANGE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
PROFILES = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE")
"""Where Fast DDS 2 and 3 look for their settings."""
MERGED = 0.6
"""Readings per frame below which the playback was too fast for the machine."""


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line; None: this process's."""
    parser = PrintableParser(prog="demo", description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--episode", default="success", help="success, failure, a bag or a video (%(default)s)")
    add("--instruction", default="", help="the task; default: the one the episode was recorded for")
    add("--model", default="demo", help="demo, a hub id or a checkpoint directory (%(default)s)")
    add("--rate", type=float, default=1.0, help="seconds of episode per second (%(default)s)")
    add("--fps", type=float, default=0.0, help="pictures per second of a video; 0: its own")
    add("--camera", default="", help="image topic of a bag; default: the first")
    add("--output", type=Path, default=Path("demo_output"), help="directory (%(default)s)")
    add("--plain", action="store_true", help="lines instead of the live view")
    add("--gif", action="store_true", help="leave overlay.gif as well")
    add("--rerun", action="store_true", help="leave episode.rrd for Rerun as well (extra rerun)")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the demo.

    Args:
        arguments: of the command line; None: this process's.

    Returns:
        0 if it ran, whatever the model said of the episode; 1 with one sentence if it could not;
        130 after Ctrl-C.
    """
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _stop)
    isolate()
    try:
        if options.rerun:
            load_rerun()  # not after the whole episode
        played = DemoRun(options).play()
        leave_report(played, options.output, gif=options.gif, rrd=options.rerun)
    except (DemoError, RerunMissing, ValueError, OSError) as error:
        print(printable(f"demo: {error}"), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: stopped.", file=sys.stderr)
        return INTERRUPTED
    return 0


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


def isolate() -> None:
    """Keeps the demo on this machine and away from other graphs, unless told otherwise.

    With Fast DDS, sockets are bound to the loopback interface; LOCALHOST alone only keeps nodes
    from looking further, and leaves them listening on all interfaces.
    """
    os.environ.setdefault(RANGE, "LOCALHOST")
    own = any(name in os.environ for name in PROFILES)
    if os.environ[RANGE] == "LOCALHOST" and not own and "fastrtps" in _middleware():
        file = str(package_directory("config") / "dds" / "loopback.xml")
        # Fast DDS would add a transport of its own to the file's for LOCALHOST.
        os.environ.update({RANGE: "SYSTEM_DEFAULT", **dict.fromkeys(PROFILES, file)})
    os.environ.setdefault("ROS_DOMAIN_ID", str(random.SystemRandom().randint(1, 101)))


def _middleware() -> str:
    from rclpy.utilities import get_rmw_implementation_identifier  # takes time, as rclpy does

    return get_rmw_implementation_identifier()


def leave_report(report: EpisodeReport, directory: Path, *, gif: bool, rrd: bool = False) -> None:
    """Writes the report's files and says what came out, and where they are."""
    # Imported here: matplotlib and encoders take a second, which the start would wait for.
    from topreward_ros.offline.report_files import write_report

    print("Drawing the film and the plot.", flush=True)
    written = write_report(report, directory, gif=gif, rrd=rrd)
    print(printable(conclusion(report.summary())), flush=True)
    for path in written:
        print(printable(f"  {path}"), flush=True)
    if rrd:
        program = Path(sys.executable).with_name("rerun")
        opened = f"{program if program.exists() else 'rerun'} {directory / 'episode.rrd'}"
        print(printable(f"Watch it in a window: {opened}"), flush=True)
        print(printable(f"or in a browser: {opened} --web-viewer --bind 127.0.0.1"), flush=True)


def conclusion(summary: dict[str, object]) -> str:
    """Returns the outcome in one sentence for people."""
    if summary["success"]:
        verdict = f"Success at {summary['success_time_s']:.1f} s"
    elif summary["success_threshold"] is None:
        verdict = "No success is claimed, because no threshold is set for this model"
    else:
        verdict = "No success"
    return (
        f"{verdict} in {summary['episode_duration_s']:.1f} s of {summary['instruction']!r}; "
        f"{summary['readings']} readings, {summary['latency_ms_p50']:.0f} ms from frame to reading "
        f"(p95 {summary['latency_ms_p95']:.0f} ms).{_too_fast(summary)}"
    )


def _too_fast(summary: dict[str, object]) -> str:
    if summary["readings"] >= MERGED * summary["frames"]:
        return ""
    return (
        f" This machine was too busy to judge after each of {summary['frames']} frames; "
        'DEMO_ARGS="--rate 0.5" gives it more time.'
    )
