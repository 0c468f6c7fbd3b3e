import math

import pytest
import torch
from torch.nn.functional import normalize

from crosseyed.training import train
from crosseyed.training.architecture import build_tokenizer, config_of
from crosseyed.training.objective import caption_loss, encode_texts, name_loss, shares, tokenize
from crosseyed.training.recipes import StudioRecipe
from crosseyed.training.stream import caption_words

OBJECTS = ("dog", "key", "boat")
RECIPE = StudioRecipe("uniform", architecture="small")
SCALE = torch.tensor(3.0)


def vectors(count, seed):
    return normalize(torch.randn(count, 8, generator=torch.Generator().manual_seed(seed)), dim=-1)


def test_texts_are_encoded_as_open_clip_does():
    tokenizer = build_tokenizer(OBJECTS, caption_words(RECIPE))
    config = config_of(RECIPE, len(tokenizer))
    model = train._create(RECIPE, config).eval()
    texts = ["a dog", "a grainy photo of a small key and the boat on a plain background"]
    tokens = tokenize(tokenizer, texts, 24)
    assert tokens.shape[1] < 24
    whole = tokenizer(texts, padding="max_length", max_length=24, return_tensors="pt").input_ids
    with torch.no_grad():
        expected = model.encode_text(whole, normalize=True)
        assert torch.allclose(encode_texts(model, tokens), expected, atol=1e-5)
        assert torch.allclose(encode_texts(model, tokens[:1]), expected[:1], atol=1e-5)


def test_an_image_is_shared_equally_by_what_its_caption_names():
    assert shares([("key",), ("boat", "dog")], OBJECTS).tolist() == [[0, 1, 0], [0.5, 0, 0.5]]


def test_the_contrastive_loss_leaves_out_captions_that_name_the_same_object():
    images, captions = vectors(4, 0), vectors(4, 1)
    named = [("dog",), ("key",), ("boat", "dog"), ("key",)]
    allowed = [[0, 1, 3], [0, 1, 2], [1, 2, 3], [0, 2, 3]]
    losses = []
    for row, others in enumerate(allowed):
        for one, many in ((images, captions), (captions, images)):
            scores = [3 * float(one[row] @ many[other]) for other in others]
            own = 3 * float(one[row] @ many[row])
            losses.append(math.log(sum(map(math.exp, scores))) - own)
    loss = caption_loss(images, captions, SCALE, shares(named, OBJECTS))
    assert loss.item() == pytest.approx(sum(losses) / 8, rel=1e-4)


def test_the_loss_over_names_is_the_cross_entropy_of_the_objects_shown():
    images, names = vectors(2, 2), vectors(3, 3)
    loss = name_loss(images, names, SCALE, shares([("key",), ("boat", "dog")], OBJECTS))
    log = [[3 * float(image @ name) for name in names] for image in images]
    log = [[score - math.log(sum(map(math.exp, row))) for score in row] for row in log]
    assert loss.item() == pytest.approx(-(log[0][1] + (log[1][0] + log[1][2]) / 2) / 2, rel=1e-4)
