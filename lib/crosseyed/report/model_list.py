"""The list of models that the study is about, such as ``models.yml``."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from crosseyed.documents import read_yaml
from crosseyed.editions import edition_name
from crosseyed.errors import InputError, shorten, suggest
from crosseyed.validation import LARGEST_SEED

KEYS = ("models", "seeds", "notebooks")
MODEL_KEYS = ("model", "pretrained", "checkpoint", "download", "data")


@dataclass(frozen=True)
class ModelList:
    """What a file such as ``models.yml`` says."""

    models: tuple[dict[str, str], ...]
    """Each with `model` and perhaps `pretrained`, `checkpoint` (a file), `download` (size, for the reader) and `data`
    (what it was trained on, for the reader): the text as it stands in the file."""
    seeds: tuple[int, ...] = (0,)
    notebooks: tuple[str, ...] = ()
    """Names of notebooks; none, if the file does not choose."""


def read_list(path: str | os.PathLike) -> ModelList:
    """Read and check a list of models.

    Parameters
    ----------
    path : path
        A YAML file with the list `models` and perhaps the lists `seeds` and `notebooks`. One entry may stand alone, as
        in ``seeds: 3``. Names are the text that is written, also ``007`` or ``null``.

    Raises
    ------
    InputError
        The file is missing, is not YAML, names no model, or has an unknown key or a value of another kind.
    """
    content = read_yaml(path, "a YAML file such as models.yml")
    try:
        return _checked(content)
    except InputError as error:
        raise InputError(f"{os.fspath(path)!r} {error}") from None


def _checked(content: object) -> ModelList:
    if not isinstance(content, Mapping):
        raise InputError("names no models; it needs a list `models:` of entries such as {model: ViT-B-32}.")
    _check_keys(content, KEYS)
    models = tuple(_entry(each) for each in _listed(content.get("models")))
    if not models:
        raise InputError("names no models; it needs a list `models:` of entries such as {model: ViT-B-32}.")
    seeds = tuple(_seed(each) for each in _listed(content.get("seeds")))
    notebooks = _listed(content.get("notebooks"))
    for name in notebooks:
        if not isinstance(name, str) or not name:
            raise InputError(f"names the notebook {shorten(name)}; write a name such as 01_center_bias.")
    return ModelList(models, seeds or (0,), tuple(notebooks))


def _entry(content: object) -> dict[str, str]:
    if not isinstance(content, Mapping) or not content.get("model"):
        raise InputError(
            f"has the entry {shorten(content)}; each is a mapping with `model` and perhaps `pretrained`, "
            "such as {model: ViT-B-32, pretrained: openai}."
        )
    _check_keys(content, MODEL_KEYS)
    for key, value in content.items():
        if not isinstance(value, str | None):
            raise InputError(
                f"has {shorten(value)} for {key!r} of a model; write one name, without brackets."
            )
    given = {key: value for key, value in content.items() if value}
    try:
        edition_name(given["model"], given.get("pretrained"), given.get("checkpoint"))
    except InputError as error:
        raise InputError(f"has an entry that cannot be: {error}") from error
    return given


def _seed(value: object) -> int:
    if not isinstance(value, str) or not (value.isascii() and value.isdigit()) or int(value) > LARGEST_SEED:
        raise InputError(f"has the seed {shorten(value)}; seeds are whole numbers from 0 to {LARGEST_SEED}.")
    return int(value)


def _listed(value: object) -> Sequence[object]:
    """Take one entry for a list of one, and nothing for an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _check_keys(mapping: Mapping[object, object], known: Sequence[str]) -> None:
    for key in mapping:
        if key not in known:
            near = suggest(str(key), known) or "."
            raise InputError(f"has the unknown key {shorten(key)}{near} Known: {', '.join(known)}.")
