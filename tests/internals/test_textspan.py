import numpy as np
import pytest

from crosseyed.errors import InputError
from crosseyed.internals.textspan import text_span


def candidates(n_texts=40, width=24, seed=0):
    rows = np.random.default_rng(seed).normal(size=(n_texts, width))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), [f"text {number}" for number in range(n_texts)]


def head(n_images=30, rank=6, width=24, seed=1):
    """Return direct effects of a head: few dimensions of unequal variance, and a mean."""
    rng = np.random.default_rng(seed)
    spectrum = rng.normal(size=(n_images, rank)) * np.geomspace(1, 0.1, rank)
    return (spectrum + 0.5) @ rng.normal(size=(rank, width))


def algorithm_1(effects, texts, steps):
    """Return TextSpan as the paper writes it: one scalar product at a time, in the full space."""
    basis = np.linalg.qr(effects.T)[0][:, : np.linalg.matrix_rank(effects)]
    texts = np.array([basis @ (basis.T @ text) for text in texts])
    left = effects - effects.mean(axis=0)
    chosen = []
    for _ in range(steps):
        variances = [np.var([effect @ text for effect in left]) for text in texts]
        best = int(np.argmax(variances))
        direction = texts[best].copy()
        square = direction @ direction
        for effect in left:
            effect -= (effect @ direction) / square * direction
        for text in texts:
            text -= (text @ direction) / square * direction
        chosen.append((best, np.square(left).sum()))
    return chosen


def test_texts_and_explained_variance_are_those_of_the_algorithm_as_written():
    effects, (embeddings, texts) = head(), candidates()
    result = text_span(effects, embeddings, texts, n_texts=5)
    total = np.square(effects - effects.mean(axis=0)).sum()
    expected = algorithm_1(effects, embeddings, 5)
    assert list(result["text"]) == [texts[best] for best, _ in expected]
    np.testing.assert_allclose(result["explained"], [1 - left / total for _, left in expected], rtol=1e-9)
    assert list(result["step"]) == [1, 2, 3, 4, 5]


def test_explained_variance_never_falls_and_ends_at_one_when_the_span_is_used_up():
    effects, (embeddings, texts) = head(rank=6), candidates()
    explained = text_span(effects, embeddings, texts, n_texts=20)["explained"]
    assert len(explained) == 6
    assert explained.is_monotonic_increasing
    assert explained.iloc[0] > 0
    assert explained.iloc[-2] < 1 - 1e-6
    assert explained.iloc[-1] == pytest.approx(1, abs=1e-9)
    assert explained.max() <= 1


def test_planted_texts_are_found_in_the_order_of_their_variance():
    embeddings, texts = candidates(width=400)
    rng = np.random.default_rng(2)
    effects = 3 * rng.normal(size=(200, 1)) * embeddings[7] + rng.normal(size=(200, 1)) * embeddings[21] + 5
    result = text_span(effects.astype(np.float32), embeddings.astype(np.float32), texts, n_texts=2)
    assert list(result["text"]) == ["text 7", "text 21"]
    assert result["explained"].iloc[-1] > 0.99


def test_no_text_is_chosen_that_has_nothing_to_do_with_the_head():
    effects = np.array([[1.0, 0, 0], [2.0, 0, 0]])
    assert text_span(effects, np.array([[0.0, 1, 0]]), ["beside"]).empty


@pytest.mark.parametrize(
    ("effects", "embeddings", "texts", "message"),
    [
        (np.ones((3, 4)), np.ones((2, 4)), ["a", "b"], "do not vary"),
        (np.ones((3, 4)), np.ones((2, 5)), ["a", "b"], r"\(3, 4\) and the text embeddings \(2, 5\)"),
        (np.eye(4), np.ones((2, 4)), ["a"], "1 texts but 2 embeddings"),
        (np.full((3, 4), np.nan), np.ones((2, 4)), ["a", "b"], "not finite"),
    ],
)
def test_bad_input_is_named(effects, embeddings, texts, message):
    with pytest.raises(InputError, match=message):
        text_span(effects, embeddings, texts)


def test_no_step_is_no_description():
    with pytest.raises(InputError, match="n_texts is 0"):
        text_span(head(), *candidates(), n_texts=0)
