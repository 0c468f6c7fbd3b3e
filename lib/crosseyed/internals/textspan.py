"""Describe in words what an attention head writes: TextSpan.

The direct effects of a head on many images vary in a few directions. TextSpan names directions by texts, one after
another (Gandelsman, Efros and Steinhardt, *Interpreting CLIP's Image Representation via Text-Based Decomposition*,
ICLR 2024, arXiv 2310.05916, Algorithm 1).
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from crosseyed.errors import InputError

_RANK_TOLERANCE = 1e-5  # singular values below this fraction of the largest are rounding of float32


def text_span(
    effects: np.ndarray, text_embeddings: np.ndarray, texts: Sequence[str], n_texts: int = 10
) -> pd.DataFrame:
    """Describe a head by the texts along which its direct effects vary most.

    The texts are projected onto the span of the effects. Then, in each step, the text whose scalar product with the
    effects has the largest variance over the images is chosen, and its direction is removed from the effects and from
    all texts.

    Parameters
    ----------
    effects : float (n_images, embed_dim), direct effect of one head on each image; at least two rows that differ
    text_embeddings : float (n_candidates, embed_dim)
    texts : sequence of str, the candidates
    n_texts : int, how many to choose, at least 1

    Returns
    -------
    pandas.DataFrame
        One row per step: `step` (from 1), `text`, `explained` (fraction of the variance of the effects in the
        directions chosen so far, in [0, 1]). Fewer than `n_texts` rows if no text describes what is left.

    Raises
    ------
    InputError
        Shapes or numbers do not fit, there are numbers that are not finite, or the effects do not vary.

    Notes
    -----
    As in the paper, the variance is that of the scalar product with what is left of the text, not with a direction
    of length 1: a text that lies mostly outside the head's span is passed over even if its rest points in a
    direction of much variance. The span has the dimensions in which the effects exceed rounding (the authors' code
    takes the first 80).
    """
    _check(effects, text_embeddings, texts, n_texts)
    effects = np.asarray(effects, dtype=np.float64)
    _, singular_values, directions = np.linalg.svd(effects, full_matrices=False)
    span = directions[singular_values > _RANK_TOLERANCE * singular_values[0]]
    # in coordinates of the span, of which a head has few, all that follows is small
    left = (effects - effects.mean(axis=0)) @ span.T
    candidates = np.asarray(text_embeddings, dtype=np.float64) @ span.T
    total = np.square(left).sum()
    negligible = _RANK_TOLERANCE**2
    lengths = np.square(candidates).sum(axis=1).max()
    rows = []
    for step in range(1, n_texts + 1):
        scores = np.einsum("td,de,te->t", candidates, left.T @ left, candidates, optimize=True)
        chosen = int(np.argmax(scores))
        if scores[chosen] <= negligible * total * lengths:
            break
        direction = candidates[chosen] / np.linalg.norm(candidates[chosen])
        left = left - np.outer(left @ direction, direction)
        candidates = candidates - np.outer(candidates @ direction, direction)
        rows.append((step, texts[chosen], 1 - np.square(left).sum() / total))
    return pd.DataFrame(rows, columns=["step", "text", "explained"])


def _check(effects: np.ndarray, text_embeddings: np.ndarray, texts: Sequence[str], n_texts: int) -> None:
    if effects.ndim != 2 or text_embeddings.ndim != 2 or effects.shape[1] != text_embeddings.shape[1]:
        raise InputError(
            f"The effects have the shape {effects.shape} and the text embeddings {text_embeddings.shape}; give "
            "(n_images, embed_dim) and (n_candidates, embed_dim) of the same model."
        )
    if not np.isfinite(effects).all() or not np.isfinite(text_embeddings).all():
        raise InputError("Effects or text embeddings are not finite; leave out unreadable images.")
    if len(texts) != len(text_embeddings) or not len(texts):
        raise InputError(
            f"There are {len(texts)} texts but {len(text_embeddings)} embeddings of them; give one for each."
        )
    if n_texts < 1:
        raise InputError(f"n_texts is {n_texts}; give at least 1.")
    if len(effects) < 2 or np.ptp(effects, axis=0).max() == 0:
        raise InputError("The effects do not vary; give those of at least two images that differ.")
