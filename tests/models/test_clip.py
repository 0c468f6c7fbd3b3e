"""Encoding with a model, against open_clip used plainly, one image and one text at a time."""

import _thread
import copy
import dataclasses
import re
import threading

import numpy as np
import open_clip
import pytest
import torch
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torch import nn

from crosseyed.data import layouts
from crosseyed.data.cutouts import read_catalogue
from crosseyed.data.scenes import Scene
from crosseyed.errors import InputError
from crosseyed.models import clip
from crosseyed.models.clip import DTYPES
from crosseyed.models.loading import load
from crosseyed.models.scorer import Encoder, UnreadableImagesWarning


class Recorder(nn.Module):
    """Stands for a CLIP; keeps what it is given, and can have too little memory."""

    def __init__(self, embed_dim, most=None):
        super().__init__()
        self.embed_dim, self.most, self.batches = embed_dim, most, []

    def encode_image(self, batch):
        if self.most and len(batch) > self.most:
            raise torch.OutOfMemoryError
        self.batches.append(batch)
        return batch.flatten(1)[:, : self.embed_dim]

    def encode_text(self, tokens):
        self.batches.append(tokens)
        return tokens[:, : self.embed_dim].float()


def test_a_loaded_model_is_an_encoder_at_rest(tiny_clip):
    assert isinstance(tiny_clip, Encoder)
    assert not tiny_clip.clip.training
    assert not any(parameter.requires_grad for parameter in tiny_clip.clip.parameters())
    assert tiny_clip.image_size == (32, 32)
    assert tiny_clip.logit_scale == pytest.approx(1 / 0.07)  # open_clip's initial value
    assert tiny_clip.logit_bias is None


@pytest.mark.parametrize("resize", ["crop", "squash", "letterbox"])
def test_image_embeddings_are_those_of_open_clip_one_image_at_a_time(tiny_folder, photographs, resize):
    encoder = load(f"local-dir:{tiny_folder}", resize=resize)
    clip, _, preprocess = open_clip.create_model_and_transforms(
        f"local-dir:{tiny_folder}",
        image_resize_mode={"crop": "shortest", "squash": "squash", "letterbox": "longest"}[resize],
    )
    clip.eval()
    with torch.no_grad():
        one_by_one = [
            clip.encode_image(preprocess(Image.open(path))[None], normalize=True) for path in photographs
        ]
    embeddings = encoder.encode_images(photographs)
    np.testing.assert_allclose(embeddings, torch.cat(one_by_one).numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-6)
    assert embeddings.dtype == np.float32
    assert encoder.resize == resize


@pytest.mark.parametrize("resize_mode", ["shortest", "squash", "longest"])
@pytest.mark.parametrize("interpolation", ["bicubic", "bilinear"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_preprocessing_is_the_models_own_bit_for_bit(
    tiny_clip, photographs, size, interpolation, resize_mode
):
    config = PreprocessCfg(
        size=size,
        mean=(0.48, 0.31, 0.7),
        std=(0.26, 0.3, 0.11),
        interpolation=interpolation,
        resize_mode=resize_mode,
    )
    preprocess = image_transform_v2(config, is_train=False)
    recorder = Recorder(embed_dim=tiny_clip.tower.embed_dim)
    dataclasses.replace(tiny_clip, preprocess=preprocess, clip=recorder).encode_images(photographs)
    expected = torch.stack([preprocess(Image.open(path)) for path in photographs])
    assert torch.equal(torch.cat(recorder.batches), expected)


def test_scenes_are_kept_as_resized_for_models_that_resize_alike_and_no_others(tiny_clip, monkeypatch):
    scenes = layouts.grid(read_catalogue(["fluent"])[:1], 3)
    drawn, render = [], Scene.render
    monkeypatch.setattr(Scene, "render", lambda scene: drawn.append(scene.name) or render(scene))
    monkeypatch.setattr(clip, "_kept", type(clip._kept)())
    monkeypatch.setattr(clip, "_KEPT_BYTES", 6 * 32 * 32 * 3)
    config = PreprocessCfg(size=32, mean=(0.1, 0.2, 0.3), std=(1, 1, 1), resize_mode="longest", fill_color=9)
    padding, other = (
        dataclasses.replace(
            tiny_clip,
            preprocess=image_transform_v2(dataclasses.replace(config, fill_color=color), is_train=False),
        )
        for color in (9, 200)
    )
    wide = [dataclasses.replace(scene, width=300).render for scene in scenes[:3]]
    expected = [each.encode_images([draw() for draw in wide]) for each in (tiny_clip, padding, other)]
    drawn.clear()
    for _ in range(2):
        for each, embeddings in zip((tiny_clip, padding), expected, strict=False):
            np.testing.assert_array_equal(each.encode_images(wide), embeddings)
    assert len(drawn) == 2 * len(wide)  # once for each way to resize: a model of the same way needs none
    np.testing.assert_array_equal(other.encode_images(wide), expected[2])
    assert len(drawn) == 3 * len(wide) and len(clip._kept) == 6
    tiny_clip.encode_images(wide)  # its own were the oldest
    assert len(drawn) == 4 * len(wide)


def test_any_number_of_images_from_a_generator(tiny_clip):
    colors = np.random.default_rng(0).integers(0, 256, (70, 1, 1, 3), dtype=np.uint8)  # more than two batches
    images = [np.tile(color, (32, 32, 1)) for color in colors]
    embeddings = tiny_clip.encode_images(image for image in images)
    alone = np.concatenate([tiny_clip.encode_images([image]) for image in images])
    np.testing.assert_allclose(embeddings, alone, rtol=1e-4, atol=1e-6)
    assert tiny_clip.encode_images([]).shape == (0, 32)


def test_unreadable_images_are_nan_and_reported_once_by_name(tiny_clip, photographs, tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.png").write_text("text")
    sources = [photographs[0], tmp_path / "empty.jpg", photographs[1], tmp_path / "text.png"]
    with pytest.warns(UnreadableImagesWarning) as caught:
        embeddings = tiny_clip.encode_images(sources)
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("2 of 4 images")
    assert re.search(r"empty\.jpg \(the file is empty\); .*text\.png", message)
    assert np.isnan(embeddings).all(axis=1).tolist() == [False, True, False, True]
    np.testing.assert_array_equal(embeddings[[0, 2]], tiny_clip.encode_images(photographs[:2]))
    with pytest.warns(UnreadableImagesWarning, match="1 of 1"):
        assert np.isnan(tiny_clip.encode_images([tmp_path / "empty.jpg"])).all()


def test_a_long_list_of_unreadable_images_ends_with_a_count(tiny_clip):
    with pytest.warns(UnreadableImagesWarning, match=r"^30 of 30 .*missing-19 .*; 10 more\.$"):
        tiny_clip.encode_images([f"missing-{number:02}" for number in range(30)])


def test_a_model_that_gives_nan_is_not_an_image_that_cannot_be_read(tiny_clip):
    clip = copy.deepcopy(tiny_clip.clip)
    clip.visual.proj.data[0, 0] = clip.text_projection.data[0, 0] = float("nan")
    broken = dataclasses.replace(tiny_clip, clip=clip)
    for encode in (
        lambda: broken.encode_images([np.zeros((9, 9, 3), np.uint8)]),
        lambda: broken.encode_texts(["a"]),
    ):
        with pytest.raises(
            InputError, match=rf"{tiny_clip.name} gives embeddings that are NaN.*precision='fp32'"
        ):
            encode()


def test_a_mistake_of_the_caller_is_an_error(tiny_clip):
    for several in ("image.jpg", Image.new("RGB", (8, 8))):
        with pytest.raises(InputError, match="into a list"):
            tiny_clip.encode_images(several)
    with pytest.raises(InputError, match="not int"):
        tiny_clip.encode_images([np.zeros((8, 8, 3), np.uint8), 7])
    for texts in ("a cat", ["a cat", 7]):
        with pytest.raises(InputError, match="list of texts"):
            tiny_clip.encode_texts(texts)


@pytest.mark.usefixtures("interruptible")
def test_an_interruption_leaves_no_threads(tiny_clip):
    image = np.zeros((32, 32, 3), np.uint8)
    started = threading.Event()

    def render():
        if not started.is_set():
            started.set()
            _thread.interrupt_main()
        return image

    with pytest.raises(KeyboardInterrupt):
        tiny_clip.encode_images(render for _ in range(100_000))
    for thread in threading.enumerate():
        if thread.name.startswith("crosseyed"):
            thread.join(timeout=5)
            assert not thread.is_alive()


def test_a_batch_that_exceeds_the_memory_is_halved(tiny_clip, photographs):
    recorder = Recorder(tiny_clip.tower.embed_dim, most=2)
    embeddings = dataclasses.replace(tiny_clip, clip=recorder).encode_images(photographs)
    roomy = dataclasses.replace(tiny_clip, clip=Recorder(tiny_clip.tower.embed_dim)).encode_images(
        photographs
    )
    np.testing.assert_array_equal(embeddings, roomy)
    assert max(len(batch) for batch in recorder.batches) <= 2
    with pytest.raises(torch.OutOfMemoryError):
        dataclasses.replace(tiny_clip, clip=Recorder(tiny_clip.tower.embed_dim, most=-1)).encode_images(
            photographs
        )


def test_text_embeddings_are_those_of_open_clip_and_each_distinct_text_is_computed_once(tiny_clip):
    texts = ["a cat", "a dog and a cat", "a cat", "a photo of a bicycle", "a dog and a cat"]
    tokenizer = open_clip.get_tokenizer("ViT-B-32", context_length=16)
    with torch.no_grad():
        one_by_one = [tiny_clip.clip.encode_text(tokenizer([text]), normalize=True) for text in texts]
    np.testing.assert_allclose(tiny_clip.encode_texts(texts), torch.cat(one_by_one), rtol=1e-4, atol=1e-6)
    recorder = Recorder(embed_dim=16)
    tower = dataclasses.replace(tiny_clip.tower, embed_dim=16)
    dataclasses.replace(tiny_clip, clip=recorder, tower=tower).encode_texts(texts)
    assert sum(len(batch) for batch in recorder.batches) == 3
    assert tiny_clip.encode_texts([]).shape == (0, 32)


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_lower_precision_is_near_full_precision(tiny_folder, tiny_clip, photographs, precision):
    encoder = load(f"local-dir:{tiny_folder}", precision=precision)
    assert encoder.clip.visual.conv1.weight.dtype == DTYPES[precision]
    for low, full in [
        (encoder.encode_images(photographs), tiny_clip.encode_images(photographs)),
        (encoder.encode_texts(["a cat"]), tiny_clip.encode_texts(["a cat"])),
    ]:
        assert low.dtype == np.float32
        assert (low * full).sum(axis=1).min() > 0.999
        assert not np.array_equal(low, full)


def test_a_text_embeds_as_open_clip_embeds_it_whatever_stands_beside_it(tiny_clip):
    texts = ["a dog", "a photo of a very old dog beside a cat and a refrigerator", "dog " * 100]
    with torch.no_grad():
        expected = tiny_clip.clip.encode_text(tiny_clip.tokenizer(texts), normalize=True).numpy()
    assert np.allclose(tiny_clip.encode_texts(texts), expected, atol=1e-6)
    assert np.allclose(tiny_clip.encode_texts(texts[:1]), expected[:1], atol=1e-6)
