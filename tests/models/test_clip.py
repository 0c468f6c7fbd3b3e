"""Loading a model and encoding with it, against open_clip used plainly, one image and one text at a time."""

import _thread
import dataclasses
import json
import os
import re
import threading
import warnings

import numpy as np
import open_clip
import pytest
import torch
from conftest import TINY_CONFIG, TINY_PREPROCESS
from huggingface_hub import constants as hub_constants
from open_clip.loss import SigLipLoss
from open_clip.transform import PreprocessCfg, image_transform_v2
from open_clip.transformer import QuickGELU
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import nn

from crosseyed import hub
from crosseyed.errors import CheckpointError, DownloadError, InputError
from crosseyed.models import sources
from crosseyed.models.clip import PRECISIONS
from crosseyed.models.loading import load
from crosseyed.models.scorer import RANDOM, Encoder, UnreadableImagesWarning
from crosseyed.models.towers.description import describe_tower

SIZES = [(32, 32), (40, 30), (30, 47), (500, 100), (1, 1), (224, 224), (33, 640)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    generator = np.random.default_rng(0)
    for number, (width, height) in enumerate(SIZES):
        pixels = generator.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg")
    return sorted(folder.iterdir())


@pytest.fixture
def known_tiny(monkeypatch, tiny_folder, tmp_path):
    """Tiny as an architecture of open_clip with a published tag, and an empty cache of the Hub."""
    tag = {"hf_hub": "somebody/tiny/", "quick_gelu": True, **TINY_PREPROCESS, "mean": [0.1, 0.2, 0.3]}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Tiny", TINY_CONFIG)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", {"published": tag})
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "_network_problem", lambda: "there is no network here")
    return tiny_folder / "open_clip_model.safetensors"


def in_cache(folder, weights):
    """Lay a file where huggingface_hub keeps what it has downloaded."""
    repository = folder / "hub" / "models--somebody--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / "open_clip_model.safetensors").symlink_to(weights)


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


# --- encoding ---------------------------------------------------------------------------------------------


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


def test_any_number_of_images_from_a_generator(tiny_clip):
    colors = np.random.default_rng(0).integers(0, 256, (70, 1, 1, 3), dtype=np.uint8)  # more than two batches
    pictures = [np.tile(color, (32, 32, 1)) for color in colors]
    embeddings = tiny_clip.encode_images(picture for picture in pictures)
    alone = np.concatenate([tiny_clip.encode_images([picture]) for picture in pictures])
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


def test_a_mistake_of_the_caller_is_an_error(tiny_clip):
    for several in ("image.jpg", Image.new("RGB", (8, 8))):
        with pytest.raises(InputError, match="into a list"):
            tiny_clip.encode_images(several)
    with pytest.raises(InputError, match="not int"):
        tiny_clip.encode_images([np.zeros((8, 8, 3), np.uint8), 7])
    for texts in ("a cat", ["a cat", 7]):
        with pytest.raises(InputError, match="list of texts"):
            tiny_clip.encode_texts(texts)


def test_an_interruption_leaves_no_threads(tiny_clip):
    picture = np.zeros((32, 32, 3), np.uint8)
    started = threading.Event()

    def render():
        if not started.is_set():
            started.set()
            _thread.interrupt_main()
        return picture

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
    assert encoder.clip.visual.conv1.weight.dtype == PRECISIONS[precision]
    for low, full in [
        (encoder.encode_images(photographs), tiny_clip.encode_images(photographs)),
        (encoder.encode_texts(["a cat"]), tiny_clip.encode_texts(["a cat"])),
    ]:
        assert low.dtype == np.float32
        assert (low * full).sum(axis=1).min() > 0.999
        assert not np.array_equal(low, full)


# --- loading ----------------------------------------------------------------------------------------------


def same_weights(clip, weights):
    return all(torch.equal(tensor, weights[name]) for name, tensor in clip.state_dict().items())


def test_a_folder_is_named_after_itself(tiny_folder, tiny_clip):
    assert (tiny_clip.name, tiny_clip.model, tiny_clip.pretrained) == ("tiny", "tiny", "local-dir")
    assert same_weights(tiny_clip.clip, load_file(tiny_folder / "open_clip_model.safetensors"))


def test_what_the_repository_ships_is_loaded_by_its_name(monkeypatch, tmp_path, tiny_folder):
    monkeypatch.setattr(sources, "DATA", tmp_path)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "pocketclip-centered").symlink_to(tiny_folder)
    encoder = load("pocketclip-centered")
    assert (encoder.name, encoder.model) == ("pocketclip-centered", "pocketclip-centered")
    assert encoder.pretrained == "crosseyed"
    with pytest.raises(InputError, match=r"'pocketclip-uniform' is not in .*CROSSEYED_DATA"):
        load("pocketclip-uniform")


def test_the_shipped_configuration_of_detailclip_is_that_of_a_vit_b_16():
    with torch.device("meta"):
        built = sources.build("DetailCLIP-ViT-B-16", RANDOM, device="meta")
    tower = describe_tower(built.clip.visual, built.config)
    assert (tower.patch_size, tower.layers, tower.width, tower.pooling) == ((16, 16), 12, 768, "class token")
    with pytest.raises(InputError, match=r"no weights in .*checkpoint="):
        load("DetailCLIP-ViT-B-16")


def test_a_sigmoid_model_keeps_its_own_scale_and_bias(tiny_folder, tmp_path):
    """Its probabilities by scale and bias are those of open_clip's own loss."""
    folder = tmp_path / "sigmoid"
    folder.mkdir()
    config = json.loads((tiny_folder / "open_clip_config.json").read_text())
    config["model_cfg"] |= {"init_logit_bias": -10.0, "init_logit_scale": 2.0}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    weights = load_file(tiny_folder / "open_clip_model.safetensors")
    weights |= {"logit_scale": torch.tensor(1.5), "logit_bias": torch.tensor([-3.0])}
    save_file(weights, folder / "open_clip_model.safetensors")
    encoder = load(f"local-dir:{folder}")
    assert (encoder.logit_bias, encoder.logit_scale) == (-3.0, pytest.approx(np.exp(1.5)))
    picture, texts = np.zeros((32, 32, 3), np.uint8), ["a cat", "a dog"]
    logits = encoder.logit_scale * encoder.similarities([picture], texts) + encoder.logit_bias
    images, captions = encoder.encode_images([picture]), encoder.encode_texts(texts)
    loss = SigLipLoss()
    for number, logit in enumerate(logits[0]):
        alone = loss(
            torch.from_numpy(images),
            torch.from_numpy(captions[[number]]),
            encoder.clip.logit_scale.exp(),
            encoder.clip.logit_bias,
        )
        np.testing.assert_allclose(np.log1p(np.exp(-logit)), alone.item(), rtol=1e-5)


@pytest.mark.parametrize(
    ("name", "architecture", "words"),
    [
        ("NegCLIP", "ViT-B-32", ["negclip.pth", "mertyg/vision-language-models-are-bows", "'openai'"]),
        ("DetailCLIP", "DetailCLIP-ViT-B-16", ["detailclip.pt", "KishoreP1/DetailCLIP"]),
        ("SuperCLIP", "ViT-B-16", ["superclip.pt", "hustvl/SuperCLIP"]),
    ],
)
def test_a_named_model_without_its_file_says_whence_it_comes_and_where_it_goes(name, architecture, words):
    with pytest.raises(InputError) as caught:
        load(name)
    for word in (*words, "checkpoints", "checkpoint=", f"Architecture: {architecture}", "arXiv"):
        assert word in str(caught.value)
    with pytest.raises(InputError, match=f"'{name}' is one checkpoint"):
        load(name, "openai")


def test_a_named_model_is_loaded_from_its_place_or_from_a_file(known_tiny, tmp_path, monkeypatch):
    named = sources.NamedModel("Tiny", "published", "mine.safetensors", "https://example.org", "Someone")
    monkeypatch.setitem(sources.NAMED, "MineCLIP", named)
    monkeypatch.setattr(sources, "DATA", tmp_path)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "mine.safetensors").symlink_to(known_tiny)
    encoder = load("MineCLIP")
    assert (encoder.name, encoder.model, encoder.pretrained) == ("MineCLIP", "MineCLIP", "mine")
    assert same_weights(encoder.clip, load_file(known_tiny))
    given = load("MineCLIP", checkpoint=known_tiny)
    assert (given.name, given.pretrained) == (f"MineCLIP--{known_tiny.stem}", known_tiny.stem)
    save_file({"visual.conv1.weight": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(CheckpointError, match=r"architecture 'Tiny'.*visual\.conv1\.weight \(expected"):
        load("MineCLIP", checkpoint=tmp_path / "other.safetensors")


def test_random_weights_follow_the_seed_and_leave_the_random_state_alone(known_tiny):
    before = torch.random.get_rng_state()
    first, again, other = (load("Tiny", pretrained="random", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (first.name, first.model, first.pretrained) == ("Tiny--random", "Tiny", "random")
    assert same_weights(first.clip, again.clip.state_dict())
    assert not same_weights(first.clip, other.clip.state_dict())


def test_a_tag_in_the_cache_is_loaded_without_network_as_it_was_trained(known_tiny, tmp_path):
    in_cache(tmp_path, known_tiny)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # open_clip warns of an activation function that does not match
        encoder = load("Tiny", "published")
    assert (encoder.name, encoder.model, encoder.pretrained) == ("Tiny--published", "Tiny", "published")
    assert same_weights(encoder.clip, load_file(known_tiny))
    assert any(isinstance(module, QuickGELU) for module in encoder.clip.visual.modules())
    assert encoder.preprocess.transforms[-1].mean == [0.1, 0.2, 0.3]


def test_a_repository_in_the_cache_is_loaded_without_network(known_tiny, tmp_path, tiny_clip, photographs):
    in_cache(tmp_path, known_tiny)
    snapshot = next((tmp_path / "hub").glob("*/snapshots/*"))
    (snapshot / "open_clip_config.json").symlink_to(known_tiny.parent / "open_clip_config.json")
    encoder = load("hf-hub:somebody/tiny")
    assert (encoder.name, encoder.pretrained) == ("somebody--tiny", "hf-hub")
    np.testing.assert_array_equal(encoder.encode_images(photographs), tiny_clip.encode_images(photographs))


def test_an_architecture_with_a_checkpoint_file_is_named_after_it(known_tiny, tmp_path):
    torch.save({"state_dict": load_file(known_tiny)}, tmp_path / "negclip.pth")
    plain = load("Tiny", checkpoint=tmp_path / "negclip.pth")
    assert (plain.name, plain.pretrained) == ("Tiny--negclip", "negclip")
    assert same_weights(plain.clip, load_file(known_tiny))
    assert not any(isinstance(module, QuickGELU) for module in plain.clip.modules())
    tuned = load("Tiny", "published", checkpoint=tmp_path / "negclip.pth")
    assert tuned.name == "Tiny--negclip"
    assert any(isinstance(module, QuickGELU) for module in tuned.clip.modules())
    assert tuned.preprocess.transforms[-1].mean == [0.1, 0.2, 0.3]


def test_without_network_a_missing_download_says_what_how_large_and_what_instead(known_tiny):
    size = 4 * sum(parameter.numel() for parameter in open_clip.CLIP(**TINY_CONFIG).parameters()) / 1e6
    with pytest.raises(DownloadError) as caught:
        load("Tiny", "published")
    message = str(caught.value)
    assert f"the weights 'published' of 'Tiny' (somebody/tiny, about {size:.0f} MB)" in message
    assert "there is no network here" in message
    assert "load('Tiny', 'published', checkpoint='path/to/file')" in message
    with pytest.raises(DownloadError, match=r"'somebody/tiny' \(about .* MB\).*local-dir:"):
        load("hf-hub:somebody/tiny")
    with pytest.raises(DownloadError, match=r"'somebody/else' \(of unknown size\)"):
        load("hf-hub:somebody/else")


def test_sizes_are_those_of_the_published_files():
    # 151,277,313 parameters; the file open_clip_model.safetensors of the published ViT-B-32 has 605 MB
    assert sources._size("ViT-B-32") == "about 605 MB"
    assert sources._size("roberta-ViT-B-32") == "more than 351 MB"  # the image tower alone


def test_the_tokenizer_of_a_folder_is_taken_from_that_folder(tmp_path, tiny_folder):
    from tokenizers import Tokenizer, pre_tokenizers
    from tokenizers.models import WordLevel
    from transformers import PreTrainedTokenizerFast

    config = json.loads((tiny_folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {"vocab_size": 4, "hf_tokenizer_name": "of-its-own"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    words = Tokenizer(WordLevel({"<pad>": 0, "<unknown>": 1, "cat": 2, "dog": 3}, unk_token="<unknown>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, pad_token="<pad>", unk_token="<unknown>")
    tokenizer.save_pretrained(tmp_path)
    encoder = load(f"local-dir:{tmp_path}", RANDOM)
    assert encoder.tokenizer(["dog cat zebra"])[0, :4].tolist() == [3, 2, 1, 0]


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (["ViT-B32"], {}, r"Unknown model 'ViT-B32'; did you mean 'ViT-B-32'"),
        (["pocketclip-centred"], {}, r"did you mean 'pocketclip-centered'"),
        (["local-dir:/nowhere"], {}, r"'/nowhere' is not a model folder"),
        (["ViT-B-32", "openia"], {}, r"Unknown tag 'openia'; did you mean 'openai'\? .*laion2b_s34b_b79k"),
        (["ViT-B-32", __file__], {}, r"give it as checkpoint="),
        (["ViT-B-32"], {}, r"without weights.*pretrained='random'.*openai"),
        (["ViT-B-32", "random"], {"checkpoint": "mine.pt"}, r"leave out checkpoint"),
        (["hf-hub:a/b", "openai"], {}, r"Only an architecture takes a tag"),
        (["ViT-B-32", "openai"], {"device": "gpu"}, r"device 'gpu' is not available.*available: auto,.* cpu"),
        (["ViT-B-32", "openai"], {"device": "cuda:99"}, r"device 'cuda:99' is not available"),
        (["ViT-B-32", "openai"], {"precision": "fp61"}, r"Unknown precision 'fp61'; did you mean 'fp16'"),
        (["ViT-B-32", "openai"], {"resize": "squish"}, r"Unknown resize 'squish'; did you mean 'squash'"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_valid_choices(arguments, options, message):
    with pytest.raises(InputError, match=message):
        load(*arguments, **options)


@pytest.mark.parametrize("content", ["{", "[]", '{"model_cfg": {"embed_dim": 3}}'])
def test_a_folder_with_a_broken_configuration_is_named(tmp_path, content):
    (tmp_path / "open_clip_config.json").write_text(content)
    (tmp_path / "model.safetensors").touch()
    with pytest.raises(InputError, match=re.escape(str(tmp_path)) + ".*not a configuration of open_clip"):
        load(f"local-dir:{tmp_path}")


def test_loading_is_silent(tiny_folder, capfd):
    load(f"local-dir:{tiny_folder}")
    assert capfd.readouterr() == ("", "")
    assert os.environ.get("HF_HUB_OFFLINE") is None


def test_a_text_embeds_as_open_clip_embeds_it_whatever_stands_beside_it(tiny_clip):
    texts = ["a dog", "a photo of a very old dog beside a cat and a refrigerator", "dog " * 100]
    with torch.no_grad():
        expected = tiny_clip.clip.encode_text(tiny_clip.tokenizer(texts), normalize=True).numpy()
    assert np.allclose(tiny_clip.encode_texts(texts), expected, atol=1e-6)
    assert np.allclose(tiny_clip.encode_texts(texts[:1]), expected[:1], atol=1e-6)
