"""One clip as tokens: its video once, then a branch of questions for each of some prefixes.

A branch holds a provisional pair where its prefix is odd, the start of the question, and the ends
of several questions with different instructions. It sees its own prefix and itself only, with the
positions that it would have alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS, all_instructions, instruction_text
from tools.training.clips import Clip, cube_states
from tools.training.questions import prefix_lengths, question_indices
from tools.training.targets import FLOOR, HELD, NEAR
from tools.training.wrong_instructions import wrong_at_any_time, wrong_when_done
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout, Span

DISC_WORD = 4
"""Place of the disc's colour after the common part: `red cube on the green`."""
FOREIGN = 2
"""Questions of each clip that are none of this scene's instructions."""
BLOCKED = -1e9


@dataclass
class Run:
    """Spans laid out one after another.

    Attributes:
        spans: with the position at which each starts.
        seen: (first, last) frame of each pair in it.
        length: tokens.
    """

    spans: list[tuple[Span, int]] = field(default_factory=list)
    seen: list[tuple[int, int]] = field(default_factory=list)
    length: int = 0

    def add(self, span: Span, start: int) -> int:
        """Appends a span and returns the place of its first token."""
        self.spans.append((span, start))
        self.length += len(span)
        return self.length - len(span)


@dataclass
class Branch:
    """One prefix and the questions about it.

    Attributes:
        run: a provisional pair or nothing, the question's start, its ends.
        prefix: tokens of the video that it sees.
        frames: of the video that it sees.
        tails: place and length of each question's end.
        target: log-odds to be taught, one a question.
        words: place and token of the colour words to be told.
        states: how far each question's cube is for a disc of each colour.
    """

    run: Run
    prefix: int
    frames: int
    tails: list[tuple[int, int]] = field(default_factory=list)
    target: list[float] = field(default_factory=list)
    words: list[tuple[int, int]] = field(default_factory=list)
    states: list[NDArray[np.float32]] = field(default_factory=list)

    def allow(self, mask: torch.Tensor, video: int) -> None:
        """Opens its mask: its prefix, and of itself what a lone prompt would see.

        Args:
            mask: (G, V + G) additive, closed but for the first token.
            video: V, the longest video of the batch, in tokens.
        """
        mask[:, 0] = BLOCKED
        mask[: self.run.length, : self.prefix] = 0.0
        mask[self.run.length :, 0] = 0.0
        shared = self.tails[0][0]
        own = mask[:, video:]
        own[:shared, :shared] = torch.full((shared, shared), BLOCKED).triu(1)
        for place, length in self.tails:
            here = slice(place, place + length)
            own[here, :shared] = 0.0
            own[here, here] = torch.full((length, length), BLOCKED).triu(1)


class ClipLayout:
    """Lays a clip out.

    Args:
        layout: the package's own token ids and positions.
        prefixes: how many prefixes of a clip are scored.
        questions: how many instructions each.
        foreign: questions of each clip that are none of this scene's instructions.
    """

    def __init__(
        self, layout: Qwen3VLLayout, prefixes: int, questions: int, foreign: int = FOREIGN
    ) -> None:
        self._layout = layout
        self._prefixes = prefixes
        self._questions = questions
        self._suffixes = [layout.suffix(text) for text in all_instructions()]
        self._foreign: dict[str, Span] = {}
        self._foreign_count = foreign
        ids = [span.ids.tolist() for span in self._suffixes]
        self._common = next(i for i, row in enumerate(zip(*ids, strict=False)) if len(set(row)) > 1)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> tuple[Run, list[Branch]]:
        """Returns its video, and the branches."""
        layout, stamps, video = self._layout, clip.stamps, Run()
        preamble = layout.preamble()
        video.add(preamble, 0)
        after, tokens = [preamble.advance], [video.length]
        for index in range(0, len(stamps) - 1, 2):
            span = layout.pair(float(stamps[index] + stamps[index + 1]) / 2)
            video.add(span, after[-1])
            video.seen.append((index, index + 1))
            after.append(after[-1] + span.advance)
            tokens.append(video.length)
        branches = []
        for length in prefix_lengths(clip.target, self._prefixes, rng):
            branch = Branch(Run(), tokens[length // 2], length)
            self._ask(branch, clip, length, after[length // 2], rng)
            branches.append(branch)
        if not self._foreign_count:
            return video, branches
        length = branches[int(rng.integers(len(branches)))].frames
        branch = Branch(Run(), tokens[length // 2], length)
        self._ask_foreign(branch, clip, length, after[length // 2], rng)
        return video, [*branches, branch]

    def _ask(
        self, branch: Branch, clip: Clip, length: int, start: int, rng: np.random.Generator
    ) -> None:
        start = self._add_odd_frame(branch, clip, length, start)
        questions = question_indices(clip.colours, self._questions, rng)
        head = _cut(self._suffixes[questions[0]], 0, self._common)
        cube_place = branch.run.add(head, start) + len(head) - 1
        taught = clip.target[length - 1]
        shown = int(taught.argmax())
        if taught[shown] > HELD:
            branch.words.append((cube_place, int(self._suffixes[shown].ids[self._common])))
        for question in questions:
            whole = self._suffixes[question]
            tail = _cut(whole, self._common, len(whole))
            place = branch.run.add(tail, start)
            branch.tails.append((place, len(tail)))
            branch.target.append(float(taught[question]))
            branch.states.append(cube_states(clip.shown[length - 1], question))
            if question == shown and taught[shown] > NEAR:
                branch.words.append((place + DISC_WORD - 1, int(tail.ids[DISC_WORD])))

    def _ask_foreign(
        self, branch: Branch, clip: Clip, length: int, start: int, rng: np.random.Generator
    ) -> None:
        """Asks what the video cannot fulfil; nothing of it is shared but the video."""
        start = self._add_odd_frame(branch, clip, length, start)
        names = list(COLOURS)
        cube, disc = names[clip.colours[0]], names[clip.colours[1]]
        right = all_instructions().index(instruction_text(cube, disc))
        for _ in range(self._foreign_count):
            done = clip.target[length - 1, right] > 0
            draw = wrong_when_done if done and rng.random() < 0.7 else wrong_at_any_time
            whole = self._suffix(draw(cube, disc, rng))
            branch.tails.append((branch.run.add(whole, start), len(whole)))
            branch.target.append(FLOOR)
            branch.states.append(np.full(len(names), np.nan, np.float32))

    def _add_odd_frame(self, branch: Branch, clip: Clip, length: int, start: int) -> int:
        """Shows the last frame of an odd prefix; returns where the question starts."""
        if length % 2 == 0:
            return start
        span = self._layout.pair(float(clip.stamps[length - 1]))
        branch.run.add(span, start)
        branch.run.seen.append((length - 1, length - 1))
        return start + span.advance

    def _suffix(self, text: str) -> Span:
        if text not in self._foreign:
            self._foreign[text] = self._layout.suffix(text)
        return self._foreign[text]


def _cut(span: Span, start: int, stop: int) -> Span:
    part = slice(start, stop)
    return Span(span.ids[part], span.positions[:, part], stop - start, span.visual[part])
