from math import nan

import numpy as np
import pytest

from crosseyed.training.studio.captions import BACKGROUNDS, QUALITIES, size_words, vocabulary, write_caption

DOG, KEY = ("dog", 0.1), ("key", 0.5)


def captions(names, qualities=(), background=None, count=300):
    return {write_caption(names, qualities, background, np.random.default_rng(seed)) for seed in range(count)}


def test_without_attributes_captions_have_several_templates_and_say_the_name_alone():
    written = captions([("dog", nan)])
    assert {"a dog", "a photo of a dog", "a picture of the dog", "this is a dog"} <= written
    assert len(written) > 10
    said = {word for caption in written for word in caption.split()}
    assert said == {
        *("a", "an", "the", "photo", "picture", "image", "drawing", "of", "this", "is", "there", "dog")
    }


def test_two_objects_come_in_either_order():
    written = captions([("dog", nan), ("key", nan)])
    assert {"a dog and a key", "a key and a dog"} <= written


def test_sizes_qualities_and_backgrounds_are_said():
    assert size_words(0.1) == ("small",) and size_words(0.5) == ("large",) and size_words(0.3) == ()
    assert "a small dog and a large key" in captions([DOG, KEY])
    for quality in QUALITIES:
        assert all(f" {quality} " in f" {caption} " for caption in captions([DOG], (quality,), count=20))
    for kind, words in BACKGROUNDS.items():
        assert all(caption.endswith(words) for caption in captions([DOG], background=kind, count=20))
    assert not any("checks" in caption for caption in captions([DOG], background="checks", count=20))


def test_articles_are_fixed_as_in_templates_or_fit_the_word():
    written = captions([("elephant", nan)])
    assert {"a elephant", "an elephant"} <= written
    assert "an dog" not in captions([("dog", nan)])


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_every_word_is_in_the_vocabulary(background):
    known = {word for text in (*vocabulary(), "dog", "elephant") for word in text.split()}
    for caption in captions([("dog", 0.1), ("elephant", 0.5)], QUALITIES, background):
        assert set(caption.split()) <= known
