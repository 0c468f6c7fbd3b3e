"""What an edition is: the book executed for one model, and the folders that belong to it."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from crosseyed.errors import InputError
from crosseyed.files import atomic_write

BUILD = Path("_build")
"""Folder of everything the workflow makes, relative to the repository."""

DEFAULT_MODEL = "pocketclip-centered"
"""The model of the edition that is built when no model is named."""


def edition_name(
    model: str, pretrained: str | None = None, checkpoint: str | None = None, seed: int = 0
) -> str:
    """Return the name of the edition of a model, fit for a folder.

    It joins by ``--`` the model (``hf-hub:`` left out and ``/`` written as ``--``; of ``local-dir:`` the folder's own
    name), the origin of its weights (the checkpoint's file name without suffix, else the tag, if there is one) and,
    unless it is 0, the seed; each character other than letters, digits, ``_``, ``.`` and ``-`` becomes ``-``. The
    arguments are as in `Edition`.

    Raises
    ------
    InputError
        The model has no name.

    Examples
    --------
    >>> edition_name("ViT-B-32", "openai")
    'ViT-B-32--openai'
    >>> edition_name("hf-hub:timm/ViT-B-16-SigLIP", seed=1)
    'timm--ViT-B-16-SigLIP--seed1'
    """
    if model.startswith("local-dir:"):
        label = Path(model.removeprefix("local-dir:")).resolve().name
    else:
        label = model.removeprefix("hf-hub:").replace("/", "--")
    origin = Path(checkpoint).stem if checkpoint else pretrained
    label, origin = (
        re.sub(r"[^\w.-]+", "-", part or "", flags=re.ASCII).strip(".-") for part in (label, origin)
    )
    if not label:
        raise InputError(f"{model!r} names no model; give one, for example MODEL={DEFAULT_MODEL}.")
    return "--".join([label, *([origin] if origin else []), *([f"seed{seed}"] if seed else [])])


@dataclass(frozen=True)
class Edition:
    """The model that a book is executed for."""

    model: str = DEFAULT_MODEL
    """Name of the model as `crosseyed.models.loading.load` takes it."""
    pretrained: str | None = None
    """Its pretrained tag."""
    checkpoint: str | None = None
    """A checkpoint file that the weights come from."""
    seed: int = 0
    """Seed of the notebooks."""

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> "Edition":
        """Return the edition that a configuration describes.

        Parameters
        ----------
        mapping : mapping
            May have the keys `model`, `pretrained`, `checkpoint` and `seed`; an empty value counts as not given. A
            relative path (of `checkpoint`, or after ``local-dir:``) is made absolute, because notebooks are
            executed in a folder of their own.

        Raises
        ------
        InputError
            Another key is given, or the checkpoint file does not exist.
        """
        unknown = sorted(set(mapping) - {field.name for field in fields(cls)})
        if unknown:
            raise InputError(
                f"An edition has no {unknown[0]!r}; it has model, pretrained, checkpoint and seed."
            )
        given = {key: str(value) for key, value in mapping.items() if value and key != "seed"}
        if given.get("model", "").startswith("local-dir:"):
            given["model"] = f"local-dir:{Path(given['model'].removeprefix('local-dir:')).resolve()}"
        if "checkpoint" in given:
            path = Path(given["checkpoint"]).resolve()
            if not path.is_file():
                raise InputError(f"The checkpoint {path} does not exist; give the path of a file.")
            given["checkpoint"] = str(path)
        return cls(**given, seed=int(mapping.get("seed") or 0))

    @property
    def name(self) -> str:
        """Name of the edition (see `edition_name`)."""
        return edition_name(self.model, self.pretrained, self.checkpoint, self.seed)

    @property
    def folder(self) -> Path:
        """Folder of the edition, relative to the repository."""
        return BUILD / "editions" / self.name

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """The parameters that tell a notebook its model."""
        given = asdict(self)
        if self.checkpoint is None:
            del given["checkpoint"]
        return given


@dataclass(frozen=True)
class Description:
    """An edition and its model as it was loaded: the file that every later step of the workflow reads."""

    edition: Edition
    model: str
    """As the tables of the edition spell it, like `pretrained`."""
    pretrained: str
    parameters: int
    """Number of the model's parameters."""
    tower: dict[str, object]
    """What its image tower is made of: the fields of `crosseyed.models.towers.description.Tower`."""
    device: str
    """Kind of device that it was loaded on: ``"cpu"``, ``"cuda"`` or ``"mps"``."""

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Description":
        """Read the description of an edition that `write` wrote."""
        content = json.loads(Path(path).read_text(encoding="utf-8"))
        return cls(**{**content, "edition": Edition(**content["edition"])})

    def write(self, path: str | os.PathLike) -> None:
        """Write the description as JSON."""
        with atomic_write(path) as file:
            file.write_text(json.dumps(asdict(self)), encoding="utf-8")
