"""Ask a model the questions of the experiment: which object is it, and which of four captions fits best.

Each protocol takes a scorer, images and the table that describes them, and returns the table with the answers added,
one row per image in the same order.

- `zero_shot` (GRID): which of many labels fits an image of one object? `grid` asks it about scenes.
- `four_captions` (What'sUp): does the caption that names both objects win over those that leave some out?
  `pair` asks it about scenes, `whatsup` about files.

Both questions come from Chew et al., *Is CLIP Cross-Eyed? Revealing and Mitigating Center Bias in the CLIP
Family* (arXiv 2604.05971).

Parameters shared by all functions:

- `scorers` (Scorer or sequence of Scorer): the model, or several, whose rows follow each other in their order. Each
  scene is drawn at most once for all.
- `images` (iterable of ImageSource): one for each row of the table, in its order; read one after another, not kept.
- `scenes` (sequence of Scene): drawn one after another as the scorer needs them.

An empty table, a missing column or a number of images other than that of the rows raises InputError. Scorers warn of
images that cannot be read (`UnreadableImagesWarning`); their row has `choice` ``"unreadable"`` and otherwise
missing values (``<NA>`` or NaN).
"""

from collections.abc import Callable, Iterable, Sequence, Sized

import numpy as np
import pandas as pd
from scipy.special import softmax

from crosseyed.data.images import ImageSource
from crosseyed.data.scenes import Scene, pair_table, scene_table
from crosseyed.errors import InputError, suggest
from crosseyed.models.scorer import Scorer, similarities_of_each
from crosseyed.settings import settings
from crosseyed.tables import require_columns

FOUR_CAPTIONS_SCALE = 100.0
"""Factor from cosine similarity to logit in the four-caption protocol, whatever the model has learned."""

Scorers = Scorer | Sequence[Scorer]
CHOICES = ("both", "object", "object2", "other", "unreadable")
"""What can be chosen of What'sUp's four captions, or that the image could not be read."""

_CAPTIONS = np.array(CHOICES[:-1], dtype=object)
_UNREADABLE = CHOICES[-1]


def zero_shot(
    scorers: Scorers,
    images: Iterable[ImageSource],
    table: pd.DataFrame,
    labels: Sequence[str],
    template: str | None = None,
    protocol: str = "grid",
) -> pd.DataFrame:
    """Ask which of many labels fits each image of one object.

    Parameters
    ----------
    scorers, images
        See the module.
    table : pandas.DataFrame
        One row per image with the column `object`, the true label; other columns are carried along.
    labels : sequence of str
        What the model chooses among: at least two, all distinct, every true label among them.
    template : str, optional
        Caption in which ``{}`` stands for the label; by default that of the settings.
    protocol : str
        Value of the column `protocol`.

    Returns
    -------
    pandas.DataFrame
        The rows of `table`, numbered from 0, with these columns added:

        - `model`, `pretrained` (of the scorer) and `protocol`;
        - `choice`: the label whose caption is most similar (of equally similar ones the first);
        - `correct`: whether that is the true label (dtype ``boolean``);
        - `margin`: logit (`logit_scale` × cosine) of the true label minus that of the best other one;
        - `rank`: place of the true label when all are sorted by similarity, 1 where correct (dtype ``Int64``).

    Raises
    ------
    InputError
        The labels are fewer than two, repeated or lack a true one; the template has not exactly one ``{}``.
    """
    _check_table(table, images, ["object"])
    _check_labels(table["object"], labels)
    captions = captions_of([settings.name(label) for label in labels], template, "label")

    def answer(scorer: Scorer, similarities: np.ndarray) -> pd.DataFrame:
        return answers_of(scorer, table, scorer.logit_scale * similarities, labels, protocol)

    return _of_each(scorers, images, captions, table, answer)


def answers_of(
    scorer: Scorer, table: pd.DataFrame, logits: np.ndarray, labels: Sequence[str], protocol: str = "grid"
) -> pd.DataFrame:
    """Return the answers of `zero_shot`, given the logits (n_images, n_labels).

    A label with a logit of minus infinity is not offered for that image.
    """
    truth = pd.Index(labels).get_indexer(table["object"])
    return _join(scorer, table, protocol, logits, _choose(logits, truth, labels))


def captions_of(names: Iterable[str], template: str | None, what: str) -> list[str]:
    """Put names into a template, by default that of the settings, which must have one ``{}`` (else InputError)."""
    template = settings.captions.single if template is None else template
    if template.count("{}") != 1:
        raise InputError(
            f"The template {template!r} must have one '{{}}' for the {what}, as in {settings.captions.single!r}."
        )
    return [template.replace("{}", name) for name in names]


def _choose(logits: np.ndarray, truth: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    order = np.argsort(-logits, axis=1, kind="stable")
    rank = 1 + np.argmax(order == truth[:, None], axis=1)
    return pd.DataFrame(
        {
            "choice": np.array(labels, dtype=object)[order[:, 0]],
            "correct": pd.array(rank == 1, dtype="boolean"),
            "margin": _margin(logits, truth),
            "rank": pd.array(rank, dtype="Int64"),
        }
    )


def four_captions_of(table: pd.DataFrame) -> tuple[np.ndarray, pd.Index]:
    """Return which captions `four_captions` asks about each image of two objects.

    Parameters
    ----------
    table : pandas.DataFrame
        One row per image with the columns `object` and `object2`.

    Returns
    -------
    codes : numpy.ndarray of int, shape (n_images, 4)
        The place of each of an image's captions in `captions`.
    captions : pandas.Index
        All captions, each once.
    """
    pairs = zip(table["object"], table["object2"], strict=True)
    codes, captions = pd.factorize(
        pd.Series([each for pair in pairs for each in settings.four_captions(*pair)])
    )
    return codes.reshape(-1, 4), captions


def four_captions(
    scorers: Scorers, images: Iterable[ImageSource], table: pd.DataFrame, protocol: str = "whatsup"
) -> pd.DataFrame:
    """Ask which of What'sUp's four captions fits each image of two objects.

    The captions are, in this order, ``a {object} and a {object2}``, ``a {object}``, ``a {object2}`` and
    ``a cat and a refrigerator``. Their probabilities are the softmax of 100 × cosine. The factor 100 belongs to the
    protocol, not to the model (whose `logit_scale` is not used), so that probabilities can be compared.

    Parameters
    ----------
    scorers, images
        See the module.
    table : pandas.DataFrame
        One row per image with the columns `object` and `object2`; other columns are carried along.
    protocol : str
        Value of the column `protocol`.

    Returns
    -------
    pandas.DataFrame
        The rows of `table`, numbered from 0, with these columns added:

        - `model`, `pretrained` (of the scorer) and `protocol`;
        - `choice`: the caption that wins (of equally probable ones the first): ``"both"``, ``"object"``, ``"object2"``
          or ``"other"``;
        - `correct`: whether that is ``"both"`` (dtype ``boolean``);
        - `margin`: 100 × cosine of the first caption minus that of the best other one;
        - `probability`: that of the first caption, in [0, 1].
    """
    _check_table(table, images, ["object", "object2"])
    codes, captions = four_captions_of(table)

    def answer(scorer: Scorer, cosines: np.ndarray) -> pd.DataFrame:
        logits = FOUR_CAPTIONS_SCALE * np.take_along_axis(cosines, codes, axis=1)
        winner = logits.argmax(axis=1)
        answers = pd.DataFrame(
            {
                "choice": _CAPTIONS[winner],
                "correct": pd.array(winner == 0, dtype="boolean"),
                "margin": _margin(logits, np.zeros(len(table), dtype=int)),
                "probability": softmax(logits, axis=1)[:, 0],
            }
        )
        return _join(scorer, table, protocol, logits, answers)

    return _of_each(scorers, images, list(captions), table, answer)


def grid(scorers: Scorers, scenes: Sequence[Scene], labels: Sequence[str]) -> pd.DataFrame:
    """Ask `zero_shot` about scenes of one object each; return its columns with those of `scene_table`."""
    return zero_shot(scorers, [scene.render for scene in scenes], scene_table(scenes), labels)


def pair(scorers: Scorers, scenes: Sequence[Scene]) -> pd.DataFrame:
    """Ask `four_captions` about the scenes of `layouts.pair`; return its columns with those of `pair_table`."""
    return four_captions(scorers, [scene.render for scene in scenes], pair_table(scenes), protocol="pair")


def whatsup(scorers: Scorers, table: pd.DataFrame) -> pd.DataFrame:
    """Ask `four_captions` about files in What'sUp's naming, the table of `crosseyed.data.whatsup.read_whatsup`."""
    require_columns(table, ["path"], "the table of images")
    return four_captions(scorers, list(table["path"]), table)


def _of_each(
    scorers: Scorers,
    images: Iterable[ImageSource],
    texts: Sequence[str],
    table: pd.DataFrame,
    answer: Callable[[Scorer, np.ndarray], pd.DataFrame],
) -> pd.DataFrame:
    """Compare one image per row of the table with all texts, and put the answers of all models below each other."""
    several = isinstance(scorers, Sequence)
    scorers = list(scorers) if several else [scorers]
    if several and not isinstance(images, Sequence):
        images = list(images)
    answers = []
    for scorer, similarities in zip(scorers, similarities_of_each(scorers, images, texts), strict=True):
        _check_count(len(similarities), table)
        answers.append(answer(scorer, similarities))
    return pd.concat(answers, ignore_index=True) if several else answers[0]


def _margin(logits: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the true logit minus the best other one, per row of (n, labels)."""
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, truth] = -np.inf
    return logits[rows, truth] - others.max(axis=1)


def _join(
    scorer: Scorer, table: pd.DataFrame, protocol: str, logits: np.ndarray, answers: pd.DataFrame
) -> pd.DataFrame:
    """Add the answers to the table; none for images that could not be read, whose logits are NaN."""
    unreadable = np.isnan(logits).any(axis=1)
    answers.loc[unreadable] = pd.NA
    answers.loc[unreadable, "choice"] = _UNREADABLE
    asked = {"model": scorer.model, "pretrained": scorer.pretrained, "protocol": protocol}
    return table.reset_index(drop=True).assign(**asked, **answers)


def _check_table(table: pd.DataFrame, images: Iterable[ImageSource], columns: Sequence[str]) -> None:
    if table.empty:
        raise InputError("The table of images is empty; give at least one image.")
    require_columns(table, columns, "the table of images")
    if isinstance(images, Sized):  # of an iterator, the number is known only at the end
        _check_count(len(images), table)


def _check_count(n_images: int, table: pd.DataFrame) -> None:
    if n_images != len(table):
        raise InputError(
            f"There are {n_images} images but {len(table)} rows in their table; give one row per image."
        )


def _check_labels(truth: pd.Series, labels: Sequence[str]) -> None:
    if len(labels) < 2:
        raise InputError(f"There are {len(labels)} labels to choose among; give at least two.")
    repeated = [label for label, count in pd.Series(list(labels)).value_counts().items() if count > 1]
    if repeated:
        raise InputError(f"The label {repeated[0]!r} is given more than once; give every label once.")
    for label in truth.unique():
        if label not in labels:
            raise InputError(
                f"The object {label!r} is not among the {len(labels)} labels{suggest(str(label), labels)}"
            )
