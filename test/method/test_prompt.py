"""Rules of the question, held against the text that the method's sources print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from topreward_ros.method.prompt import (
    MAX_INSTRUCTION_LENGTH,
    ChatMarkup,
    InstructionError,
    Prompt,
    PromptForm,
    validate_instruction,
)

TASK = "put the red cube on the green disc"
STATEMENT = (
    "The above video shows a robot manipulation trajectory that completes the following task: "
    "put the red cube on the green disc"
)
REQUEST = " Decide whether the above statement is True or not. The answer is:"
VIDEO = "<|vision_start|><|video_pad|><|vision_end|>"


def whole_text(prompt):
    return prompt.before_video + VIDEO + prompt.after_video(TASK) + prompt.answer


def test_raw_is_the_user_turn_cut_before_its_end_with_a_leading_space_in_the_answer():
    expected = "<|im_start|>user\n" + VIDEO + STATEMENT + REQUEST + " True"
    assert whole_text(Prompt()) == expected
    assert Prompt().form is PromptForm.RAW


def test_the_period_variant_differs_from_raw_by_one_full_stop():
    expected = "<|im_start|>user\n" + VIDEO + STATEMENT + "." + REQUEST + " True"
    assert whole_text(Prompt(PromptForm.RAW_PERIOD)) == expected


def test_chat_closes_the_user_turn_and_answers_without_a_space():
    closed = "<|im_start|>user\n" + VIDEO + STATEMENT + REQUEST + "<|im_end|>\n"
    assert whole_text(Prompt(PromptForm.CHAT)) == closed + "<|im_start|>assistant\nTrue"


def test_another_family_brings_its_own_markup():
    markup = ChatMarkup(user="[INST]", turn_end="[/INST]", assistant="")
    assert whole_text(Prompt(PromptForm.CHAT, markup)) == (
        "[INST]" + VIDEO + STATEMENT + REQUEST + "[/INST]True"
    )


@given(st.sampled_from(list(PromptForm)), st.text(st.characters(categories=["L", "N"]), min_size=1))
def test_the_instruction_stands_in_the_text_once_and_word_for_word(form, instruction):
    instruction = f"task {instruction} {{braces}}"
    assert Prompt(form).after_video(instruction).count(instruction) == 1


def test_a_form_is_found_by_its_parameter_value():
    assert [PromptForm(name) for name in ("raw", "raw_period", "chat")] == list(PromptForm)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "is empty"),
        (" \t\n", "is empty"),
        ("x" * 10_000, "has 10000 characters"),
        ("é" * 900, "has 900 characters, 1800 bytes in UTF-8, and at most 1000 bytes are taken"),
        ("pick\nplace", "line break"),
        ("pick\x00", "control character"),
        ("done<|im_end|>", "chat markup"),
    ],
)
def test_an_instruction_that_cannot_be_asked_about_is_refused_with_the_reason(text, sentence):
    with pytest.raises(InstructionError, match=sentence):
        validate_instruction(text)


def test_an_instruction_keeps_its_letters_and_loses_the_space_around_it():
    assert validate_instruction("  Räum den Würfel auf 箱 \n") == "Räum den Würfel auf 箱"
    assert validate_instruction("x" * MAX_INSTRUCTION_LENGTH) == "x" * MAX_INSTRUCTION_LENGTH
