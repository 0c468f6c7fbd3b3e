import json
import os

import numpy as np
import pytest
import torch
from open_clip.loss import SigLipLoss
from safetensors.torch import load_file, save_file

from crosseyed.errors import InputError
from crosseyed.models.loading import load


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
    image, texts = np.zeros((32, 32, 3), np.uint8), ["a cat", "a dog"]
    logits = encoder.logit_scale * encoder.similarities([image], texts) + encoder.logit_bias
    images, captions = encoder.encode_images([image]), encoder.encode_texts(texts)
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
    ("arguments", "options", "message"),
    [
        (["ViT-B32"], {}, r"Unknown model 'ViT-B32'; did you mean 'ViT-B-32'"),
        (["pocketclip-centred"], {}, r"did you mean 'pocketclip-centered'"),
        (["local-dir:/nowhere"], {}, r"no '/nowhere'\. Give a model folder, with open_clip_config\.json"),
        (["ViT-B-32", "openia"], {}, r"Unknown tag 'openia'; did you mean 'openai'\? .*laion2b_s34b_b79k"),
        (["ViT-B-32", __file__], {}, r"give it as checkpoint="),
        (["ViT-B-32"], {}, r"without weights.*pretrained='random'.*openai"),
        (["ViT-B-32", "random"], {"checkpoint": "mine.pt"}, r"leave out checkpoint"),
        (["hf-hub:a/b", "openai"], {}, r"Only an architecture takes a tag"),
        (["ViT-B-32", "openai"], {"device": "gpu"}, r"device 'gpu' is not available.*available: auto,.* cpu"),
        (["ViT-B-32", "openai"], {"device": "cuda:99"}, r"device 'cuda:99' is not available"),
        (["ViT-B-32", "openai"], {"precision": "fp61"}, r"Unknown precision 'fp61'; did you mean 'fp16'"),
        (["ViT-B-32", "openai"], {"resize": "squish"}, r"Unknown resize 'squish'; did you mean 'squash'"),
        ([None], {}, "model of the call of load is None; it should be a valid string"),
        ([7], {}, "model of the call of load is 7"),
        (["ViT-B-32", 7], {}, "pretrained of the call of load is 7"),
        (["ViT-B-32", ["openai"]], {}, "pretrained of the call of load is"),
        (["ViT-B-32"], {"checkpoint": 3}, "checkpoint of the call of load is 3; it should be"),
        (["ViT-B-32"], {"checkpoint": "x" * 300}, "File name too long"),
        ([os.path.dirname(__file__)], {}, r"is a folder: give it as 'local-dir:/"),
        (["../models/pocketclip-centered"], {}, "Unknown model"),
        ([__file__], {}, "is a file: give it as checkpoint="),
        (["ViT-B-32"], {"checkpoint": "nowhere.pt"}, r"There is no 'nowhere\.pt'"),
        (["ViT-B-32", "openai"], {"device": 0}, "device of the call of load is 0"),
        (["ViT-B-32", "openai"], {"device": ""}, "device '' is not available"),
        (["ViT-B-32", "openai"], {"device": "meta"}, "device 'meta' is not available"),
        (["ViT-B-32", "openai"], {"device": "xla"}, "device 'xla' is not available"),
        (["ViT-B-32", "openai"], {"device": "cuda:-1"}, "device 'cuda:-1' is not available"),
        (["ViT-B-32", "openai"], {"precision": 16}, "precision of the call of load is 16"),
        (["ViT-B-32", "openai"], {"precision": ["fp16"]}, "precision of the call of load is"),
        (["ViT-B-32", "openai"], {"resize": ""}, "Unknown resize ''"),
        (
            ["ViT-B-32", "random"],
            {"seed": 2**32},
            r"seed of the call of load is 4294967296; it should be less than",
        ),
        (["ViT-B-32", "random"], {"seed": -1}, "seed of the call of load is -1"),
        (["ViT-B-32", "random"], {"seed": "1"}, "seed of the call of load is '1'"),
        (["ViT-B-32", "random"], {"seed": 1.5}, r"seed of the call of load is 1\.5"),
        (["ViT-B-32", "random"], {"seed": True}, "seed of the call of load is True"),
    ],
)
def test_a_wrong_argument_is_answered_with_the_valid_choices(arguments, options, message):
    with pytest.raises(InputError, match=message):
        load(*arguments, **options)


def test_loading_is_silent(tiny_folder, capfd):
    load(f"local-dir:{tiny_folder}")
    assert capfd.readouterr() == ("", "")
    assert os.environ.get("HF_HUB_OFFLINE") is None
