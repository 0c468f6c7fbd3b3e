"""Which models a sweep is about, and what became of it."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from crosseyed.errors import InputError, suggest
from crosseyed.files import atomic_write
from crosseyed.workflow.editions import BUILD, Edition

KEYS = ("models", "seeds", "notebooks")

MODEL_KEYS = ("model", "pretrained", "checkpoint", "download", "data")


@dataclass(frozen=True)
class Sweep:
    """Models × seeds × notebooks.

    Attributes
    ----------
    editions : tuple of Edition
        One for each model and seed.
    notebooks : tuple of str
        Names of the notebooks that are executed for each.
    missing : tuple of str
        Models whose checkpoint file is not there, each with where it was expected.
    """

    editions: tuple[Edition, ...]
    notebooks: tuple[str, ...]
    missing: tuple[str, ...]


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
        The file is not there, is no YAML, names no model, has an unknown key or names a model twice.
    """
    return _checked(_load(path), path)["models"]


def read_sweep(path: str | os.PathLike, notebooks: Sequence[str]) -> Sweep:
    """Read what a sweep is to do.

    Parameters
    ----------
    path : path
        A YAML file with the list `models` and perhaps the lists `seeds` (whole numbers, by default 0) and
        `notebooks` (by default all that are given here).
    notebooks : sequence of str
        Names of the notebooks there are.

    Returns
    -------
    Sweep
        The sweep.

    Raises
    ------
    InputError
        As `read_models`; and if a seed is no whole number or a notebook does not exist.
    """
    content = _checked(_load(path), path)
    chosen = content.get("notebooks") or list(notebooks)
    for name in chosen:
        if name not in notebooks:
            raise InputError(
                f"{path} names the notebook {name!r}, which does not exist{suggest(str(name), notebooks)}"
            )
    editions, missing = [], []
    for entry in content["models"]:
        given = {key: entry[key] for key in ("model", "pretrained", "checkpoint") if entry.get(key)}
        if "checkpoint" in given and not Path(given["checkpoint"]).is_file():
            missing.append(f"{given['model']} needs its weights in {given['checkpoint']}")
            continue
        editions += [Edition.from_mapping({**given, "seed": seed}) for seed in content.get("seeds") or [0]]
    names = [edition.name for edition in editions]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{path} names {name} more than once; keep one of the entries.")
    return Sweep(tuple(editions), tuple(chosen), tuple(missing))


def measuring(folder: Path) -> list[str]:
    """Name the notebooks that measure a model: all but those that compare the results that a sweep makes.

    Parameters
    ----------
    folder : path
        Folder of the notebooks.

    Returns
    -------
    list of str
        In the order of the chapters.
    """
    notebooks = sorted(folder.glob("*.ipynb"))
    return [path.stem for path in notebooks if "data/results/models" not in path.read_text(encoding="utf-8")]


def publish(sweep: Sweep, folder: Path) -> list[str]:
    """Copy the results of the editions that are done to where results are kept.

    Parameters
    ----------
    sweep : Sweep
        The sweep.
    folder : path
        The folder of results; files of other models stay.

    Returns
    -------
    list of str
        Names of the editions with results. Those of random weights are computed and not kept.
    """
    done = [edition for edition in sweep.editions if (edition.folder / "result.csv").exists()]
    for edition in done:
        result, kept = edition.folder / "result.csv", folder / f"{edition.name}.csv"
        if edition.pretrained != "random" and not (
            kept.exists() and kept.read_bytes() == result.read_bytes()
        ):
            with atomic_write(kept) as temporary:
                shutil.copyfile(result, temporary)
    return [edition.name for edition in done]


def summarize(sweep: Sweep, resume: str) -> str:
    """Say what is done, what failed and where, and how to go on.

    Parameters
    ----------
    sweep : Sweep
        The sweep, after its run.
    resume : str
        The command that goes on with it.

    Returns
    -------
    str
        A few lines for a terminal.
    """
    lines, failed = [], 0
    for edition in sweep.editions:
        state = _state(edition, sweep.notebooks)
        failed += state != "done"
        lines.append(f"  {edition.name}: {state}")
    lines += [f"  {words}" for words in sweep.missing]
    total = len(sweep.editions) + len(sweep.missing)
    left = failed + len(sweep.missing)
    lines.insert(0, f"{total - left} of {total} editions are done:")
    if left:
        lines.append(f"What is done is kept. When the causes are mended, `{resume}` goes on with the rest.")
    return "\n".join(lines)


def _state(edition: Edition, notebooks: Sequence[str]) -> str:
    if not (BUILD / "models" / f"{edition.name}.json").exists():
        return "its model could not be loaded (the message above says why)"
    failed = [name for name in notebooks if (edition.folder / "failed" / f"{name}.ipynb").exists()]
    if failed:
        return f"failed in {', '.join(failed)} (as far as they came: {edition.folder / 'failed'})"
    open_ = [name for name in notebooks if not (edition.folder / "notebooks" / f"{name}.ipynb").exists()]
    if open_:
        return f"not run: {', '.join(open_)}"
    return (
        "done" if (edition.folder / "result.csv").exists() else "without a result, which needs 01_center_bias"
    )


def _load(path: str | os.PathLike) -> Mapping[str, object]:
    try:
        content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(
            f"{path} cannot be read ({error.strerror}); give a file such as models.yml."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no YAML: {error}") from error
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
