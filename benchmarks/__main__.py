"""Runs the benchmarks: `python -m benchmarks [scoring] [live] [gpu]`, all of them by default."""

from __future__ import annotations

import argparse
from importlib import import_module
from pathlib import Path

from benchmarks.results import Results

SUITES = ("scoring", "live", "gpu")


def main() -> None:
    """Measures, prints and stores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suites", nargs="*", help=f"any of {', '.join(SUITES)}; default: all")
    parser.add_argument("--output", type=Path, default=Path("benchmark_output"))
    parser.add_argument("--quick", action="store_true", help="show only that everything runs")
    arguments = parser.parse_args()
    unknown = set(arguments.suites) - set(SUITES)
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; expected any of {', '.join(SUITES)}")
    results = Results()
    try:
        for suite in arguments.suites or SUITES:
            import_module(f"benchmarks.{suite}").measure(results, quick=arguments.quick)
    except KeyboardInterrupt:
        print("Interrupted; what was measured so far is stored.")
    results.store(arguments.output)


if __name__ == "__main__":
    main()
