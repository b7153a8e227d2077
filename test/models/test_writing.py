"""A model writes what transformers' own greedy generation writes, on its processor's own inputs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from checkpoints import write_qwen3_vl
from family_checkpoints import SIZES, write_family
from PIL import Image
from transformers.image_utils import PILImageResampling
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.molmo2.image_processing_molmo2 import Molmo2ImageProcessor
from transformers.models.molmo2.processing_molmo2 import Molmo2Processor
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil
from transformers.models.qwen3_vl.processing_qwen3_vl import Qwen3VLProcessor

from topreward_ros.method.gvl import question_texts
from topreward_ros.models.checkpoints.loading import load_scorer
from topreward_ros.models.contract import ModelError, Written
from topreward_ros.models.families.registry import FAMILIES
from topreward_ros.models.writing import LocalWriter, writer_of

pytestmark = pytest.mark.slow

ALL = {"qwen3_vl": (32, 48), "qwen3_vl_moe": (32, 48), **SIZES}
TOKENS = 12
# How the chat template of each family's published checkpoints writes a turn.
ONE_BY_ONE = (
    "{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}PLACE{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
THINKING = (
    "{% if enable_thinking is defined and enable_thinking is false %}<think>\n\n</think>\n\n"
    "{% else %}<think>\n{% endif %}"
)
IN_FRONT = (
    "{% for part in messages[0].content if part.type == 'image' %}Image {{ loop.index }}<|image|>"
    "{% endfor %}<|im_start|>user\n{% for part in messages[0].content if part.type == 'text' %}"
    "{{ part.text }}{% endfor %}<|im_end|>\n{{ '<|im_start|>assistant\n' }}"
)


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    written = {name: write_family(name, tmp_path_factory.mktemp(name)) for name in SIZES}
    for name in ("qwen3_vl", "qwen3_vl_moe"):
        written[name] = write_qwen3_vl(tmp_path_factory.mktemp(name), moe="moe" in name)
    return written


@pytest.fixture(params=list(ALL))
def family(request):
    return request.param


@pytest.fixture
def load(checkpoints):
    def loaded(family, **options):
        options = {"device": "cpu", "frame_size": ALL[family], "dtype": "float64", **options}
        return load_scorer(str(checkpoints[family]), **options)

    return loaded


def pictures(family, count=3):
    rng = np.random.default_rng(3)
    return list(rng.integers(0, 256, (count, *ALL[family], 3), dtype=np.uint8))


def turn(family, count=3):
    texts = question_texts("open the drawer", count - 1)
    return [part for pair in zip(texts, pictures(family, count), strict=True) for part in pair]


def official_pixels(family, model, shown):
    """What the family's own image processor makes of pictures, run without torchvision."""
    config = model.config.vision_config
    images = [Image.fromarray(picture) for picture in shown]
    if family == "internvl":
        # The checkpoints' preprocessor_config.json names ImageNet's mean and deviation.
        processor = GotOcr2ImageProcessorPil(
            size={"height": 32, "width": 32}, crop_to_patches=True,
            image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225],
        )  # fmt: skip
        return dict(processor(images, return_tensors="pt"))
    if family == "molmo2":
        return molmo2_pixels(model, shown, margins=[0, 0])
    processor = Qwen2VLImageProcessorPil(
        patch_size=config.patch_size, merge_size=2, temporal_patch_size=2,
        size={"shortest_edge": 1, "longest_edge": 10**9},
        image_mean=[0.5] * 3, image_std=[0.5] * 3,
    )  # fmt: skip
    return dict(processor(images, return_tensors="pt"))


def molmo2_pixels(model, shown, margins):
    """Runs the processor's own cutting; a picture of its size is never resized."""

    def unchanged(image, size, **_):
        assert image.shape[-2:] == (size.height, size.width)
        return image

    def normal(image, *_):
        return (image / 255 - 0.5) / 0.5

    backend = SimpleNamespace(resize=unchanged, rescale_and_normalize=normal)
    backend._build_overlapping_crops = lambda *args, **more: (
        Molmo2ImageProcessor._build_overlapping_crops(backend, *args, **more)
    )
    backend._image_batch_to_patches_and_grids = lambda *args, **more: (
        Molmo2ImageProcessor._image_batch_to_patches_and_grids(backend, *args, **more)
    )
    side = shown[0].shape[0]
    return dict(
        Molmo2ImageProcessor._preprocess(
            backend,
            [torch.from_numpy(picture).permute(2, 0, 1).double() for picture in shown],
            do_resize=True, size=SimpleNamespace(height=side, width=side),
            resample=PILImageResampling.BILINEAR, do_rescale=True, rescale_factor=1 / 255,
            do_normalize=True, image_mean=[0.5] * 3, image_std=[0.5] * 3, do_convert_rgb=True,
            max_crops=8, overlap_margins=margins,
            patch_size=model.config.vision_config.patch_size, pooling_size=[2, 2],
            disable_grouping=False, return_tensors="pt",
        )
    )  # fmt: skip


def official_inputs(family, backbone, shown, prompt):
    """Ids and pixels as the family's processor makes them of a prompt with placeholders."""
    found, tokenizer = official_pixels(family, backbone.model, shown), backbone.tokenizer
    if family == "internvl":
        found["num_patches"] = [1] * len(shown)
        own = SimpleNamespace(
            start_image_token="<img>", end_image_token="</img>", image_token="<IMG_CONTEXT>",
            image_seq_length=backbone.model.config.image_seq_length,
        )  # fmt: skip
        kind, mark = InternVLProcessor, "<IMG_CONTEXT>"
    elif family == "molmo2":
        # As the checkpoints' processor_config.json has it.
        own = SimpleNamespace(
            image_use_col_tokens=True, use_single_crop_col_tokens=False,
            use_single_crop_start_token=True,
        )  # fmt: skip
        kind, mark = Molmo2Processor, "<|image|>"
    else:
        own = SimpleNamespace(
            image_processor=SimpleNamespace(merge_size=2), image_token="<|image_pad|>"
        )
        kind, mark = Qwen3VLProcessor, "<|image_pad|>"
    parts = prompt.split(mark)
    whole = parts[0]
    for index, part in enumerate(parts[1:]):
        whole += kind.replace_image_token(own, found, index) + part
    ids = torch.tensor([tokenizer.encode(whole, add_special_tokens=False)])
    found.pop("num_patches", None)
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), **found}
    names = {
        "internvl": [],
        "molmo2": ["<im_patch>", "<im_col>", "<im_start>", "<low_res_im_start>", "<im_end>"],
    }
    kinds = tokenizer.convert_tokens_to_ids(names.get(family, ["<|image_pad|>"]))
    if kinds:
        inputs["mm_token_type_ids"] = torch.isin(ids, torch.tensor(kinds)).int()
    return inputs


def template(family):
    if family == "molmo2":
        return IN_FRONT
    place = {"internvl": "<IMG_CONTEXT>\n"}.get(
        family, "<|vision_start|><|image_pad|><|vision_end|>"
    )
    return ONE_BY_ONE.replace("PLACE", place) + THINKING * family.startswith("qwen3_5")


def test_every_family_is_here():
    assert set(ALL) == set(FAMILIES)


def test_what_is_written_is_transformers_own_greedy_generation(load, family):
    backbone = load(family).backbone
    writer = LocalWriter(backbone)
    inputs = official_inputs(family, backbone, pictures(family), writer.prompt(turn(family)))
    own = writer.inputs(turn(family))
    assert set(own) == set(inputs)
    for name, value in inputs.items():
        assert own[name].shape == value.shape, name
        assert (own[name].double() - value.double()).abs().max() <= 1e-6, name
    expected = backbone.model.generate(
        **inputs, do_sample=False, max_new_tokens=TOKENS,
        eos_token_id=backbone.tokenizer.eos_token_id, pad_token_id=0,
    )[0, inputs["input_ids"].shape[1] :]  # fmt: skip
    written = writer.write(turn(family), TOKENS)
    assert written.text == backbone.tokenizer.decode(expected, skip_special_tokens=True)
    assert written.finished == (int(expected[-1]) == backbone.tokenizer.eos_token_id)


def test_every_token_is_the_likeliest_of_the_public_forward_without_a_cache(load, family):
    backbone = load(family).backbone
    writer = LocalWriter(backbone)
    inputs, ids = writer.inputs(turn(family)), []
    for _ in range(5):
        logits = backbone.model(**inputs, use_cache=False).logits[0, -1]
        ids.append(int(logits.argmax()))
        more = torch.tensor([[ids[-1]]])
        inputs["input_ids"] = torch.cat([inputs["input_ids"], more], dim=1)
        for name in ("attention_mask", "mm_token_type_ids"):
            if name in inputs:
                last = torch.ones_like(more) if name == "attention_mask" else 0 * more
                inputs[name] = torch.cat([inputs[name], last.to(inputs[name])], dim=1)
        if ids[-1] == backbone.tokenizer.eos_token_id:
            break
    expected = backbone.tokenizer.decode(ids, skip_special_tokens=True)
    assert writer.write(turn(family), len(ids)).text == expected


def test_random_weights_of_a_configuration_write_too(checkpoints, family):
    scorer = load_scorer(f"random:{checkpoints[family]}", device="cpu", frame_size=ALL[family])
    assert isinstance(writer_of(scorer).write(turn(family), 2), Written)


def test_what_a_checkpoint_says_of_sampling_does_not_count(load):
    backbone = load("qwen3_vl").backbone
    expected = LocalWriter(backbone).write(turn("qwen3_vl"), TOKENS)
    said = {"do_sample": True, "temperature": 9.0, "top_p": 0.9, "top_k": 400,
            "repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "num_beams": 2}  # fmt: skip
    backbone.model.generation_config.update(**said)
    assert LocalWriter(backbone).write(turn("qwen3_vl"), TOKENS) == expected


def test_whatever_the_checkpoint_names_ends_an_answer(load):
    backbone = load("qwen3_vl").backbone
    first = LocalWriter(backbone).write(turn("qwen3_vl"), 1)
    assert not first.finished
    logits = backbone.model(**LocalWriter(backbone).inputs(turn("qwen3_vl"))).logits[0, -1]
    backbone.model.generation_config.eos_token_id = [int(logits.argmax()), 3]
    assert LocalWriter(backbone).write(turn("qwen3_vl"), TOKENS) == Written(first.text, True)


def test_the_checkpoints_own_chat_template_is_used(load, family):
    backbone = load(family).backbone
    plain = LocalWriter(backbone).prompt(turn(family))
    backbone.tokenizer.chat_template = template(family)
    prompt = LocalWriter(backbone).prompt(turn(family))
    if family == "molmo2":
        assert prompt.startswith("<|im_end|>Image 1<|image|>Image 2<|image|>Image 3<|image|><|im_")
        assert len(LocalWriter(backbone).inputs(turn(family))["image_grids"]) == 3
    else:
        assert prompt == plain
    assert prompt.endswith("</think>\n\n" if "3_5" in family else "<|im_start|>assistant\n")


def test_writing_leaves_the_scores_of_a_running_session_alone(load, family):
    scorer = load(family)

    def scores(between):
        session = scorer.start()
        for stamp, picture in enumerate(pictures(family)):
            session.append(picture, float(stamp))
            yield session.log_prob("open the drawer")
            between()

    writer = writer_of(scorer)
    alone = list(scores(lambda: None))
    assert list(scores(lambda: writer.write(turn(family), 2))) == alone


def test_a_picture_of_another_size_is_refused(load, family):
    writer = writer_of(load(family))
    with pytest.raises(ValueError, match=r"expected \(\d+, \d+, 3\) of uint8"):
        writer.write(["look: ", np.zeros((8, 8, 3), np.uint8)], 2)


def test_a_text_with_a_placeholder_is_refused(load, family):
    scorer = load(family)
    told = [f"open the {scorer.backbone.picture_mark}", pictures(family, 1)[0]]
    with pytest.raises(ValueError, match="has 2 places for 1 pictures"):
        writer_of(scorer).write(told, 2)


def test_a_model_that_runs_elsewhere_does_not_write():
    with pytest.raises(ModelError, match="gives scores only"):
        writer_of(SimpleNamespace(name="http://there"))


def test_molmo2_cuts_a_picture_of_its_published_size_as_its_processor_does(load):
    backbone = load("molmo2").backbone
    rng = np.random.default_rng(0)
    shown = list(rng.integers(0, 256, (2, 378, 378, 3), dtype=np.uint8))
    backbone.frame_size, backbone._patch = (378, 378), 14
    config = SimpleNamespace(config=SimpleNamespace(vision_config=SimpleNamespace(patch_size=14)))
    expected = molmo2_pixels(config, shown, margins=[4, 4])
    actual = backbone.picture_inputs(shown, torch.zeros(1, 1, dtype=torch.long))
    for name, value in expected.items():
        assert (actual[name] - value).abs().max() <= 1e-6, name
