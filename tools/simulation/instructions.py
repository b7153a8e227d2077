"""The demo scene's tasks in words."""

from __future__ import annotations

COLOURS: dict[str, tuple[float, float, float]] = {
    "red": (0.85, 0.08, 0.07),
    "green": (0.08, 0.62, 0.14),
    "blue": (0.08, 0.22, 0.90),
    "white": (0.95, 0.95, 0.95),
}
"""Colours of cubes and discs (RGB). The arm is yellow."""


def instruction_text(cube: str, disc: str) -> str:
    """The instruction in words.

    Args:
        cube: colour name of a cube.
        disc: colour name of a disc.
    """
    return f"put the {cube} cube on the {disc} disc"


def all_instructions() -> list[str]:
    """Every instruction of this scene; those with a cube and a disc of one colour come last."""
    different = [instruction_text(c, d) for c in COLOURS for d in COLOURS if c != d]
    return [*different, *(instruction_text(c, c) for c in COLOURS)]
