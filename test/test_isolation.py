"""Tests of several workers and suites do not meet, and signals reach what they start."""

from __future__ import annotations

import os
import subprocess
import sys

from isolation import Domain
from repository import ROOT

TEST = ROOT / "test"

BACKGROUND = """
import signal, subprocess, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
import conftest
child = "import signal; print(signal.getsignal(2) is signal.default_int_handler)"
subprocess.run([sys.executable, "-c", child])
"""


def test_no_domain_is_given_twice_and_one_that_was_given_back_is_free() -> None:
    domains = [Domain() for _ in range(10)]
    try:
        numbers = {domain.number for domain in domains}
        assert len(numbers) == 10
        assert int(os.environ["ROS_DOMAIN_ID"]) not in numbers
    finally:
        for domain in domains:
            domain.release()


def test_children_of_tests_in_a_background_job_take_the_interrupt() -> None:
    done = subprocess.run(
        [sys.executable, "-c", BACKGROUND],
        cwd=TEST,
        env={**os.environ, "PYTHONPATH": str(TEST / "stands")},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "True\n", done.stderr
