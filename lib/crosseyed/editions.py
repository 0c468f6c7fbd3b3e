"""What an edition is: the book executed for one model, and the folders that belong to it."""

import hashlib
import json
import os
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import TypeAdapter, ValidationError

from crosseyed.documents import read_json
from crosseyed.errors import InputError, shorten
from crosseyed.files import DATA, atomic_write, content_digest, require_file, require_folder, visible_files
from crosseyed.validation import Checked, Seed, one_of, validated
from crosseyed.weight_files import weight_files

BUILD = Path("_build")
"""Folder of everything the workflow makes, relative to the repository."""

DEFAULT_MODEL = "pocketclip-centered"
"""The model of the edition that is built when no model is named."""

SIZES = ("quick", "standard", "full")
"""Sizes of an edition by how much its notebooks take of everything, the smallest first (`crosseyed.report.sizes`)."""

PRECISIONS = ("fp32", "bf16", "fp16")
"""Types of number that a model can compute in, the one of an edition that names none first."""

_HUB, _FOLDER = "hf-hub:", "local-dir:"

_SHIPPED = DATA / "models"

_MODEL_FILES = (".json", ".safetensors", ".bin", ".pt", ".pth", ".model", ".txt")

_LONGEST_PART = 70  # bytes: a folder's name has at most 255, and an edition's has three parts


def edition_name(
    model: str,
    pretrained: str | None = None,
    checkpoint: str | None = None,
    seed: int = 0,
    digest: str | None = None,
    size: str | None = None,
    precision: str = PRECISIONS[0],
) -> str:
    """Return the name of the edition of a model, fit for a folder.

    It joins by ``--`` the model (of ``local-dir:`` the folder's own name), the tag, the checkpoint's file name without
    suffix, the precision unless it is the first of `PRECISIONS`, the seed unless it is 0, and the size unless it is
    that of `default_size`. What comes from a file or folder of the user ends with the digest of its content, so that no
    two models share an edition. Each character other than letters, digits, ``_``, ``.`` and ``-`` becomes ``-``, but
    ``/`` and ``:`` become ``--``. The arguments are as in `Edition`.

    Raises
    ------
    InputError
        The model has no name.

    Examples
    --------
    >>> edition_name("ViT-B-32", "openai", "runs/epoch_10.pt", digest="1a2b3c4d")
    'ViT-B-32--openai--epoch_10-1a2b3c4d'
    >>> edition_name("hf-hub:timm/ViT-B-16-SigLIP", seed=1)
    'hf-hub--timm--ViT-B-16-SigLIP--seed1'
    >>> edition_name("ViT-B-32", "openai", size="quick")
    'ViT-B-32--openai--quick'
    >>> edition_name("ViT-B-32", "openai", precision="bf16", seed=2)
    'ViT-B-32--openai--bf16--seed2'
    """
    named = Path(model.removeprefix(_FOLDER)).resolve().name if model.startswith(_FOLDER) else None
    label = _part(re.sub("[/:]", "--", model) if named is None else named)
    if (not label and not digest) or model == _HUB:
        raise InputError(_no_model(model))
    weights = _part(Path(checkpoint).stem) if checkpoint else ""
    if digest and checkpoint:
        weights = f"{weights}-{digest}".strip("-")
    elif digest:
        label = f"{label}-{digest}".strip("-")
    parts = [label, _part(pretrained or ""), weights, precision if precision != PRECISIONS[0] else ""]
    parts += [f"seed{seed}" if seed else ""]
    parts += [] if size in (None, default_size(model)) else [size]
    return "--".join(part for part in parts if part)


def default_size(model: str) -> str:
    """Return the size of an edition that names none: ``"full"`` for the PocketCLIPs of the repository.

    They are small, and their tables are kept. Any other model has ``"standard"``.
    """
    folder = Path(model.removeprefix(_FOLDER) if model.startswith(_FOLDER) else _SHIPPED / model)
    return "full" if _is_shipped(folder) and folder.name.startswith("pocketclip-") else "standard"


def folder_digest(folder: str | os.PathLike) -> str | None:
    """Return the digest of the model in a folder; None for the models of the repository, which go by their names."""
    path = Path(os.path.abspath(folder))
    return None if _is_shipped(path) else content_digest(visible_files(path, *_MODEL_FILES))


def _is_shipped(folder: Path) -> bool:
    return os.path.dirname(os.path.abspath(folder)) == os.path.abspath(_SHIPPED)


def _no_model(given: object) -> str:
    return f"{shorten(given)} names no model; give one, for example MODEL={DEFAULT_MODEL}."


def _part(text: str) -> str:
    """Return a text without what a folder's name cannot have; a long one ends with a digest of what is cut."""
    fit = re.sub(r"[^\w.-]+", "-", unicodedata.normalize("NFC", text)).strip(".-")
    if len(raw := fit.encode("utf-8", "ignore")) <= _LONGEST_PART:
        return raw.decode()
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return raw[: _LONGEST_PART - 9].decode("utf-8", "ignore").rstrip(".-") + f"-{digest}"


Size = Annotated[str, one_of("size", SIZES)]
"""One of `SIZES`."""

Precision = Annotated[str, one_of("precision", PRECISIONS)]
"""One of `PRECISIONS`."""


class _Given(Checked):
    """What a configuration says of an edition."""

    model: str = DEFAULT_MODEL
    pretrained: str | None = None
    checkpoint: str | None = None
    seed: Seed = 0
    size: Size | None = None
    precision: Precision = PRECISIONS[0]


@dataclass(frozen=True)
class Edition:
    """The model that a book is executed for, and how much of everything its notebooks take."""

    model: str = DEFAULT_MODEL
    """Name of the model as `crosseyed.models.loading.load` takes it."""
    pretrained: str | None = None
    """Its pretrained tag."""
    checkpoint: str | None = None
    """A checkpoint file that the weights come from."""
    seed: int = 0
    """Seed of the notebooks."""
    digest: str | None = None
    """Digest of the content of the checkpoint, or of the user's own folder (`crosseyed.files.content_digest`)."""
    size: str = ""
    """One of `SIZES`; by default that of `default_size`."""
    precision: str = PRECISIONS[0]
    """One of `PRECISIONS`: the type of the model's weights and activations."""

    def __post_init__(self) -> None:
        """Give an edition without a size the one that its model has."""
        object.__setattr__(self, "size", self.size or default_size(self.model))

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, object]) -> "Edition":
        """Return the edition that a configuration describes.

        Parameters
        ----------
        mapping : mapping
            May have the keys `model`, `pretrained`, `checkpoint`, `size`, `precision` (texts) and `seed`; what is
            empty, but the model, counts as not given. A relative path (of `checkpoint`, or after ``local-dir:``) is
            made absolute, because notebooks are executed in a folder of their own.

        Raises
        ------
        InputError
            Another key is given, a value has another type, the model is empty, the checkpoint or folder does not
            exist, or its path is not in UTF-8.
        """
        if not isinstance(mapping, Mapping):
            raise InputError(
                f"{shorten(mapping)} is not an edition; give a mapping such as {{model: {DEFAULT_MODEL}}}."
            )
        stripped = {key: value.strip() if isinstance(value, str) else value for key, value in mapping.items()}
        # a variable that a shell or make expanded to nothing
        if stripped.get("model", DEFAULT_MODEL) in ("", None, _HUB, _FOLDER):
            raise InputError(_no_model(mapping["model"]))
        given = validated(
            _Given, {key: each for key, each in stripped.items() if each not in ("", None)}, "an edition"
        )
        model, checkpoint, digest = given.model, given.checkpoint, None
        if model.startswith(_FOLDER):
            folder = require_folder(model.removeprefix(_FOLDER), "a model folder after local-dir:").resolve()
            model = f"{_FOLDER}{folder}"
            digest = folder_digest(folder)
        if checkpoint:
            files = weight_files(checkpoint)
            checkpoint, digest = os.path.abspath(files[0]), content_digest(files)
        for name in (model, given.pretrained, checkpoint):
            if any("\ud800" <= letter <= "\udfff" for letter in name or ""):
                raise InputError(
                    f"{shorten(name)} is not text in UTF-8, and a notebook cannot hold it; rename it."
                )
        return cls(model, given.pretrained, checkpoint, given.seed, digest, given.size or "", given.precision)

    @property
    def name(self) -> str:
        """Name of the edition (see `edition_name`)."""
        given = (self.model, self.pretrained, self.checkpoint, self.seed, self.digest, self.size)
        return edition_name(*given, self.precision)

    @property
    def folder(self) -> Path:
        """Folder of the edition, relative to the repository."""
        return BUILD / "editions" / self.name

    @property
    def parameters(self) -> dict[str, str | int | None]:
        """The parameters that tell a notebook its model."""
        given = asdict(self)
        left_out = {"digest", "size"} if self.checkpoint else {"digest", "size", "checkpoint"}
        return {name: value for name, value in given.items() if name not in left_out}

    @property
    def configuration(self) -> dict[str, str | int | None]:
        """What `from_mapping` makes the same edition of."""
        return {**self.parameters, "size": self.size}


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
    weights: str
    """Digest of its weights (`crosseyed.models.clip.ClipModel.digest`)."""

    @property
    def parameters_in_words(self) -> str:
        """Number of the model's parameters, such as ``"151.3 million"``."""
        return f"{self.parameters / 1e6:.1f} million"

    @classmethod
    def read(cls, path: str | os.PathLike) -> "Description":
        """Read the description of an edition that `write` wrote; raise InputError if it is damaged."""
        what = "the description of an edition, which make book writes"
        require_file(path, what)
        try:
            return TypeAdapter(cls).validate_python(read_json(path, what))
        except (InputError, ValidationError) as error:
            raise InputError(f"{os.fspath(path)!r} is not {what}; delete it and start again.") from error

    def write(self, path: str | os.PathLike) -> None:
        """Write the description as JSON."""
        with atomic_write(path) as file:
            file.write_text(json.dumps(asdict(self)), encoding="utf-8")
