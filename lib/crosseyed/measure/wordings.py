"""Ask the same question in other words: other captions, or fewer names to choose among.

The images are compared with the captions of all wordings at once, so that each is encoded once however many wordings
there are.
"""

import re
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.measure.protocols import captions_of
from crosseyed.models.scorer import Scorer
from crosseyed.settings import settings

Name = TypeVar("Name", bound=Hashable)

_VOWEL_SOUND = re.compile(r"(?!uni|use|euro|one\b)[aeiou]|hour|heir|honest", re.IGNORECASE)


def captions_with(template: str, labels: Sequence[str], *, inflected: bool = False) -> list[str]:
    """Caption every label.

    Parameters
    ----------
    template : str
        With one ``{}`` where the name goes, such as those of `crosseyed.settings.CAPTIONS`.
    labels : sequence of str
        Names of the catalogue.
    inflected : bool
        Whether the article before a name takes the form for a vowel sound where the name begins with one.

    Raises
    ------
    InputError
        The template has not exactly one ``{}``, or the language has no such forms.
    """
    names = [settings.name(label) for label in labels]
    if not inflected:
        return captions_of(names, template, "label")
    if settings.captions.articles is None:
        raise InputError(f"The captions in the language {settings.language!r} have one form of the article.")
    plain, before_vowel = settings.captions.articles
    other = re.sub(rf"\b{re.escape(plain)} \{{\}}", f"{before_vowel} {{}}", template)
    return [
        captions_of([name], other if _VOWEL_SOUND.match(name) else template, "label")[0] for name in names
    ]


def decisions(labels: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    """Return the captions of every label in all wordings that the settings' language has beside the study's own.

    Parameters
    ----------
    labels : sequence of str
        Names of the catalogue.

    Returns
    -------
    dict
        Captions by decision and option: ``("caption", template)``, ``("words around the name", template)`` and, in a
        language whose article has two forms, ``("article", "“an” before a vowel")``.
    """
    words = settings.captions
    kinds = {"caption": words.alternatives, "words around the name": words.lengths}
    captions = {
        (decision, template): captions_with(template, labels)
        for decision, templates in kinds.items()
        for template in templates
    }
    if words.articles:
        option = f"“{words.articles[1]}” before a vowel"
        captions["article", option] = captions_with(words.single, labels, inflected=True)
    return captions


def logits_of(
    scorer: Scorer, images: Sequence[ImageSource], wordings: Mapping[Name, Sequence[str]]
) -> dict[Name, np.ndarray]:
    """Compare images with the captions of several wordings.

    Parameters
    ----------
    scorer : Scorer
        The model; it warns of images that cannot be read.
    images : sequence of ImageSource
        At least one.
    wordings : mapping of Hashable to sequence of str
        Lists of captions, by name.

    Returns
    -------
    dict of numpy.ndarray, shape (n_images, n_captions)
        Logits by name of the wording, for `crosseyed.measure.protocols.answers_of`.
    """
    texts = pd.Index(dict.fromkeys(caption for captions in wordings.values() for caption in captions))
    logits = scorer.logit_scale * scorer.similarities(images, list(texts))
    return {name: logits[:, texts.get_indexer(list(captions))] for name, captions in wordings.items()}


def among(
    logits: np.ndarray, objects: Sequence[str], labels: Sequence[str], n_names: int, seed: int = 0
) -> np.ndarray:
    """Offer each image only its own name and some others: the logits of the rest become minus infinity.

    Which others is drawn once for each object, so that all its images are asked the same; the names of a smaller number
    are among those of a larger one.

    Parameters
    ----------
    logits : numpy.ndarray, shape (n_images, n_labels)
        From `logits_of`.
    objects : sequence of str
        True label of each image.
    labels : sequence of str
        Label of each column.
    n_names : int
        Number of names to choose among, from 2 to n_labels.
    seed : int
        Seed of the draw.

    Raises
    ------
    InputError
        The number of names is out of range.
    """
    if not 2 <= n_names <= len(labels):
        raise InputError(f"n_names is {n_names}; expected 2 to {len(labels)}, the number of labels.")
    names = np.array(labels, dtype=object)
    left_out = {}
    for own in np.flatnonzero(np.isin(names, list(set(objects)))):
        order = np.random.default_rng([seed, own]).permutation(len(labels))
        left_out[names[own]] = names[order[order != own][n_names - 1 :]]
    return without(logits, [left_out[name] for name in objects], labels)


def without(logits: np.ndarray, names: Sequence[Collection[str]], labels: Sequence[str]) -> np.ndarray:
    """Return the logits (n_images, n_labels), those of the names that are not offered minus infinity, for each image.

    The logits of an image that cannot be read stay NaN.
    """
    places = pd.Index(labels)
    offered = logits.copy()
    for row, left_out in enumerate(names):
        offered[row, places.get_indexer(list(left_out))] = -np.inf
    return np.where(np.isnan(logits), np.nan, offered)
