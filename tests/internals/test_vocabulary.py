import numpy as np
import pandas as pd
import pytest
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.linear_model import Lasso

from crosseyed.errors import InputError
from crosseyed.files import CACHE_VARIABLE
from crosseyed.internals.splice import center, modality_mean, splice
from crosseyed.internals.vocabulary import check_vocabulary, embed_concepts, tell_apart, vocabulary
from crosseyed.models.scorer import Encoder

WIDTH = 16


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


class FakeEncoder(Encoder):
    """Gives each text a random unit vector of its own, and counts the texts it has encoded."""

    name, model, pretrained, logit_scale = "fake", "org/fake", "tag", 100.0

    def __init__(self, weights=0):
        self.weights = weights
        self.encoded = 0

    def encode_texts(self, texts):
        self.encoded += len(texts)
        seeds = [[self.weights, *text.encode()] for text in texts]
        return unit(np.array([np.random.default_rng(seed).normal(size=WIDTH) for seed in seeds])).astype("f")

    def encode_images(self, images, *, progress=True):
        raise AssertionError("concepts are texts")


WORDS = [f"word{number}" for number in range(50)]


# Vocabulary


def test_a_vocabulary_is_the_objects_and_then_the_most_frequent_words():
    words = vocabulary(["alarm clock", "Time", "dog"], size=2_000)
    assert words[:3] == ["alarm clock", "Time", "dog"]
    assert len(words) == 2_000
    assert len({word.lower() for word in words}) == 2_000
    assert not ENGLISH_STOP_WORDS.intersection(words)
    assert all(word.isascii() and word.isalpha() and len(word) > 2 for word in words[3:])
    # "people" is among the hundred most frequent words of English, "umbrella" some thousands further down
    assert words.index("people") < 100 < words.index("weather") < 2_000
    assert "umbrella" not in words
    check_vocabulary(words)


def test_frequent_words_follow_their_frequency():
    from wordfreq import word_frequency

    frequencies = [word_frequency(word, "en") for word in vocabulary(["zebra"], size=300)[1:]]
    assert frequencies == sorted(frequencies, reverse=True)


def test_a_vocabulary_has_the_size_that_is_asked_for_or_there_is_none():
    assert vocabulary(["dog", "cat"], size=2) == ["dog", "cat"]
    with pytest.raises(InputError, match="1 concepts cannot hold 2 objects"):
        vocabulary(["dog", "cat"], size=1)
    with pytest.raises(InputError, match="lower size"):
        vocabulary(["dog"], size=10**7)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["dog", "cat", "Dog "], r"'Dog ' twice \(first as 'dog'\)"),
        (["the", "of", "and the"], "only stop words, such as 'the'"),
        ([], "at least one concept"),
        ("dog", "give a list"),
        (["dog", " "], "' ' as a concept"),
        (["dog", None], "None as a concept"),
    ],
)
def test_what_is_no_vocabulary_is_refused_everywhere(words, message):
    n = len(words)
    for use in (
        lambda: check_vocabulary(words),
        lambda: vocabulary(words),
        lambda: embed_concepts(FakeEncoder(), words),
        lambda: splice(np.eye(WIDTH)[:2], np.eye(WIDTH)[:n], words, np.zeros(WIDTH)),
    ):
        with pytest.raises(InputError, match=message):
            use()


def test_stop_words_among_others_are_allowed():
    check_vocabulary(["the", "dog", "statue of"])


# Embeddings and their cache


def test_embeddings_are_the_encoders_for_the_filled_template():
    encoder = FakeEncoder()
    assert isinstance(encoder, Encoder)
    expected = encoder.encode_texts([f"a {word}!" for word in WORDS])
    np.testing.assert_array_equal(embed_concepts(encoder, WORDS, "a {}!"), expected)


def test_a_template_without_a_place_for_the_concept_is_refused():
    with pytest.raises(InputError, match="for the concept, as in"):
        embed_concepts(FakeEncoder(), WORDS, "a photo")


def test_a_loaded_model_is_cached_and_tells_words_apart(tiny_clip, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    words = vocabulary(["alarm clock"], size=20)
    first = embed_concepts(tiny_clip, words, "a photo of a {}")
    np.testing.assert_array_equal(first, tiny_clip.encode_texts([f"a photo of a {word}" for word in words]))
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(type(tiny_clip), "encode_texts", None)  # from here on only read
    np.testing.assert_array_equal(embed_concepts(tiny_clip, words, "a photo of a {}"), first)
    assert tell_apart(first).all()


# Means


def test_words_that_a_model_does_not_know_are_told_by_their_common_embedding():
    rng = np.random.default_rng(0)
    rows = unit(rng.normal(size=(6, WIDTH))).astype("f")
    rows[[1, 4, 5]] = rows[1] + 1e-7 * rng.normal(size=(3, WIDTH))
    np.testing.assert_array_equal(tell_apart(rows), [True, False, True, True, False, False])
    np.testing.assert_array_equal(tell_apart(rows[:1]), [True])


def test_the_mean_leaves_unreadable_images_out():
    rows = np.array([[1.0, 0.0], [np.nan, np.nan], [0.0, 1.0]], dtype="f")
    np.testing.assert_array_equal(modality_mean(rows), [0.5, 0.5])
    with pytest.raises(InputError, match="at least one readable image"):
        modality_mean(rows[1:2])


def test_centering_subtracts_the_mean_and_restores_the_length():
    rows = np.array([[1.0, 0.0], [0.6, 0.8], [np.nan, np.nan]])
    centered = center(rows, np.array([1.0, 0.8]))
    np.testing.assert_allclose(centered, [[0, -1], [-1, 0], [np.nan, np.nan]], atol=1e-12)
    with pytest.raises(InputError, match="Embedding 0 equals the mean"):
        center(rows[1:], rows[1])
    with pytest.raises(InputError, match="same model"):
        center(rows, np.ones(3))


# SpLiCE


def world(n_images=12, n_concepts=60, seed=0):
    """Return images and concepts with a mean each, and the concepts that each image is made of."""
    rng = np.random.default_rng(seed)
    texts = unit(unit(rng.normal(size=(n_concepts, 64))) + 0.1)
    image_mean = 0.5 * unit(rng.normal(size=64))
    used = np.array([rng.choice(n_concepts, 2, replace=False) for _ in range(n_images)])
    dictionary = unit(texts - texts.mean(axis=0))
    content = unit(dictionary[used[:, 0]] + 0.7 * dictionary[used[:, 1]])
    # of length 1 after the mean is added, as embeddings are
    along = content @ image_mean
    length = np.sqrt(along**2 + 1 - image_mean @ image_mean) - along
    return image_mean + length[:, None] * content, texts, image_mean, used


def test_splice_solves_the_lasso_of_the_centered_embeddings():
    embeddings, texts, image_mean, _ = world()
    names = [f"concept {number}" for number in range(len(texts))]
    table = splice(embeddings, texts, names, image_mean, penalty=0.05)
    assert list(table) == ["image", "concept", "weight"]
    targets, dictionary = unit(embeddings - image_mean), unit(texts - texts.mean(axis=0))
    model = Lasso(alpha=0.05 / 64, positive=True, fit_intercept=False, tol=1e-10)
    for image, target in enumerate(targets):
        rows = table[table["image"] == image].set_index("concept")["weight"]
        expected = pd.Series(model.fit(dictionary.T, target).coef_, index=names)
        np.testing.assert_allclose(rows.reindex(names).fillna(0), expected, atol=2e-3)


def test_splice_finds_the_planted_concepts_heaviest_first():
    embeddings, texts, image_mean, used = world()
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1)
    names = [f"concept {number}" for number in range(len(texts))]
    images = [f"image {number}" for number in range(len(embeddings))]
    table = splice(embeddings, texts, names, image_mean, penalty=0.2, images=images)
    assert (table["weight"] > 0).all()
    assert list(table["image"].unique()) == images
    found = table.groupby("image", sort=False)["concept"].apply(list)
    assert [row[:2] for row in found] == [[names[first], names[second]] for first, second in used]


def test_unreadable_images_and_those_without_concepts_have_no_row():
    embeddings, texts, image_mean, _ = world(n_images=3)
    names = [f"concept {number}" for number in range(len(texts))]
    whole = splice(embeddings, texts, names, image_mean)
    embeddings[1] = np.nan
    pd.testing.assert_frame_equal(
        splice(embeddings, texts, names, image_mean), whole[whole["image"] != 1].reset_index(drop=True)
    )
    assert splice(embeddings, texts, names, image_mean, penalty=1.1).empty


def test_numbers_of_names_and_embeddings_must_agree():
    embeddings, texts, image_mean, _ = world()
    names = [f"concept {number}" for number in range(len(texts))]
    with pytest.raises(InputError, match="59 names of concepts but 60 embeddings"):
        splice(embeddings, texts, names[1:], image_mean)
    with pytest.raises(InputError, match="1 names of images but 12 embeddings"):
        splice(embeddings, texts, names, image_mean, images=["one"])
    with pytest.raises(InputError, match="penalty"):
        splice(embeddings, texts, names, image_mean, penalty=-1)
    with pytest.raises(InputError, match="at least one row"):
        splice(np.full_like(embeddings, np.nan), texts, names, image_mean)
