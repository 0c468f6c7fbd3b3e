import open_clip
import torch

from crosseyed.models.loading import load
from crosseyed.training.architecture import build_tokenizer, config_of, export, pool_by_maximum
from crosseyed.training.recipes import POOLINGS, Recipe


def test_the_end_token_is_the_highest_and_unknown_words_share_one():
    tokenizer = build_tokenizer(["dog", "alarm clock"])
    known, unknown = tokenizer(["a photo of a DOG and a alarm clock", "a zyzzyva"]).input_ids
    assert known[-1] == unknown[-1] == len(tokenizer) - 1
    assert unknown[2] == tokenizer.unk_token_id not in known


def test_a_model_of_a_few_words_is_loaded(tmp_path):
    tokenizer = build_tokenizer(["zyzzyva", "umbrella"])
    config = config_of(Recipe("centered", architecture="small"), len(tokenizer))
    text = {key: value for key, value in config["text_cfg"].items() if key != "tokenizer_kwargs"}
    export(open_clip.model.CLIP(**config | {"text_cfg": text}), tokenizer, config, tmp_path)
    assert load(f"local-dir:{tmp_path}").image_size == (80, 80)


def test_maximum_pooling_takes_the_largest_value_of_each_channel():
    config = config_of(Recipe("centered", architecture="small", pooling="max"), vocab_size=10)
    visual = open_clip.model.CLIP(**config | {"text_cfg": {"width": 8, "heads": 1, "layers": 1}}).visual
    pool_by_maximum(visual)
    tokens = torch.randn(2, 5, 3)
    pooled, spatial = visual._global_pool(tokens)
    assert torch.equal(pooled, tokens[:, 1:].max(dim=1).values) and torch.equal(spatial, tokens[:, 1:])


def test_poolings_differ_in_the_image_tower_alone():
    configs = [config_of(Recipe("centered", pooling=pooling), vocab_size=10) for pooling in POOLINGS]
    assert all(config["text_cfg"] == configs[0]["text_cfg"] for config in configs)
    assert sorted(map(str, (config["vision_cfg"].get("pool_type") for config in configs))) == [
        "None",
        "None",
        "avg",
        "avg",
    ]
