"""The benchmark of labelling runs, asks every way the same, and says what each one cost."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")

from benchmarks import label
from benchmarks.__main__ import SUITES
from benchmarks.results import Results


@pytest.mark.slow
def test_the_quick_form_measures_every_way_and_all_of_them_agree():
    results = Results()
    label.measure(results, quick=True)
    found = {figure.name: figure for figure in results.figures}
    assert found["largest difference to LeRobot's labelling"].reached
    assert found["LeRobot's labelling / score_prefixes"].value > 0
    peaks = [figure.value for figure in results.figures if figure.name.endswith("peak memory")]
    assert len(peaks) == 5 and all(50 < each < 4000 for each in peaks)
    assert found["peak memory of 2 episodes / of 1"].reached
    assert all(figure.value > 0 for figure in results.figures if figure.unit == "1/min")


def test_it_is_one_of_the_suites():
    assert "label" in SUITES
