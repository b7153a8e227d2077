"""The commands of docs/reproduce_the_paper.md run, word for word but for model and source."""

from __future__ import annotations

import json
import re
import shlex
import sys

import pytest

pytest.importorskip("torch")
parquet = pytest.importorskip("pyarrow.parquet")

from repository import ROOT
from warm_processes import WarmProcess

from tools.demo_sets import CAMERA, FAILURES, SUCCESSES
from topreward_ros.offline.episodes.opening import open_source

PAGE = ROOT / "docs" / "reproduce_the_paper.md"
WORDS = {"CAMERA": CAMERA, "Qwen/Qwen3-VL-8B-Instruct": "demo"}
"""What stands in the page, and what is taken for it here."""
FEW = {"--gvl": ["--gvl-tokens", "4"], "LABELLED": ["--episodes", "8"]}
"""What makes an evaluation short: the demo model knows no numbers, and writes on to the bound."""


def commands():
    """Every command of the page, as lists of words."""
    blocks = re.findall(r"^```bash\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines]


OURS = [words for words in commands() if words[:3] == ["ros2", "run", "topreward_ros"]]


@pytest.fixture(scope="module")
def sets(tmp_path_factory):
    """What the page's first command writes, by the words that stand for it."""
    folder = tmp_path_factory.mktemp("written")
    tool = next(words for words in commands() if words not in OURS)
    (folder / "demo").symlink_to(ROOT / "demo")
    code, said = run([sys.executable, *tool[1:]], folder)
    assert code == 0, said
    out = folder / "sets"
    return {"DATASET": str(out / "dataset"), "LABELLED": str(out / "labelled")}


def run(words, folder):
    """Runs a command in a folder; returns its exit code, and what it has said."""
    said = folder / "said.log"
    process = WarmProcess(words, cwd=folder, output=said)
    try:
        return process.wait(600), said.read_text()
    finally:
        process.kill()


def test_the_page_has_a_command_for_each_table_and_all_of_them_are_run_here():
    assert [words[3] for words in OURS] == [
        "evaluate", "evaluate", "calibrate", "evaluate", "label"
    ]  # fmt: skip
    assert [words for words in commands() if words not in OURS] == [
        ["python", "-m", "tools.demo_sets", "--out", "sets"]
    ]


@pytest.mark.slow
def test_the_pages_first_command_writes_sets_that_the_others_read(sets):
    dataset = list(open_source(sets["DATASET"]))
    assert [each.instruction for each in dataset] == [
        "put the green cube on the blue disc", "put the red cube on the blue disc"
    ]  # fmt: skip
    assert [len(each.open()) for each in dataset] == [103, 89]
    labelled = list(open_source(sets["LABELLED"]))
    assert [each.success for each in labelled] == [True] * SUCCESSES + [False] * FAILURES


@pytest.mark.slow
@pytest.mark.parametrize("words", OURS, ids=lambda words: f"{words[3]} {words[-1]}")
def test_every_command_of_the_page_runs(words, sets, tmp_path):
    told = [(sets | WORDS).get(word, word) for word in words[3:]]
    assert "demo" in told
    if words[3] == "evaluate":
        told += [more for word in words for more in FEW.get(word, ())]
    code, said = run([sys.executable, "-m", "topreward_ros.commands", *told], tmp_path)
    assert code == 0, said
    {"evaluate": reports, "calibrate": calibrates, "label": labels}[words[3]](words, tmp_path)


def reports(words, folder):
    """The report has the figures in the places that the page names."""
    out = folder / words[words.index("--output") + 1]
    written = (out / "report.md").read_text()
    variants = json.loads((out / "report.json").read_text())["variants"]
    figures = variants[0]["figures"]
    assert -1.0 <= figures["voc"]["interval"]["value"] <= 1.0
    assert "| VOC, 15 prefixes |" in written
    if "--gvl" in words:
        assert figures["gvl"]["voc"]["undefined"] > 0
        assert figures["gvl"]["unparsed"]["interval"]["value"] == 1.0
        assert "| VOC of GVL |" in written
    if "LABELLED" in words:
        assert figures["auc"]["success score (last 3)"]["count"] == 8
        for name in ("success score (last 3)", "VOC of GVL"):
            assert f"| ROC-AUC of success, {name} |" in written
            assert f"| ROC-AUC of success, {name} |" in PAGE.read_text()
    if "--ablate" in words:
        assert [each["name"] for each in variants] == [
            "as given", "prompt-form raw_period", "prompt-form chat"
        ]  # fmt: skip


def calibrates(words, folder):
    out = folder / words[words.index("--output") + 1]
    assert (out / "calibration.yaml").exists()


def labels(words, folder):
    weights = parquet.read_table(folder / words[words.index("--weights") + 1])
    progress = parquet.read_table(folder / words[words.index("--progress") + 1])
    assert {"index", "weight", "advantage"} <= set(weights.column_names)
    assert len(weights) == len(progress) == 103 + 89
