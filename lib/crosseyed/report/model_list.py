"""The list of models that the study is about, such as ``models.yml``."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BeforeValidator, Field

from crosseyed.documents import read_yaml
from crosseyed.editions import Precision, Size, edition_name
from crosseyed.errors import InputError, shorten
from crosseyed.validation import Checked, Seed, validated

_Name = Annotated[str, Field(min_length=1)]


def _number(value: object) -> object:
    """Take the text of a whole number, as YAML is read here, for the number."""
    return int(value) if isinstance(value, str) and re.fullmatch("-?[0-9]{1,20}", value) else value


class _Entry(Checked):
    model: _Name
    pretrained: str | None = None
    checkpoint: str | None = None
    size: Size | None = None
    precision: Precision | None = None
    download: str | None = None
    data: str | None = None
    year: Annotated[str, Field(pattern=r"^(19|20)[0-9]{2}$")] | None = None


class _List(Checked):
    models: Annotated[list[object], Field(min_length=1)]
    seeds: list[Annotated[Seed, BeforeValidator(_number)]] = Field(default_factory=list)
    notebooks: list[_Name] = Field(default_factory=list)


@dataclass(frozen=True)
class ModelList:
    """What a file such as ``models.yml`` says."""

    models: tuple[dict[str, str], ...]
    """Each with `model` and perhaps `pretrained`, `checkpoint` (a file), `size` and `precision` (of the edition),
    `download` (size, for the reader), `data` (what it was trained on, for the reader) and `year` (when it was first
    described): the text as it stands there."""
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
    what = f"the list of models {os.fspath(path)!r}"
    if not isinstance(content, Mapping) or not content.get("models"):
        raise InputError(
            f"{os.fspath(path)!r} names no models; it needs a list `models:` of entries such as {{model: ViT-B-32}}."
        )
    given = validated(_List, {key: _listed(value) for key, value in content.items()}, what)
    models = tuple(_entry(each, what) for each in given.models)
    return ModelList(models, tuple(given.seeds) or (0,), tuple(given.notebooks))


def _entry(content: object, what: str) -> dict[str, str]:
    if not isinstance(content, Mapping):
        raise InputError(
            f"The entry {shorten(content)} of {what} is not a mapping; write {{model: ViT-B-32, pretrained: openai}}."
        )
    entry = validated(_Entry, content, f"the entry {shorten(content)} of {what}")
    try:
        edition_name(entry.model, entry.pretrained, entry.checkpoint)
    except InputError as error:
        raise InputError(f"{what[0].upper()}{what[1:]} has an entry that cannot be: {error}") from error
    return {key: value for key, value in entry.model_dump().items() if value}


def _listed(value: object) -> Sequence[object]:
    """Take one entry for a list of one, and nothing for an empty list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]
