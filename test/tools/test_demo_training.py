"""The demo model's training: what it is taught, and that it is asked as the package asks."""

from __future__ import annotations

import pickletools
from zipfile import ZipFile

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tools.pieces import Piece
from tools.simulation.instructions import COLOURS, all_instructions
from tools.training.batches import BatchMaker
from tools.training.branches import FOREIGN, ClipLayout
from tools.training.clips import CONTROLS, Clip, control_clip, make_clip, whole_clip
from tools.training.model import GRID, BatchedVision, make_model, normalised, pair_pixels
from tools.training.optimizer import make_optimizer, update
from tools.training.pace import PieceOver, Workers, rate
from tools.training.questions import prefix_lengths, question_indices
from tools.training.targets import FLOOR, NEARLY, log_odds
from tools.training.tokenizer import make_tokenizer
from tools.training.trainer import Trainer
from tools.training.wrong_instructions import ABSENT, wrong_at_any_time, wrong_when_done
from topreward_ros.method.prompt import Prompt, PromptForm
from topreward_ros.models.families.qwen3_vl import Qwen3VL
from topreward_ros.models.families.qwen3_vl_layout import Qwen3VLLayout
from topreward_ros.models.families.qwen_patches import patchify
from topreward_ros.models.video_unit import units_of

FRAMES = 7


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def clip():
    rng = np.random.default_rng(4)
    target = rng.uniform(-9, 3, (FRAMES, len(all_instructions()))).astype(np.float32)
    return Clip(
        frames=rng.integers(0, 256, (FRAMES, 96, 96, 3), np.uint8),
        stamps=np.arange(FRAMES) * 0.5,
        target=target,
        shown=target,
        parts=np.zeros((FRAMES, 6, 6, 5), np.uint8),
        colours=np.array([0, 1, 2, 3]),
        gripped=np.zeros(FRAMES, bool),
        episode=0,
    )


@pytest.mark.parametrize("text", [" True", " False", "True", "<|video_pad|>", "<|im_start|>"])
def test_the_answers_and_markers_are_one_token_each(tokenizer, text):
    assert len(tokenizer.encode(text, add_special_tokens=False)) == 1


@pytest.mark.parametrize("form", list(PromptForm))
def test_every_prompt_survives_the_tokenizer(tokenizer, form):
    for text in all_instructions():
        question = Prompt(form).after_video(text)
        ids = tokenizer.encode(question, add_special_tokens=False)
        assert tokenizer.decode(ids) == question


def test_digits_of_a_time_stamp_stand_alone(tokenizer):
    assert tokenizer.tokenize("<12.3 seconds>")[1:5] == ["1", "2", ".", "3"]


def test_words_outside_the_scene_are_spelled_and_not_lost(tokenizer):
    text = "fold the Handtuch überall 毛巾"
    assert tokenizer.decode(tokenizer.encode(text, add_special_tokens=False)) == text


def test_taught_log_odds_rise_with_progress_and_jump_when_done():
    progress = np.array([[0.0], [0.3], [0.96], [1.0], [1.0], [0.2], [1.0]], np.float32)
    taught = log_odds(progress, np.arange(7) * 0.5)[:, 0]
    assert taught[0] == FLOOR
    assert FLOOR < taught[1] < taught[2] < NEARLY
    assert taught[2] < 0 < taught[3] < taught[4]
    assert taught[5] < taught[2], "a cube that falls off must not stay done"
    assert taught[6] == pytest.approx(taught[3]), "time counts anew after a fall"


def test_wrong_instructions_never_include_the_right_one():
    rng = np.random.default_rng(0)
    texts, names = all_instructions(), list(COLOURS)
    for _ in range(50):
        asked = question_indices(np.array([0, 1, 2, 3]), 4, rng)
        assert texts[asked[0]] == f"put the {names[0]} cube on the {names[1]} disc"
        assert len(set(asked)) == 4


def test_the_whole_episode_is_always_among_the_prefixes(clip):
    rng = np.random.default_rng(0)
    for _ in range(20):
        lengths = prefix_lengths(clip.target, 3, rng)
        assert lengths[-1] == FRAMES
        assert lengths == sorted(set(lengths))


def test_many_pairs_become_the_patches_of_the_package(clip):
    pairs = np.stack([clip.frames[:2], clip.frames[2:4]])
    patches = pair_pixels(normalised(pairs))
    for pair, made in zip(pairs, patches, strict=True):
        assert torch.equal(made, patchify(pair, GRID))


def test_batched_vision_equals_the_official_tower(tokenizer, clip):
    model = make_model(tokenizer, 0).eval()
    for merger in model.model.visual.deepstack_merger_list:
        torch.nn.init.normal_(merger.linear_fc2.weight, std=0.05)
    pixels = pair_pixels(normalised(clip.frames[:6].reshape(3, 2, 96, 96, 3)))
    with torch.no_grad():
        features, layers = BatchedVision(model)(pixels)
        official = model.get_video_features(pixels.flatten(0, 1), GRID.thw.repeat(3, 1))
    torch.testing.assert_close(features, torch.stack(list(official.pooler_output)))
    for ours, theirs in zip(layers, official.deepstack_features, strict=True):
        torch.testing.assert_close(ours, torch.stack(list(theirs)))


def test_every_question_of_a_batch_scores_as_its_prompt_alone(clip, tmp_path):
    trainer = Trainer([], [], tmp_path, 0, Workers())
    with torch.no_grad():
        batch = trainer.maker([clip], np.random.default_rng(5))
        said = trainer.student.answers(batch, trainer.student.see(batch, None))
    asked = said.asked[:, trainer.student.true].tolist()
    alone = make_model(make_tokenizer(), 0).eval()
    alone.load_state_dict(trainer.student.model.state_dict())
    package = Qwen3VL(alone, make_tokenizer(), Prompt(), (96, 96))
    rng, texts, number, shifted = np.random.default_rng(5), all_instructions(), 0, []
    for length in prefix_lengths(clip.target, 5, rng):
        frames, stamps = list(clip.frames[:length]), list(clip.stamps[:length])
        for question in question_indices(clip.colours, 3, rng):
            with torch.no_grad():
                exact = package.reference_log_prob(units_of(frames, stamps, 2), texts[question])
                late = [stamp + 1.0 for stamp in stamps]
                later = package.reference_log_prob(units_of(frames, late, 2), texts[question])
                shifted.append(later - exact)
            assert asked[number] == pytest.approx(exact, abs=1e-4)
            assert float(batch.target[number]) == pytest.approx(clip.target[length - 1, question])
            number += 1
    assert number == len(asked) - FOREIGN
    assert max(map(abs, shifted)) > 1e-3, "wrong time stamps must show, or this proves nothing"


@pytest.fixture
def success(clip):
    """A recorded success, as `recorded_set.load` gives it."""
    progress = np.zeros((FRAMES, len(all_instructions())), np.float32)
    progress[:, 0] = np.clip(np.arange(FRAMES) / 4, 0.0, 1.0)
    told = {name: getattr(clip, name) for name in ("frames", "stamps", "parts", "colours")}
    return {**told, "progress": progress, "gripped": clip.gripped, "success": np.asarray(True)}


@pytest.mark.parametrize("name", CONTROLS)
def test_a_control_is_taught_that_nothing_was_done(success, name):
    whole = whole_clip(0, success)
    assert whole.target.max() > 0
    control = control_clip(whole, name, np.random.default_rng(3))
    assert (control.target == FLOOR).all() and (control.stamps == whole.stamps).all()
    assert (control.frames != whole.frames).any()
    if name == "reversed":
        assert (control.frames == whole.frames[::-1]).all()
        assert (control.shown == whole.shown[::-1]).all(), "the pictures show what they show"
    if name == "drawing":
        assert not control.parts.any() and (control.shown == FLOOR).all()


def test_controls_are_among_the_clips_of_training_but_the_most_are_as_recorded(success):
    rng = np.random.default_rng(0)
    clips = [make_clip(0, success, rng) for _ in range(400)]
    nothing = np.mean([(clip.target == FLOOR).all() for clip in clips])
    whole = np.mean([len(c.frames) == FRAMES and c.target[-1].max() > 0 for c in clips])
    assert 0.08 < nothing < 0.35 and whole > 0.5


def test_contradictions_and_absent_colours_are_asked_and_denied(success, tokenizer):
    layout = ClipLayout(Qwen3VLLayout(tokenizer, Prompt(), GRID), 5, 3)
    batch = BatchMaker(layout)([whole_clip(0, success)], np.random.default_rng(1))
    foreign = torch.isnan(batch.cube_state).any(dim=1)
    assert int(foreign.sum()) == FOREIGN
    assert (batch.target[foreign] == FLOOR).all()
    row, place = batch.answers[foreign][0].tolist()
    assert layout._foreign, "its words are of their own"
    assert int(batch.ids[row, place]) == int(next(iter(layout._foreign.values())).ids[-1])


def test_validation_scores_the_right_and_the_wrong_instructions(success, tmp_path):
    failure = {**success, "success": np.asarray(False)}
    trainer = Trainer([], [success, failure], tmp_path, 0, Workers())
    figures = trainer.validate(2)
    assert set(figures) == {"voc", "auc_success", "auc_instruction"}
    assert all(np.isfinite(value) for value in figures.values())


def test_what_is_asked_wrongly_is_never_an_instruction_of_this_scene():
    rng = np.random.default_rng(0)
    for draw in (wrong_when_done, wrong_at_any_time):
        texts = {draw("red", "green", rng) for _ in range(200)}
        assert len(texts) > 6 and not texts & set(all_instructions())
    names = set(COLOURS)
    assert not names & set(ABSENT)


def names_pickled(path):
    """Classes and functions that a file of `torch.save` names."""
    with ZipFile(path) as archive:
        (pickled,) = (name for name in archive.namelist() if name.endswith("data.pkl"))
        parts = list(pickletools.genops(archive.read(pickled)))
    assert not [op for op, _, _ in parts if op.name == "STACK_GLOBAL"], "names elsewhere"
    return [name for op, name, _ in parts if op.name == "GLOBAL"]


def test_training_goes_on_where_it_was_stopped(success, tmp_path):
    def stopped(clock):
        trainer = Trainer([success] * 8, [], tmp_path, 0, Workers())
        seconds = iter(clock)
        piece = Piece(1.0, "training", clock=lambda: next(seconds), say=lambda text: None)
        trainer.goes_on(tmp_path / "state.pt", piece)
        return trainer

    first = stopped([0.0, 0.0, 0.0, 61.0])
    with pytest.raises(PieceOver):
        first.phase(0, lambda: first.train_vision(10.0, 1e-3))
    assert first.place.phase == 0 and first.place.step > 0
    rooms = {name.split(".")[0].split()[0] for name in names_pickled(tmp_path / "state.pt")}
    assert rooms <= {"torch", "collections"}, "a state must outlive the names of these modules"
    again = stopped([0.0, 0.0, 61.0, 61.0, 61.0])
    assert again.place == first.place and again.place.seconds > 0
    assert type(rate(0.5, 1.0, 1e-3)) is float, "a state with numbers of numpy is not read again"
    mine, theirs = (each.student.model.state_dict() for each in (again, first))
    assert all(torch.equal(weight, theirs[name]) for name, weight in mine.items())
    with pytest.raises(PieceOver):
        again.phase(0, lambda: again.train_vision(10.0, 1e-3))
    assert again.place.step > first.place.step
    again.phase(0, lambda: None)
    last = stopped([0.0] * 3)
    last.phase(0, lambda: pytest.fail("this phase is over"))
    assert last.place.phase == 1


def test_training_steps_lower_the_loss(clip, tmp_path):
    torch.manual_seed(0)
    trainer = Trainer([], [], tmp_path, 0, Workers())
    student = trainer.student
    optimizer, losses = make_optimizer(student), []
    for _ in range(6):
        batch = trainer.maker([clip], np.random.default_rng(1))
        parts = student.loss(batch, trainer.rng, at_rest=True)
        total = sum(parts.values())
        update(student, optimizer, total, 1e-3, trainer.workers)
        losses.append(float(total.detach()))
    assert losses[-1] < 0.8 * losses[0]
