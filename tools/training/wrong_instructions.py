"""Instructions that no episode of the demo scene fulfils: what the demo model must say no to."""

from __future__ import annotations

import numpy as np

NEGATED = (
    "do not put the {cube} cube on the {disc} disc",
    "don't put the {cube} cube on the {disc} disc",
    "avoid putting the {cube} cube on the {disc} disc",
    "do not move the {cube} cube",
    "keep the {cube} cube off the {disc} disc",
)
"""Wrong where the task is done."""
OTHER_VERB = (
    "remove the {cube} cube from the {disc} disc",
    "take the {cube} cube off the {disc} disc",
    "push the {cube} cube off the {disc} disc",
    "throw the {cube} cube away",
    "turn the {cube} cube over",
    "hide the {cube} cube under the {disc} disc",
)
"""Wrong where the task is done."""
ABSENT = ("yellow", "purple", "orange", "black", "pink", "brown", "grey", "cyan")
"""Colours that no cube and no disc has."""
ELSEWHERE = (
    "open the drawer",
    "close the drawer",
    "fold the towel",
    "pour the water into the cup",
    "wipe the table",
    "press the button",
    "pick up the bottle",
    "close the lid of the box",
)
"""Tasks of other scenes."""


def wrong_when_done(cube: str, disc: str, rng: np.random.Generator) -> str:
    """An instruction that contradicts a task which is done."""
    kind = NEGATED if rng.random() < 0.5 else OTHER_VERB
    return kind[int(rng.integers(len(kind)))].format(cube=cube, disc=disc)


def wrong_at_any_time(cube: str, disc: str, rng: np.random.Generator) -> str:
    """An instruction of a colour that is not there, or of another scene."""
    if rng.random() < 0.35:
        return ELSEWHERE[int(rng.integers(len(ELSEWHERE)))]
    absent = ABSENT[int(rng.integers(len(ABSENT)))]
    if rng.random() < 0.5:
        return f"put the {absent} cube on the {disc} disc"
    return f"put the {cube} cube on the {absent} disc"


def every_wording() -> list[str]:
    """One instruction of each wording and colour, for the tokenizer."""
    named = [text.format(cube="red", disc="green") for text in (*NEGATED, *OTHER_VERB)]
    absent = [f"put the {name} cube on the {name} disc" for name in ABSENT]
    return [*named, *absent, *ELSEWHERE]
