"""Files of others: whatever they hold, one sentence and at once."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest
import yaml

from topreward_ros.method.calibration import CalibrationError
from topreward_ros.method.calibration_file import load_calibration
from topreward_ros.offline.labelled_recordings import LabelsError, read_labels
from topreward_ros.small_files import FileRefused, load_yaml, read_small

SOON = 20.0
"""s of this thread, on the slowest machine; what is let through takes minutes or all memory."""


def bomb() -> str:
    """Nine levels of nine references each: 400 bytes, 9**9 texts."""
    levels = [f"{a}: &{a} [{','.join([f'*{b}'] * 9)}]" for b, a in itertools.pairwise("abcdefghij")]
    return "\n".join([f"a: &a [{','.join(['lol'] * 9)}]", *levels])


HEAD = "format: topreward_ros/calibration\nversion: 2\n"
NASTY = {
    "aliases": HEAD + "detector: {window: *a}\n".replace("*a", "1") + bomb(),
    "aliases in a field": bomb() + "\n" + HEAD.replace("version: 2", "version: *j"),
    "an odd date": HEAD + "detector: 2024-99-99\n",
    "a date as a number": HEAD + "detector: {window: 2024-13-01, hold: 1.0, min_duration: 1.0}\n",
    "a huge integer": HEAD + f"detector: {{window: {'9' * 5000}, hold: 1, min_duration: 1}}\n",
    "a large integer": HEAD + f"detector: {{window: 1, hold: {'9' * 3000}, min_duration: 1}}\n",
    "a huge hexadecimal": HEAD + f"detector: {{window: 0x{'f' * 3900}, hold: 1, min_duration: 1}}",
    "a huge version": HEAD.replace("version: 2", f"version: 0x{'f' * 3900}"),
    "a huge key": HEAD + f"detector: {{0x{'f' * 3900}: 1}}\n",
    "sixties": HEAD + f"detector: {{window: 1{':1' * 300_000}}}\n",
    "deep lists": HEAD + "tasks: " + "[" * 100_000 + "]" * 100_000,
    "deep mappings": HEAD + "tasks: " + "{a: " * 5000 + "1" + "}" * 5000,
    "deep blocks": HEAD + "tasks:\n" + "".join(" " * n + "- \n" for n in range(1, 900)),
    "a long text": HEAD + f"setup: {'x' * 900_000}",
    "many parts": HEAD + "detector: {" + ", ".join(f"a{n}: 1" for n in range(60_000)) + "}",
    "too much of it": HEAD + "# \n" * 1_000_000,
    "no text": "\ud800",
    "a tag": HEAD + "detector: !!python/object/apply:os.system [echo]\n",
    "a key that is a list": HEAD + "detector: {[1]: 2}\n",
    "infinite": HEAD + "detector: {window: 3, hold: .inf, min_duration: .nan}\n",
    "a merge": HEAD + "detector: {<<: 1}\n",
    "binary": HEAD + "detector: !!binary '*'\n",
    "a set": HEAD + "detector: !!set {window, hold}\n",
    "pairs": HEAD + "detector: !!omap 3\n",
    "an integer by tag": HEAD + "detector: !!int ''\n",
    "a float by tag": HEAD + "detector: !!float x\n",
    "a date by tag": HEAD + "detector: !!timestamp x\n",
    "a boolean by tag": HEAD + "detector: !!bool x\n",
}


def test_the_bomb_is_small_and_would_go_off() -> None:
    assert len(bomb()) < 450
    document = yaml.safe_load(bomb())
    assert len(document["d"]) == 9 and document["d"][0] is document["d"][8]


@pytest.mark.parametrize("name", NASTY)
def test_a_nasty_calibration_is_refused_in_one_short_sentence(name, tmp_path) -> None:
    path = tmp_path / "calibration.yaml"
    path.write_text(NASTY[name], encoding="utf-8", errors="surrogatepass")
    start = time.thread_time()
    with pytest.raises(CalibrationError) as caught:
        load_calibration(path)
    assert time.thread_time() - start < SOON
    sentence = str(caught.value)
    assert sentence.startswith(f"Calibration file {path}: ")
    assert len(sentence) < len(str(path)) + 300 and sentence.endswith(".")


def test_an_endless_file_is_not_read_to_its_end() -> None:
    with pytest.raises(FileRefused, match="larger than 1 MiB"):
        read_small(Path("/dev/zero"))


def test_plain_yaml_is_read_as_it_was() -> None:
    text = "a: [1, 2.5, yes, ~, x]\nb: {c: 'd'}\ne: |\n  two\n  lines\n"
    assert load_yaml(text) == yaml.safe_load(text)
    assert load_yaml("") is None


LINE = "path,instruction,success\n"
LABELS = {
    "a field of 200 kB": LINE + f"{'x' * 200_000},go,1\n",
    "a success of 100 kB": LINE + f"bag,go,{'1' * 100_000}\n",
    "a name that no system takes": LINE + f"{'x' * 100_000},go,1\n",
    "a zero": LINE + "a\0b,go,1\n",
    "an open quote": LINE + '"' + "x\n" * 100_000,
    "too much of it": LINE + "bag,go,1\n" * 3_000_000,
    "a name that is a byte": LINE.encode() + b"\xff\xfe,go,1\n",
    "a mad header": "x" * 200_000,
    "an instruction of 100 kB": LINE + f".,{'go ' * 30_000},1\n",
}


@pytest.mark.parametrize("name", LABELS)
def test_nasty_labels_are_refused_in_one_short_sentence(name, tmp_path) -> None:
    path = tmp_path / "labels.csv"
    text = LABELS[name]
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    start = time.thread_time()
    with pytest.raises(LabelsError) as caught:
        read_labels(path)
    assert time.thread_time() - start < SOON
    assert len(str(caught.value)) < len(str(path)) + 400


def test_a_name_may_hold_what_only_some_take_for_a_line_break(tmp_path) -> None:
    (tmp_path / "a\u2028b\x0bc").mkdir()
    (tmp_path / "labels.csv").write_text(LINE + "a\u2028b\x0bc,go,1\n")
    assert [one.path.name for one in read_labels(tmp_path)] == ["a\u2028b\x0bc"]


@pytest.mark.parametrize("name", ["aliases", "deep lists", "too much of it", "an odd date"])
def test_a_nasty_description_beside_a_demo_episode_is_refused(name, tmp_path) -> None:
    pytest.importorskip("rosbags")
    from repository import ROOT

    from topreward_ros.nodes.running.demo_episode import DemoError, choose_episode

    for file in (ROOT / "demo" / "success").iterdir():
        if file.name != "episode.yaml":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "episode.yaml").write_text(NASTY[name])
    start = time.thread_time()
    with pytest.raises(DemoError, match=r"episode\.yaml.*\.$"):
        choose_episode(str(tmp_path))
    assert time.thread_time() - start < SOON


@pytest.mark.parametrize("name", ["aliases", "deep lists", "too much of it", "an odd date"])
def test_a_nasty_rig_or_parameter_file_is_refused(name, tmp_path) -> None:
    from topreward_ros.nodes.running.stack import StackError, parameter_files

    path = tmp_path / "own.yaml"
    path.write_text(NASTY[name])
    start = time.thread_time()
    for files in ((str(path), ""), ("", str(path))):
        with pytest.raises(StackError, match=r"own\.yaml.*\.$"):
            parameter_files(*files)
    assert time.thread_time() - start < SOON
