"""The list of models that the study is about, such as ``models.yml``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from crosseyed.errors import InputError, suggest

KEYS = ("models", "seeds", "notebooks")
MODEL_KEYS = ("model", "pretrained", "checkpoint", "download", "data")


def read_models(path: str | os.PathLike) -> list[dict[str, str]]:
    """Read the list of models of a file such as the repository's ``models.yml``.

    Parameters
    ----------
    path : path
        A YAML file with the list `models`.

    Returns
    -------
    list of dict
        Each with `model` and perhaps `pretrained`, `checkpoint` (a file), `download` (size, for the reader) and
        `data` (what it was trained on, for the reader).

    Raises
    ------
    InputError
        The file is missing, is not YAML, names no model, has an unknown key or names a model twice.
    """
    return read_list(path)["models"]


def read_list(path: str | os.PathLike) -> Mapping[str, object]:
    """Read and check a whole list: `models` and perhaps `seeds` and `notebooks`; raises as `read_models`."""
    return _checked(_load(path), path)


def _load(path: str | os.PathLike) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a file such as models.yml."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    if (
        not isinstance(content, Mapping)
        or not isinstance(content.get("models"), list)
        or not content["models"]
    ):
        raise InputError(
            f"{path} names no models; it needs a list `models:` of entries such as {{model: ViT-B-32}}."
        )
    return content


def _checked(content: Mapping[str, object], path: str | os.PathLike) -> Mapping[str, object]:
    _check_keys(content, KEYS, path)
    for entry in content["models"]:
        if not isinstance(entry, Mapping) or not entry.get("model"):
            raise InputError(
                f"{path} has the entry {entry!r}; each is a mapping with `model` and perhaps `pretrained`."
            )
        _check_keys(entry, MODEL_KEYS, path)
    for seed in content.get("seeds") or []:
        if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
            raise InputError(f"{path} has the seed {seed!r}; seeds are whole numbers from 0.")
    return content


def _check_keys(mapping: Mapping[str, object], known: Sequence[str], path: str | os.PathLike) -> None:
    for key in mapping:
        if key not in known:
            raise InputError(
                f"{path} has the unknown key {key!r}{suggest(str(key), known)} Known: {', '.join(known)}."
            )
