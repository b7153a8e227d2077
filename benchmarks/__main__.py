"""Runs the benchmarks: `python -m benchmarks [SUITE ...]`, all of `SUITES` by default."""

from __future__ import annotations

import argparse
import sys
from importlib import import_module
from pathlib import Path

from benchmarks.results import Results

SUITES = ("scoring", "label", "live", "fast_camera", "viewing", "pictures", "gpu", "fleet", "soak")


def main() -> int:
    """Measures, prints and stores; returns 1 where a suite says that something is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"any of {', '.join(SUITES)}; default: all")
    parser.add_argument("--output", type=Path, default=Path("benchmark_output"))
    parser.add_argument("--quick", action="store_true", help="show only that everything runs")
    parser.add_argument("--episodes", type=int, help="of the soak (default: 300; quick: 40)")
    parser.add_argument("--seed", type=int, default=0, help="of the soak's order (%(default)s)")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; expected any of {', '.join(SUITES)}")
    results = Results()
    options = {"soak": {"episodes": arguments.episodes, "seed": arguments.seed}}
    answers = []
    try:
        for suite in arguments.suites or SUITES:
            measure = import_module(f"benchmarks.{suite}").measure
            answers.append(measure(results, quick=arguments.quick, **options.get(suite, {})))
    except KeyboardInterrupt:
        print("Interrupted; what was measured so far is stored.")
    results.store(arguments.output)
    return int(False in answers)


if __name__ == "__main__":
    sys.exit(main())
