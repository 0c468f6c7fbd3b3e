"""A model's configuration: what open_clip publishes is understood, and anything else is answered in one sentence."""

import codecs
import copy
import json
import os

import open_clip
import pytest
from small_models import TINY_CONFIG, TINY_PREPROCESS

from crosseyed.errors import InputError
from crosseyed.models import sources
from crosseyed.models.configuration import CONFIG_NAME, Configuration, read_configuration
from crosseyed.models.loading import load
from crosseyed.models.scorer import RANDOM


def written(folder, content):
    path = folder / CONFIG_NAME
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


@pytest.mark.parametrize("architecture", open_clip.list_models())
def test_every_configuration_of_open_clip_is_understood(tmp_path, architecture):
    config = open_clip.get_model_config(architecture)
    path = written(tmp_path, {"model_cfg": config, "preprocess_cfg": TINY_PREPROCESS})
    assert read_configuration(path, "it").model == config


def whole(**changes):
    """The tiny configuration with changes, by the part and the key: vision_cfg__width=3."""
    content = copy.deepcopy({"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS})
    for place, value in changes.items():
        part, _, key = place.rpartition("__")
        entry = content["preprocess_cfg"] if part == "preprocess" else content["model_cfg"]
        entry = entry[part] if part.endswith("_cfg") else entry
        entry[key] = value
    return content


WRONG = [
    (whole(vision_cfg__patch_size=0), r"patch_size of the vision_cfg of .* is 0; it should be greater"),
    (whole(vision_cfg__patch_size=-8), "patch_size .* is -8; it should be greater"),
    (whole(vision_cfg__patch_size="8"), "patch_size .* is '8'; it should be a valid integer"),
    (whole(vision_cfg__patch_size=8.5), r"patch_size .* is 8\.5"),
    (whole(vision_cfg__patch_size=10**9), "patch_size .* is 1000000000; it should be less"),
    (whole(vision_cfg__patch_size=64), r"patch_size should be from 1 to image_size \(32\)"),
    (whole(vision_cfg__patch_size=None), "patch_size should be from 1"),
    (whole(vision_cfg__patchsize=8), "no 'patchsize'; did you mean 'patch_size'"),
    (whole(vision_cfg__width=65), r"width \(65\) should be a multiple of head_width \(32"),
    (whole(vision_cfg__layers=True), "layers of the vision_cfg of .* is True; it should be a valid integer"),
    (whole(vision_cfg__layers=[1, 2]), "layers"),
    (whole(vision_cfg__pool_type="map"), "pool_type .* is 'map'; it should be 'tok', 'avg' or 'none'"),
    (whole(vision_cfg__timm_model_name="vit_nothing"), r"timm_model_name .* timm\.list_models"),
    (whole(vision_cfg__timm_model_name="hf-hub:somebody/evil"), r"timm_model_name .*timm\.list_models"),
    (whole(vision_cfg__timm_model_name="local-dir:/tmp"), r"timm_model_name .*timm\.list_models"),
    (
        whole(vision_cfg__timm_model_name="vit_tiny_patch16_224.hf-hub:a/b"),
        r"timm_model_name .*timm\.list_models",
    ),
    (
        whole(vision_cfg__timm_model_name="vit_tiny_patch16_224./../evil"),
        r"timm_model_name .*timm\.list_models",
    ),
    (whole(vision_cfg__norm_kwargs={"device": "meta"}), "norm_kwargs in the vision_cfg .* has no 'device'"),
    (whole(vision_cfg__act_kwargs={"inplace": True}), "act_kwargs in the vision_cfg .* has no 'inplace'"),
    (whole(text_cfg__heads=3), r"width \(32\) should be a multiple of heads \(3"),
    (whole(text_cfg__context_length="16"), "context_length .* is '16'"),
    (whole(text_cfg__vocab_size=0), "vocab_size .* is 0"),
    (
        whole(text_cfg__tokenizer_kwargs={"bpe_path": "/etc/passwd"}),
        "tokenizer_kwargs in .* has no 'bpe_path'",
    ),
    (whole(text_cfg__tokenizer_kwargs={"reduction_mask": "syntax"}), "has no 'reduction_mask'"),
    (whole(text_cfg__tokenizer_kwargs={"gguf_file": "x"}), "has no 'gguf_file'"),
    (whole(text_cfg__tokenizer_kwargs={"clean": "eval"}), "clean of the tokenizer_kwargs"),
    (whole(text_cfg__hf_model_name="/tmp/evil"), "hf_model_name"),
    (whole(text_cfg__hf_model_name="../evil/model"), "hf_model_name"),
    (whole(text_cfg__hf_tokenizer_name="../../evil"), "hf_tokenizer_name"),
    (whole(text_cfg__hf_model_config={"auto_map": {}}), "no 'hf_model_config'"),
    (whole(embed_dim=None), "embed_dim of the model_cfg .* is None"),
    (whole(embed_dim=1e3), "embed_dim"),
    (whole(pretrained="weights.pt"), "no 'pretrained'"),
    (whole(pretrained_image_path="weights.pt"), "no 'pretrained_image_path'"),
    (whole(cast_dtype="float16"), "no 'cast_dtype'"),
    (whole(vision_cfg=[]), "vision_cfg"),
    (whole(init_logit_scale=float("nan")), "init_logit_scale"),
    (whole(init_logit_scale=100.0), r"init_logit_scale .* is 100\.0; it should be less than or equal to 20"),
    (whole(preprocess__size=64), "size of the preprocess_cfg .* is 64; it should be .* image_size 32"),
    (whole(preprocess__size=[64, 16]), r"size .* is \[64, 16\]; it should be .* image_size 32"),
    (whole(preprocess__size=[]), r"size .* is \[\]; it should be"),
    (whole(preprocess__size=[32, 32, 32]), "size .* it should be"),
    (whole(vision_cfg__width=16384, vision_cfg__head_width=64, vision_cfg__layers=256), "billion parameters"),
    (whole(preprocess__mean=[0.5, 0.5]), "mean of the preprocess_cfg"),
    (whole(preprocess__std=[0.0, 0.5, 0.5]), "std"),
    (whole(preprocess__mean=0.5), "mean"),
    (whole(preprocess__resize_mode="crop"), "resize_mode .* is 'crop'; it should be 'shortest', 'longest'"),
    (whole(preprocess__interpolation="nearest"), "interpolation"),
    (whole(preprocess__mode="RGBA"), "mode"),
    (whole(preprocess__resize="squash"), "no 'resize'; did you mean 'resize_mode', 'size'|no 'resize'"),
    ({"model_cfg": {"embed_dim": 3}}, "model_cfg of .* lacks 'vision_cfg'"),
    ({"preprocess_cfg": {}}, "lacks 'model_cfg'"),
    (TINY_CONFIG, "has no 'embed_dim'.*It has model_cfg, preprocess_cfg"),
    ([], "not a configuration of open_clip"),
    (b"{", "is not JSON"),
    (b"", "is empty"),
    (b"\xff\xfe\xfd", "is not text"),
    (b'{"model_cfg": {}, "model_cfg": {}}', "key 'model_cfg' twice"),
]


@pytest.mark.parametrize(("content", "words"), WRONG)
def test_a_wrong_value_is_answered_in_one_sentence_with_its_name(tmp_path, content, words):
    written(tmp_path, content)
    with pytest.raises(InputError, match=words) as caught:
        load(f"local-dir:{tmp_path}", RANDOM)
    assert CONFIG_NAME in str(caught.value) and len(str(caught.value)) < 1000
    assert os.listdir(tmp_path) == [CONFIG_NAME]


@pytest.mark.parametrize(
    "changes",
    [
        {"vision_cfg__act_kwargs": {"approximate": "tanh"}, "quick_gelu": True},
        {"vision_cfg__attentional_pool": True, "vision_cfg__attn_pooler_heads": 7},
        {"vision_cfg__timm_model_name": "vit_tiny_patch16_224", "vision_cfg__timm_pool": "nonsense"},
    ],
)
def test_what_does_not_go_together_is_told_with_the_reason(tmp_path, changes):
    written(tmp_path, whole(**changes))
    with pytest.raises(InputError, match="makes no model that open_clip can build: "):
        load(f"local-dir:{tmp_path}", RANDOM)


@pytest.mark.parametrize("size", [32, [32, 32], None])
def test_the_size_of_the_preprocessing_is_that_of_the_model(tmp_path, size):
    written(tmp_path, whole(preprocess__size=size))
    assert load(f"local-dir:{tmp_path}", RANDOM).image_size == (32, 32)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vision_cfg__output_tokens": True}, "computes no embeddings in fp32 on "),
        ({"vision_cfg__pool_type": "none"}, "computes no embeddings"),
        ({"text_cfg__pool_type": "none"}, "computes no embeddings"),
        ({"output_dict": True}, "computes no embeddings"),
        ({"text_cfg__pool_type": "first"}, "gives different captions the same embedding"),
        (
            {"preprocess__std": [1e-38] * 3},
            "gives embeddings that are NaN or infinite: .* too large for fp32",
        ),
    ],
)
def test_a_model_that_tells_nothing_apart_is_told_when_it_is_loaded(tmp_path, changes, words):
    written(tmp_path, whole(**changes))
    with pytest.raises(InputError, match=words):
        load(f"local-dir:{tmp_path}", RANDOM)


@pytest.mark.parametrize("key", ["hf_model_name", "hf_tokenizer_name"])
def test_a_folder_is_not_taken_for_a_repository_of_its_name(tmp_path, monkeypatch, key):
    """As transformers would, where the command is started beside a folder of that name."""
    config = whole(**{f"text_cfg__{key}": "somebody/tower"})
    monkeypatch.setattr(sources, "_config", lambda source: Configuration(config["model_cfg"], {}))
    (tmp_path / "somebody" / "tower").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"repository 'somebody/tower' .* which would be taken instead"):
        load("hf-hub:a/b", RANDOM)


@pytest.mark.parametrize(
    "encoded",
    [
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-32"),
    ],
)
def test_a_configuration_may_be_in_any_encoding_of_unicode(tmp_path, encoded):
    written(tmp_path, encoded(json.dumps(whole())))
    assert load(f"local-dir:{tmp_path}", RANDOM).image_size == (32, 32)


def test_its_preprocessing_is_that_of_the_model(tmp_path):
    written(tmp_path, whole(preprocess__mean=[0.1, 0.2, 0.3], preprocess__resize_mode="squash"))
    model = load(f"local-dir:{tmp_path}", RANDOM)
    assert model.preprocess.transforms[-1].mean == [0.1, 0.2, 0.3]
    assert model.resize == "squash"
    assert load(f"local-dir:{tmp_path}", RANDOM, resize="crop").resize == "crop"
