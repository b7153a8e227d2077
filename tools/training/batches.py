"""Episodes as training batches: one sequence an episode, many questions on it.

A sequence is the video once, then branches: for some prefixes of the video, a provisional pair
where the prefix is odd, the start of the question, and the ends of several questions with
different instructions. Each branch sees its own prefix and itself only (a tree mask), with the
positions it would have alone, so that one forward scores all of them as the package would.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

from tools.simulation.instructions import COLOURS, all_instructions, instruction_text
from tools.training.clips import Clip, cube_states
from tools.training.targets import FLOOR, HELD, NEAR
from tools.training.wrong_instructions import wrong_at_any_time, wrong_when_done
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout, Span

DISC_WORD = 4
"""Place of the disc's colour after the common part: `red cube on the green`."""
FOREIGN = 2
"""Questions of each clip that are none of this scene's instructions."""
BLOCKED = -1e9


def augmented(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Varies light and adds noise to frames in -1..1, the same light for all of them."""
    gain = torch.from_numpy(rng.uniform(0.88, 1.12) * rng.uniform(0.96, 1.04, 3)).float()
    offset = float(rng.uniform(-0.06, 0.06))
    noise = float(rng.uniform(0.0, 0.03))
    return (frames * gain + offset + noise * torch.randn_like(frames)).clamp_(-1.0, 1.0)


def question_indices(colours: NDArray[np.int64], count: int, rng: np.random.Generator) -> list[int]:
    """The right instruction, and wrong ones of which the near misses are the likelier."""
    names = list(COLOURS)
    texts = all_instructions()
    cube, disc, other_cube, other_disc = (names[index] for index in colours)
    right = texts.index(instruction_text(cube, disc))
    weights = np.full(len(texts), 1.0)
    for index, text in enumerate(texts):
        words = text.split()
        if words[2] == cube:
            weights[index] = 4.0 if words[-2] == other_disc else 2.0
        elif words[-2] == disc:
            weights[index] = 4.0 if words[2] == other_cube else 2.0
    weights[right] = 0.0
    wrong = rng.choice(len(texts), count - 1, replace=False, p=weights / weights.sum())
    return [right, *map(int, wrong)]


def prefix_lengths(target: NDArray[np.float32], count: int, rng: np.random.Generator) -> list[int]:
    """Which prefixes are scored: the whole, some near the moment of success, others anywhere."""
    total = len(target)
    chosen = {total}
    done = np.flatnonzero((target > 0).any(axis=1))
    if len(done):
        chosen.add(int(np.clip(done[0] + 1 + rng.integers(-1, 2), 1, total)))
    rest = np.asarray([n for n in range(1, total + 1) if n not in chosen], int)
    more = min(max(count - len(chosen), 0), len(rest))
    if more:
        # most where something is under way: there the scene decides, and not the clock
        weight = np.where((target[rest - 1] > HELD).any(axis=1), 3.0, 1.0)
        drawn = rng.choice(rest, more, replace=False, p=weight / weight.sum())
        chosen |= set(map(int, drawn))
    return sorted(chosen)


@dataclass
class _Run:
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
class _Branch:
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

    run: _Run
    prefix: int
    frames: int
    tails: list[tuple[int, int]] = field(default_factory=list)
    target: list[float] = field(default_factory=list)
    words: list[tuple[int, int]] = field(default_factory=list)
    states: list[NDArray[np.float32]] = field(default_factory=list)


@dataclass
class Batch:
    """Everything one step needs; B clips of V video tokens and P branches of G tokens.

    Attributes:
        ids: (B, V + P * G) token ids.
        positions: (3, B, V + P * G).
        visual: (B, V + P * G) bool.
        mask: (B * P, 1, G, V + G) additive.
        answers: (A, 2) clip and place of each question's last token.
        target: (A,) log-odds to be taught.
        words: (W, 3) clip, place, and the colour word that comes next.
        cube_words: (A, 2) clip and place of each question's cube colour.
        disc_words: (A, 2) clip and place of each question's disc colour.
        cube_state: (A, 4) how far that cube is for a disc of each colour, of 1; NaN where the
            question is none of this scene's.
        clips: the clips.
        pairs: (clip, first frame, last frame) of each pair, in the order of its tokens.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    visual: torch.Tensor
    mask: torch.Tensor
    answers: torch.Tensor
    target: torch.Tensor
    words: torch.Tensor
    cube_words: torch.Tensor
    disc_words: torch.Tensor
    cube_state: torch.Tensor
    clips: list[Clip]
    pairs: list[tuple[int, int, int]]

    def frames(self, rng: np.random.Generator | None) -> torch.Tensor:
        """The pairs' pixels in -1..1, (n, 2, 96, 96, 3), varied if `rng` is given."""
        shown = []
        for clip in self.clips:
            pixels = torch.from_numpy(clip.frames).float().sub_(127.5).div_(127.5)
            shown.append(pixels if rng is None else augmented(pixels, rng))
        return torch.stack(
            [torch.stack([shown[clip][a], shown[clip][b]]) for clip, a, b in self.pairs]
        )


def _cut(span: Span, start: int, stop: int) -> Span:
    part = slice(start, stop)
    return Span(span.ids[part], span.positions[:, part], stop - start, span.visual[part])


class BatchMaker:
    """Lays clips out as token sequences.

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

    def __call__(self, clips: list[Clip], rng: np.random.Generator) -> Batch:
        """Makes one batch."""
        laid = [self._lay_out(clip, rng) for clip in clips]
        video = max(run.length for run, _ in laid)
        count = max(len(branches) for _, branches in laid)
        size = max(branch.run.length for _, branches in laid for branch in branches)
        total = video + count * size
        ids = torch.zeros(len(clips), total, dtype=torch.long)
        positions = torch.zeros(3, len(clips), total, dtype=torch.long)
        visual = torch.zeros(len(clips), total, dtype=torch.bool)
        mask = torch.full((len(clips), count, 1, size, video + size), BLOCKED)
        mask[..., 0] = 0.0
        answers, cube_words, states, target, words, pairs = [], [], [], [], [], []

        def write(row: int, place: int, run: _Run) -> None:
            for span, start in run.spans:
                here = slice(place, place + len(span))
                ids[row, here] = span.ids
                positions[:, row, here] = span.positions + start
                visual[row, here] = span.visual
                place += len(span)
            pairs.extend((row, first, last) for first, last in run.seen)

        for row, (run, branches) in enumerate(laid):
            write(row, 0, run)
            for number, branch in enumerate(branches):
                place = video + number * size
                write(row, place, branch.run)
                _allow(mask[row, number, 0], branch, video)
                answers += [(row, place + at + length - 1) for at, length in branch.tails]
                target += branch.target
                cube_words += [(row, place + at) for at, _ in branch.tails]
                states += branch.states
                words += [(row, place + at, token) for at, token in branch.words]
        return Batch(
            ids,
            positions,
            visual,
            mask.flatten(0, 1),
            torch.tensor(answers),
            torch.tensor(target),
            torch.tensor(words, dtype=torch.long).view(-1, 3),
            torch.tensor(cube_words),
            torch.tensor(cube_words) + torch.tensor([0, DISC_WORD]),
            torch.from_numpy(np.stack(states)),
            clips,
            pairs,
        )

    def _lay_out(self, clip: Clip, rng: np.random.Generator) -> tuple[_Run, list[_Branch]]:
        layout, stamps, video = self._layout, clip.stamps, _Run()
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
            branch = _Branch(_Run(), tokens[length // 2], length)
            self._ask(branch, clip, length, after[length // 2], rng)
            branches.append(branch)
        if not self._foreign_count:
            return video, branches
        length = branches[int(rng.integers(len(branches)))].frames
        branch = _Branch(_Run(), tokens[length // 2], length)
        self._ask_foreign(branch, clip, length, after[length // 2], rng)
        return video, [*branches, branch]

    def _ask(
        self, branch: _Branch, clip: Clip, length: int, start: int, rng: np.random.Generator
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
        self, branch: _Branch, clip: Clip, length: int, start: int, rng: np.random.Generator
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

    def _add_odd_frame(self, branch: _Branch, clip: Clip, length: int, start: int) -> int:
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


def _allow(mask: torch.Tensor, branch: _Branch, video: int) -> None:
    """Opens a branch's mask: its prefix, and of itself what a lone prompt would see."""
    mask[:, 0] = BLOCKED
    mask[: branch.run.length, : branch.prefix] = 0.0
    mask[branch.run.length :, 0] = 0.0
    shared = branch.tails[0][0]
    own = mask[:, video:]
    own[:shared, :shared] = torch.full((shared, shared), BLOCKED).triu(1)
    for place, length in branch.tails:
        here = slice(place, place + length)
        own[here, :shared] = 0.0
        own[here, here] = torch.full((length, length), BLOCKED).triu(1)
