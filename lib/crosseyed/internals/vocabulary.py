"""Which words an image embedding is made of: a concept vocabulary, its embeddings, and SpLiCE.

`vocabulary` lists concepts, `embed_concepts` encodes them, `splice` writes image embeddings as sparse
sums of them (Bhalla et al., *Interpreting CLIP with Sparse Linear Concept Embeddings*, NeurIPS 2024, arXiv
2402.10376).
"""

import re
from collections.abc import Sequence

import numpy as np
from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS
from sklearn.neighbors import NearestNeighbors
from wordfreq import top_n_list

from crosseyed.errors import InputError
from crosseyed.models.cache import cached
from crosseyed.models.scorer import Encoder
from crosseyed.settings import settings

_WORD = re.compile(r"[a-z]{3,}")
_SAME_EMBEDDING = 1e-3


def vocabulary(objects: Sequence[str], size: int = 10_000) -> list[str]:
    """List concepts: the objects in question, then the most frequent English words.

    Parameters
    ----------
    objects : sequence of str, names of objects, which come first and are kept as they are
    size : int, number of concepts in total

    Returns
    -------
    list of str
        `size` concepts without duplicates. A frequent word has at least three letters a to z and nothing else, and is
        not one of scikit-learn's English stop words. Frequencies are those of the package wordfreq (Speer, 2022,
        https://doi.org/10.5281/zenodo.7199437).

    Raises
    ------
    InputError
        The objects are not a vocabulary (see `check_vocabulary`) or more than `size`; there are not enough words.

    Examples
    --------
    >>> vocabulary(["dog", "alarm clock"], size=5)
    ['dog', 'alarm clock', 'just', 'like', 'time']
    """
    check_vocabulary(objects)
    if size < len(objects):
        raise InputError(f"A vocabulary of {size} concepts cannot hold {len(objects)} objects; raise size.")
    taken = ENGLISH_STOP_WORDS.union(name.lower() for name in objects)
    words = [word for word in top_n_list("en", 10**6) if _WORD.fullmatch(word) and word not in taken]
    if len(objects) + len(words) < size:
        raise InputError(
            f"There are {len(objects) + len(words)} objects and English words, not {size}; lower size."
        )
    return [*objects, *words[: size - len(objects)]]


def check_vocabulary(concepts: Sequence[str]) -> None:
    """Raise InputError unless these are texts that name something, each given once.

    A vocabulary is not a single text or empty, has no blank text, no concept twice (upper and lower case and the
    spaces around it do not count), and not only English stop words.
    """
    if isinstance(concepts, str) or not len(concepts):
        raise InputError(f"The vocabulary is {concepts!r}; give a list of at least one concept.")
    seen: dict[str, str] = {}
    for concept in concepts:
        if not isinstance(concept, str) or not concept.strip():
            raise InputError(f"The vocabulary has {concept!r} as a concept; give texts that are not blank.")
        key = concept.strip().lower()
        if key in seen:
            raise InputError(
                f"The vocabulary has {concept!r} twice (first as {seen[key]!r}); give every concept once."
            )
        seen[key] = concept
    if all(word in ENGLISH_STOP_WORDS for key in seen for word in key.split()):
        raise InputError(
            f"The vocabulary has only stop words, such as {concepts[0]!r}; give words that name something."
        )


def embed_concepts(encoder: Encoder, concepts: Sequence[str], template: str = "{}") -> np.ndarray:
    """Encode a vocabulary as texts, (n_concepts, embed_dim), float32 rows of length 1, cached for a loaded model.

    In `template`, ``{}`` stands for the concept, once; SpLiCE encodes the bare concept. Raises InputError otherwise.
    """
    check_vocabulary(concepts)
    if template.count("{}") != 1:
        raise InputError(
            f"The template {template!r} must have one '{{}}' for the concept, as in {settings.captions.single!r}."
        )
    return cached(encoder).encode_texts([template.replace("{}", concept) for concept in concepts])


def tell_apart(embeddings: np.ndarray) -> np.ndarray:
    """Say which concepts (rows of length 1) no other row repeats, to a distance of 0.001.

    A model with a small vocabulary of its own, such as a PocketCLIP, gives all words that it does not know the same
    embedding. They mean nothing to it, and a dictionary should not contain them.
    """
    if len(embeddings) < 2:
        return np.ones(len(embeddings), dtype=bool)
    rows = np.asarray(embeddings, dtype=np.float64)  # float32 could not tell such a distance from 0
    nearest, _ = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(rows).kneighbors()
    return nearest[:, 0] > _SAME_EMBEDDING


def told_apart(encoder: Encoder, names: Sequence[str], template: str) -> tuple[np.ndarray, list[str]]:
    """Embed concepts (see `embed_concepts`); return the embeddings and names of those that `tell_apart` keeps."""
    embeddings = embed_concepts(encoder, names, template)
    kept = tell_apart(embeddings)
    return embeddings[kept], [name for name, keep in zip(names, kept, strict=True) if keep]
