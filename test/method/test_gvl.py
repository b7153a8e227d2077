"""GVL's question, its shuffling, and what is read out of an answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.gvl import in_time, question_texts, shown_order
from topreward_ros.method.percentages import AnswerError, read_percentages

TASK = "put {the} red cube on the disc"


ASKED = "Frame {i}: Frame Description: the arm moves, Task Completion Percentages:{p}%"


def answer(values, form=ASKED):
    return "\n".join(form.format(i=i, p=p) for i, p in enumerate(values, start=1))


# --- the question ------------------------------------------------------------------------------


def test_the_question_is_the_papers_word_for_word():
    asked = "[IMG]".join([*question_texts(TASK, 3), ""])
    assert asked == (
        "You are an expert roboticist tasked to predict task completion percentages for frames of "
        f"a robot for the task of {TASK}. The task completion percentages are between 0 and 100, "
        "where 100 corresponds to full task completion. We provide several examples of the robot "
        "performing the task at various stages and their corresponding task completion "
        "percentages. Note that these frames are in random order, so please pay attention to the "
        "individual frames when reasoning about task completion percentage.\n"
        "Initial robot scene: [IMG]\n"
        "In the initial robot scene, the task completion percentage is 0.\n"
        f"Now, for the task of {TASK}, output the task completion percentage for the following "
        "frames that are presented in random order. For each frame, format your response as "
        "follow: Frame {i}: Frame Description: {}, Task Completion Percentages:{}%\n"
        "Frame 1: [IMG]\nFrame 2: [IMG]\nFrame 3: [IMG]"
    )


@pytest.mark.parametrize("count", [1, 2, 15])
def test_there_is_one_text_before_each_picture(count):
    assert len(question_texts(TASK, count)) == count + 1


# --- the order ---------------------------------------------------------------------------------


@given(st.text(), st.integers(1, 40), st.integers(0, 2**32))
def test_unshuffling_undoes_the_shuffling_exactly(name, count, seed):
    order = shown_order(name, count, seed)
    assert sorted(order) == list(range(count))
    times = np.arange(count) * 0.1
    assert (in_time(times[order], order) == times).all()
    assert (shown_order(name, count, seed) == order).all()


def test_every_episode_and_every_seed_has_an_order_of_its_own():
    orders = {tuple(shown_order(f"episode_{k}", 15, seed)) for k in range(20) for seed in (1, 2)}
    assert len(orders) == 40


# --- the answer --------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=20))
def test_an_answer_in_the_asked_form_is_read_exactly(tenths):
    values = [tenth / 10 for tenth in tenths]
    assert read_percentages(answer(values), len(values)).tolist() == values


@given(st.text(), st.integers(1, 20))
def test_any_text_is_read_whole_or_refused_with_a_reason(text, count):
    try:
        values = read_percentages(text, count)
    except AnswerError as error:
        assert str(error)
    else:
        assert values.shape == (count,) and (values >= 0).all() and (values <= 100).all()


@given(
    st.lists(
        st.sampled_from(
            ["Frame ", "1", "2", ":", "%", "-", "50", "100.5", "\n", ",", " percent",
             "\u0664\u0665", "**",
             "Task Completion Percentages:", "</think>", "\uff11", "\uff11\uff10\uff05", "²", "."]
        ),
        max_size=30,
    ).map("".join)
)  # fmt: skip
def test_texts_that_look_like_answers_are_never_misread_into_another_number(text):
    try:
        values = read_percentages(text, 2)
    except AnswerError:
        return
    assert values.shape == (2,) and (values >= 0).all() and (values <= 100).all()


@pytest.mark.parametrize(
    "text",
    [
        "Frame 1: 10%\nFrame 2: 25%",
        "Frame 2: 25%\nFrame 1: 10%",
        "**Frame 1:** Task Completion Percentages: 10 %\n**Frame 2:** Completion: 25%.",
        "Frame 1: Frame Description: 2 cubes lie there, Task Completion Percentages:10%\n"
        "Frame 2: Frame Description: 1 cube, like frame 1, Task Completion Percentage: 25%",
        "Frame 1: 10 percent, Frame 2: 25 percent",
        "Frame {1}: Frame Description: {}, Task Completion Percentages:{10}%\n"
        "Frame {2}: Frame Description: {}, Task Completion Percentages:**25**%",
        "10%, 25%",
        "[10.0%, 25%]",
        "Frame 1: \u0661\u0660\u066a\nFrame 2\uff1a \u0662\u0665\u066a",
        "10%\n25\uff05",
        "frame 1: ~10%\n\nframe 2: about 25%\n\nNote: 2 frames are alike.",
        "I think.</think>Frame 1: 10%\nFrame 2: 25%",
        "<think>Frame 1: 90%\nFrame 2: 80%</think>\nFrame 1: 10%\nFrame 2: 25%",
        "Frame 1: Task Completion Percentages:\n10%\nFrame 2: Task Completion Percentages:\n25%",
    ],
)
def test_what_models_write_is_read(text):
    assert read_percentages(text, 2).tolist() == [10.0, 25.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("<think>Frame 1: 10%\nFrame 2: 20%</think>", "empty"),
        ("The robot moves its arm.", "no number"),
        ("thirty percent, forty percent", "no number"),
        ("½% ²%", "no number"),
        ("Frame 1: 10%", "1 frames are named"),
        ("Frame 1: 10%\nFrame 3: 20%", "2 frames are named"),
        (answer([1, 2, 3]), "3 frames are named"),
        ("Frame 1: 10%\nFrame 1: 20%", "named twice"),
        ("Frame 0: 10%\nFrame 1: 20%", "2 frames are named"),
        ("Frame 1: 10-20%\nFrame 2: 30%", "frame 1 has 2 numbers"),
        ("Frame 1: 10% to 20%\nFrame 2: 30%", "frame 1 has 2 numbers"),
        ("Frame 1: between 10 and 20%\nFrame 2: 30%", "frame 1 has 2 numbers"),
        ("Frame 1: 10 bis 20 %\nFrame 2: 30%", "frame 1 has 2 numbers"),
        ("Frame 1: 10\nFrame 2: 20%", "without a percent sign"),
        ("Frame 1: 0.1\nFrame 2: 0.2", "without a percent sign"),
        ("Frame 1: unknown\nFrame 2: 20%", "frame 1 has no number"),
        ("Frame 1: 10%\nFrame 2: Task Completion Percentages:", "frame 2 has no number"),
        ("Frame 1: 101%\nFrame 2: 20%", "not 0 to 100"),
        ("Frame 1: -5%\nFrame 2: 20%", "not 0 to 100"),
        ("Frame 1: 100.5%\nFrame 2: 20%", "not 0 to 100"),
        ("Frame 1: 12,5%\nFrame 2: 20%", "in two ways"),
        ("Frame 1: 1,000%\nFrame 2: 20%", "in two ways"),
        ("Frame 1: 1.2.3%\nFrame 2: 20%", "in two ways"),
        ("Frame 1: 99999999999999999999%\nFrame 2: 20%", "in two ways"),
        ("10%, 20%, 30%", "3 numbers for 2"),
        ("1. 10%\n2. 20%", "4 numbers for 2"),
        ("10, 20", "without a percent sign"),
        ("from 10% to 20%", "names no frame"),
        ("10% - 20%", "names no frame"),
        ("Frame 99999: 10%", "names no frame"),
    ],
)
def test_an_answer_that_is_not_clear_is_refused_with_its_reason(text, reason):
    with pytest.raises(AnswerError, match=reason):
        read_percentages(text, 2)
