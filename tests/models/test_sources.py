import json
import warnings

import numpy as np
import open_clip
import pytest
import torch
from huggingface_hub import constants as hub_constants
from open_clip.transformer import QuickGELU
from safetensors.torch import load_file, save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS

from crosseyed import editions, hub
from crosseyed.editions import folder_digest
from crosseyed.errors import CheckpointError, DownloadError, InputError
from crosseyed.files import content_digest
from crosseyed.models import sources
from crosseyed.models.loading import load
from crosseyed.models.scorer import RANDOM, SHIPPED
from crosseyed.models.towers.description import describe_tower


@pytest.fixture
def known_tiny(monkeypatch, tiny_folder, tmp_path):
    """Tiny as an architecture of open_clip with a published tag, and an empty cache of the Hub."""
    tag = {"hf_hub": "somebody/tiny/", "quick_gelu": True, **TINY_PREPROCESS, "mean": [0.1, 0.2, 0.3]}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "Tiny", TINY_CONFIG)
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, "Tiny", {"published": tag})
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(hub, "_network_problem", lambda url: "there is no network here")
    return tiny_folder / "open_clip_model.safetensors"


def in_cache(folder, weights):
    """Lay a file where huggingface_hub keeps what it has downloaded."""
    repository = folder / "hub" / "models--somebody--tiny"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    (snapshot / "open_clip_model.safetensors").symlink_to(weights)


def same_weights(clip, weights):
    return all(torch.equal(tensor, weights[name]) for name, tensor in clip.state_dict().items())


def test_a_folder_is_named_after_itself(tiny_folder, tiny_clip):
    name = f"tiny-{folder_digest(tiny_folder)}"
    assert (tiny_clip.name, tiny_clip.model, tiny_clip.pretrained) == (name, name, "local-dir")
    assert same_weights(tiny_clip.clip, load_file(tiny_folder / "open_clip_model.safetensors"))


def test_what_the_repository_ships_is_loaded_by_its_name(monkeypatch, tmp_path, tiny_folder):
    monkeypatch.setattr(sources, "DATA", tmp_path)
    monkeypatch.setattr(editions, "_SHIPPED", tmp_path / "models")
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


@pytest.mark.parametrize(
    ("name", "architecture", "words"),
    [
        ("NegCLIP", "ViT-B-32", ["negclip.pth", "mertyg/vision-language-models-are-bows", "'openai'"]),
        ("DetailCLIP", "DetailCLIP-ViT-B-16", ["detailclip.pt", "KishoreP1/DetailCLIP"]),
        ("SuperCLIP", "ViT-B-16", ["superclip.pt", "hustvl/SuperCLIP"]),
        ("DeCLIP", "EVA02-B-16", ["declip.pt", "xiaomoguhz/DeCLIP", "'merged2b_s8b_b131k'"]),
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
    origin = f"{known_tiny.stem}-{content_digest([known_tiny])}"
    assert (given.name, given.pretrained) == (f"MineCLIP--{origin}", origin)
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


@pytest.mark.parametrize(
    "given", [{"pretrained": "published"}, {"pretrained": "published", "checkpoint": True}]
)
def test_an_untrained_model_has_the_tower_of_the_trained_one_and_none_of_its_weights(
    given, known_tiny, tmp_path
):
    in_cache(tmp_path, known_tiny)
    if "checkpoint" in given:
        given = given | {"checkpoint": known_tiny}
    trained, untrained = load("Tiny", **given), load("Tiny", **given, untrained=True, seed=1)
    assert (untrained.name, untrained.pretrained) == ("Tiny--random", "random")
    assert str(untrained.clip) == str(trained.clip)  # with the activation function of the tag
    assert str(untrained.preprocess) == str(trained.preprocess)
    assert same_weights(untrained.clip, load("Tiny", "random", seed=1).clip.state_dict())
    assert not same_weights(untrained.clip, trained.clip.state_dict())


def test_an_untrained_model_needs_no_weights(known_tiny):
    assert load("Tiny", "published", untrained=True).pretrained == "random"  # which are in no cache


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
    with pytest.warns(
        UserWarning, match=r"'Tiny' is computed with GELU.*from published.*QuickGELU.*pretrained="
    ):
        plain = load("Tiny", checkpoint=tmp_path / "negclip.pth")
    origin = f"negclip-{content_digest([tmp_path / 'negclip.pth'])}"
    assert (plain.name, plain.pretrained) == (f"Tiny--{origin}", origin)
    assert same_weights(plain.clip, load_file(known_tiny))
    assert not any(isinstance(module, QuickGELU) for module in plain.clip.modules())
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # the tag says which activation function it is
        tuned = load("Tiny", "published", checkpoint=tmp_path / "negclip.pth")
    assert tuned.name == f"Tiny--published--{origin}"
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
    ("files", "words"),
    [
        (
            {},
            r"no tokenizer.*expected tokenizer\.json or vocab\.json with merges\.txt.*there are open_clip_config",
        ),
        ({"vocab.json": "{}"}, r"no tokenizer.*there are open_clip_config\.json, vocab\.json"),
        ({"tokenizer.json": "{"}, "tokenizer in .* cannot be read"),
        ({"tokenizer.json": "{}"}, "tokenizer in .* cannot be read"),
        ({"tokenizer.json": "", "tokenizer_config.json": "[]"}, "tokenizer in .* cannot be read"),
        ({"tokenizer.model": "nothing"}, "tokenizer in .* cannot be read"),
    ],
)
def test_what_a_folder_lacks_of_its_tokenizer_is_named(tmp_path, tiny_folder, files, words):
    config = json.loads((tiny_folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {"hf_tokenizer_name": "of-its-own"}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=words):
        load(f"local-dir:{tmp_path}", RANDOM)


def test_a_tokenizer_that_does_not_belong_to_its_model_is_told(tmp_path, tiny_folder):
    config = json.loads((tiny_folder / "open_clip_config.json").read_text())
    config["model_cfg"]["text_cfg"] |= {"vocab_size": 100}
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"makes token number 49,407, but its configuration knows 100"):
        load(f"local-dir:{tmp_path}", RANDOM)


def test_a_folder_of_transformers_is_told_from_one_of_open_clip(tmp_path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"no open_clip_config\.json.*It is one of transformers.*checkpoint="
    ):
        load(f"local-dir:{tmp_path}")


@pytest.mark.filterwarnings("ignore:The file does not say")
@pytest.mark.parametrize("given", ["folder", "index"])
def test_a_checkpoint_in_parts_is_known_by_all_of_them(known_tiny, tmp_path, given):
    weights = load_file(known_tiny)
    parts = {"a.safetensors": {}, "b.safetensors": {}}
    for number, name in enumerate(weights):
        parts["ab"[number % 2] + ".safetensors"][name] = weights[name]
    for part, tensors in parts.items():
        save_file(tensors, tmp_path / part)
    index = tmp_path / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {name: part for part in parts for name in parts[part]}}))
    checkpoint = index if given == "index" else tmp_path
    first = load("Tiny", checkpoint=checkpoint)
    assert same_weights(first.clip, weights)
    assert editions.Edition.from_mapping({"model": "Tiny", "checkpoint": str(checkpoint)}).name == first.name
    name = next(iter(parts["b.safetensors"]))
    save_file(parts["b.safetensors"] | {name: weights[name] * 2}, tmp_path / "b.safetensors")
    assert load("Tiny", checkpoint=checkpoint).name != first.name


@pytest.mark.parametrize(
    "model", ["hf-hub:", "hf-hub:a", "hf-hub:a/b/c", "hf-hub:../../etc", f"hf-hub:{'a' * 300}/b"]
)
def test_what_names_no_repository_is_not_asked_for(model):
    with pytest.raises(InputError, match="names no repository; give 'hf-hub:organization/repository'"):
        load(model)


@pytest.mark.parametrize(
    "model", ["a" * 300, "a\0b", "/", "..", "", "  ", "\udcff", "local-dir:", f"local-dir:{'a' * 300}"]
)
def test_no_name_of_a_model_ends_in_a_traceback(model):
    with pytest.raises(InputError) as caught:
        load(model)
    assert len(str(caught.value)) < 700


@pytest.mark.filterwarnings("ignore:The file does not say")
@pytest.mark.parametrize("name", ["random", "null"])
def test_a_checkpoint_that_is_called_like_a_word_of_ours_keeps_its_results(known_tiny, tmp_path, name):
    (tmp_path / f"{name}.safetensors").symlink_to(known_tiny)
    encoder = load("Tiny", checkpoint=tmp_path / f"{name}.safetensors")
    assert encoder.pretrained.startswith(f"{name}-") and encoder.pretrained != RANDOM


def test_a_folder_that_is_called_like_a_shipped_model_is_not_taken_for_it(tiny_folder, tmp_path):
    (tmp_path / "pocketclip-centered").symlink_to(tiny_folder)
    encoder = load(f"local-dir:{tmp_path / 'pocketclip-centered'}")
    assert encoder.model != "pocketclip-centered" and encoder.pretrained != SHIPPED


@pytest.mark.filterwarnings("ignore:The file does not say")
def test_the_digest_is_that_of_the_weights_whatever_their_file(known_tiny, tmp_path):
    torch.save(load_file(known_tiny), tmp_path / "same.pt")
    other = {name: 1.5 * value for name, value in load_file(known_tiny).items()}
    save_file(other, tmp_path / "other.safetensors")
    files = (known_tiny, tmp_path / "same.pt", tmp_path / "other.safetensors")
    first, same, changed = (load("Tiny", checkpoint=file) for file in files)
    assert first.digest == same.digest != changed.digest
    assert len(first.digest) == 8


def test_whether_weights_are_at_hand_is_told_without_asking_for_them(tmp_path, monkeypatch):
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path))
    assert sources.is_at_hand("pocketclip-centered")
    assert sources.is_at_hand("ViT-B-32", RANDOM)
    assert sources.is_at_hand("ViT-B-32", checkpoint="any.pt")
    assert not sources.is_at_hand("ViT-B-32", "openai")
    repository = tmp_path / "models--timm--vit_base_patch32_clip_224.openai"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    (repository / "snapshots" / "abc" / "open_clip_model.safetensors").touch()
    assert sources.is_at_hand("ViT-B-32", "openai")
    with pytest.raises(InputError, match=r"negclip\.pth"):
        sources.is_at_hand("NegCLIP")


def test_an_outline_has_the_shapes_of_a_model_and_neither_values_nor_a_tokenizer(monkeypatch):
    def shapes(clip):
        return {name: each.shape for name, each in clip.named_parameters()}

    whole = shapes(sources.build("pocketclip-centered").clip)
    monkeypatch.setattr(sources, "tokenizer_of_files", None)
    outline = sources.outline("pocketclip-centered")
    assert shapes(outline) == whole
    assert all(each.is_meta for each in outline.parameters())
    with pytest.raises(InputError, match="did you mean 'ViT-B-32'"):
        sources.outline("ViT-B-23", "openai")
