"""What people write of statements is read or refused in one sentence, and judged like the task."""

from __future__ import annotations

import math

import pytest

from topreward_ros.method.statement_states import AskedStatement, StatementTracker
from topreward_ros.method.statements import Role, Statement, StatementError, parse_statements
from topreward_ros.method.success import SuccessSettings

GRASP = "grasp | stage | the gripper holds the red cube"
DROPPED = "dropped | failure | -1.5 | the red cube lies on the floor"


def test_entries_are_read_in_their_order_and_empty_ones_are_none():
    statements = parse_statements(["", GRASP, DROPPED])
    assert statements == (
        Statement("grasp", Role.STAGE, "the gripper holds the red cube"),
        Statement("dropped", Role.FAILURE, "the red cube lies on the floor", -1.5),
    )
    assert [one.entry for one in statements] == [GRASP, DROPPED]
    assert parse_statements([""]) == parse_statements([]) == ()


@pytest.mark.parametrize(
    ("entries", "sentence"),
    [
        (["grasp"], "has 1 part(s), not name | role | text, or name | role | threshold | text"),
        (["a | stage | -1 | b | c"], "has 5 part(s)"),
        ([" | stage | go"], "needs a name of 1 to 40 printable characters"),
        (["a" * 41 + " | stage | go"], "needs a name of 1 to 40 printable characters"),
        (["a | goal | go"], "'a' has the role 'goal'; roles are task, stage, failure"),
        (["a | stage | "], "text of the statement 'a' cannot be asked: The instruction is empty"),
        (["a | stage | " + "x" * 1001], "text of the statement 'a' cannot be asked"),
        (["a | failure | maybe | go"], "threshold of the statement 'a' is 'maybe'"),
        (["a | failure | 0.5 | go"], "threshold of the statement 'a' is '0.5'"),
        (["a | failure | -inf | go"], "threshold of the statement 'a' is '-inf'"),
        (["a | failure | nan | go"], "threshold of the statement 'a' is 'nan'"),
        (["a | stage | go", "a | stage | come"], "Two statements have the name 'a'"),
        (["a | stage | go", "b | task | go"], "'a' and 'b' have the same text"),
        ([f"s{k} | stage | go {k}" for k in range(17)], "17 statements were given; at most 16"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_one_sentence(entries, sentence):
    with pytest.raises(StatementError) as caught:
        parse_statements(entries)
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_sixteen_long_statements_are_taken():
    assert len(parse_statements([f"s{k} | stage | {k:04d}" + "x" * 996 for k in range(16)])) == 16


def tracker(*entries: str, threshold: float | None = -2.0) -> StatementTracker:
    settings = [
        SuccessSettings(one.threshold or threshold, window=1, hold=1.0, min_duration=0.0)
        for one in parse_statements(entries)
    ]
    statements = parse_statements(entries)
    asked = [
        AskedStatement(one, judged, ends=one.role is Role.FAILURE)
        for one, judged in zip(statements, settings, strict=True)
    ]
    return StatementTracker(asked)


def play(judge: StatementTracker, rows: list[tuple[float, ...]], seen: tuple[int, ...] = ()):
    return [judge.update(row, index / 2, seen=index not in seen) for index, row in enumerate(rows)]


def test_the_running_stage_is_the_first_that_has_not_held():
    judge = tracker(GRASP, "place | stage | the red cube lies on the disc")
    states = play(judge, [(-4.0, -5.0), *[(-1.0, -5.0)] * 3, (-4.0, -3.5), *[(-4.0, -1.0)] * 3])
    assert [one.stage for one in states] == ["grasp"] * 3 + ["place"] * 4 + [""]
    assert states[4].stage_progress == pytest.approx(0.5)  # from -5 up to its threshold, -2
    assert math.isnan(states[-1].stage_progress)
    assert all(one.held for one in states[-1].each)  # latched, though the first fell again


def test_a_later_stage_that_holds_first_is_named_and_the_order_is_kept():
    judge = tracker(GRASP, "place | stage | the red cube lies on the disc")
    states = play(judge, [*[(-4.0, -1.0)] * 3, *[(-1.0, -1.0)] * 3])
    assert [one.early for one in states] == [(), (), *[("place",)] * 3, ()]
    assert [one.stage for one in states] == ["grasp"] * 5 + [""]


def test_without_a_threshold_nothing_holds_and_unseen_pictures_start_the_hold_anew():
    free = tracker("dropped | failure | the cube fell", threshold=None)
    assert not any(state.failed for state in play(free, [(-0.01,)] * 9))
    bound = play(tracker(DROPPED), [(-1.0,)] * 6, seen=(2,))
    assert [state.failed is not None for state in bound] == [False] * 5 + [True]


def test_missing_readings_start_the_hold_anew():
    judge = tracker(DROPPED)
    judge.update((-1.0,), 0.0, seen=True)
    judge.interrupt()
    assert judge.update((-1.0,), 1.0, seen=True).failed is None
    assert judge.update((-1.0,), 2.0, seen=True).failed.statement.name == "dropped"


def test_a_failure_that_ends_nothing_is_held_all_the_same():
    (statement,) = parse_statements([DROPPED])
    settings = SuccessSettings(-1.5, window=1, hold=1.0, min_duration=0.0)
    states = play(StatementTracker([AskedStatement(statement, settings)]), [(-1.0,)] * 4)
    assert states[-1].each[0].held and states[-1].failed is None
