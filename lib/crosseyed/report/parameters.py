"""What the parameters of each chapter may be; all are checked when the chapter begins."""

import sys
from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from crosseyed.data.backgrounds import BACKGROUNDS
from crosseyed.data.cutouts import STYLES
from crosseyed.editions import Precision
from crosseyed.errors import InputError, check_choice
from crosseyed.files import require_file, require_folder
from crosseyed.models.loading import choose_device
from crosseyed.settings import GridSize
from crosseyed.validation import Checked, Count, Seed, one_of, validated


def _check_device(name: str) -> str:
    choose_device(name)
    return name


def _check_folder(path: str) -> str:
    return str(require_folder(path, "a folder")) if path else path


def _check_file(path: str) -> str:
    return str(require_file(path, "a file")) if path else path


def _check_distinct(names: list) -> list:
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"{name!r} comes more than once; keep one.")
    return names


Name = Annotated[str, Field(min_length=1)]
"""Text that is not empty."""

Style = Annotated[str, one_of("style", STYLES)]
"""A rendering of the catalogue's objects."""

Styles = Annotated[list[Style], Field(min_length=1), AfterValidator(_check_distinct)]
"""Renderings, each once."""

ObjectSize = Annotated[float, Field(gt=0, le=1)]
"""Longer side of an object over the side of the image."""

Device = Annotated[str, AfterValidator(_check_device)]
"""Where a model computes."""

Folder = Annotated[str, AfterValidator(_check_folder)]
"""A folder that exists; an empty text is as good as None."""

File = Annotated[str, AfterValidator(_check_file)]
"""A file that exists; an empty text is as good as None."""


class Parameters(Checked):
    """What every chapter takes."""

    model: Name
    pretrained: str | None
    checkpoint: str | None
    precision: Precision
    seed: Seed
    settings: dict[str, object]
    output: Name


class _Measuring(Parameters):
    """What a chapter about a model takes."""

    device: Device
    object_size: ObjectSize


class _Beside(_Measuring):
    """What a chapter takes that shows other models beside its own."""

    references: Annotated[list[Name], AfterValidator(_check_distinct)]
    styles: Styles
    n_objects: Count


class CenterBias(_Beside):
    """Parameters of chapter 1."""

    n_control_objects: Count
    cutout_folder: Folder | None
    whatsup_folder: Folder | None


class EmbeddingDecomposition(_Beside):
    """Parameters of chapter 2."""

    styles: Annotated[Styles, Field(min_length=3)]
    top: Count
    n_heads: Count
    n_concepts: Count
    n_exchanged: Count


class AttentionMaps(_Beside):
    """Parameters of chapter 3."""

    n_explained: Count


class PoolingAblation(_Measuring):
    """Parameters of chapter 4."""

    n_test: Count
    n_validation: Count
    n_training: Count
    test_style: Style
    training_style: Style
    scenes_per_object: Count
    n_maps: Count
    pretraining_table: File | None

    @field_validator("training_style")
    @classmethod
    def _differs_from_the_test(cls, style: str, info: ValidationInfo) -> str:
        if style == info.data.get("test_style"):
            raise InputError("it is the style of the test; give another one.")
        return style


class Mitigations(_Measuring):
    """Parameters of chapter 5."""

    n_validation: Count
    n_test: Count
    styles: Styles
    most_loss: Annotated[float, Field(ge=0, le=100)]
    whatsup_folder: Folder | None


class ModelFamily(Parameters):
    """Parameters of chapter 6."""

    results_folder: Folder | None
    models_file: File | None


class Origins(Parameters):
    """Parameters of chapter 7."""

    origins_table: File | None
    n_images: Count


class Robustness(_Measuring):
    """Parameters of chapter 8."""

    n_objects: Count
    n_off_center: Count
    n_names: Annotated[list[Annotated[int, Field(ge=2)]], AfterValidator(_check_distinct)]
    object_sizes: Annotated[list[ObjectSize], AfterValidator(_check_distinct)]
    grid_sizes: Annotated[list[GridSize], AfterValidator(_check_distinct)]
    n_crowd: Annotated[
        list[Annotated[int, Field(ge=1, le=9)]], Field(min_length=1), AfterValidator(_check_distinct)
    ]
    n_searched: Annotated[int, Field(ge=2)]
    n_control_objects: Count
    largest_size: Annotated[float, Field(gt=0, le=0.8)]
    resolutions: Annotated[list[Annotated[float, Field(ge=0.5, le=4)]], AfterValidator(_check_distinct)]
    style: Style


class MoveItYourself(Parameters):
    """Parameters of the explorer."""

    device: Device
    references: Annotated[list[Name], AfterValidator(_check_distinct)]
    style: Style
    n_objects: Annotated[int, Field(ge=2)]
    n_mitigated: Count
    object_sizes: Annotated[list[ObjectSize], Field(min_length=1), AfterValidator(_check_distinct)]
    backgrounds: Annotated[
        list[Annotated[str, one_of("background", BACKGROUNDS)]],
        Field(min_length=1),
        AfterValidator(_check_distinct),
    ]
    n_places: list[GridSize]

    @field_validator("n_places")
    @classmethod
    def _one_for_each_background(cls, given: list[int], info: ValidationInfo) -> list[int]:
        backgrounds = info.data.get("backgrounds", given)
        if len(given) != len(backgrounds):
            raise InputError(f"give as many numbers as there are backgrounds, {len(backgrounds)}.")
        return given


CHAPTERS: Mapping[str, type[Parameters]] = {
    "01_center_bias": CenterBias,
    "02_embedding_decomposition": EmbeddingDecomposition,
    "03_attention_maps": AttentionMaps,
    "04_pooling_ablation": PoolingAblation,
    "05_mitigations": Mitigations,
    "06_model_family": ModelFamily,
    "07_origins": Origins,
    "08_robustness": Robustness,
    "09_move_it_yourself": MoveItYourself,
}
"""The parameters of each notebook, by its name without suffix."""


def check(chapter: str, names: Mapping[str, object], *, begun: bool = False) -> Parameters:
    """Return the parameters of a chapter, checked.

    Parameters
    ----------
    chapter : str
        Name of the notebook without suffix.
    names : mapping
        ``globals()`` of the notebook. A value that papermill can give and that is not a parameter is a misspelt one:
        papermill defines it without a word.
    begun : bool
        The chapter began before in the same kernel, so that variables of its own are among the names.

    Raises
    ------
    InputError
        A parameter is unknown or missing, or its value is not what it can be.
    """
    check_choice("notebook", chapter, CHAPTERS)
    known = CHAPTERS[chapter].model_fields
    given = {name: names[name] for name in known if name in names}
    if not begun:
        given |= {
            name: value for name, value in names.items() if name not in known and _may_be_given(name, value)
        }
    return validated(CHAPTERS[chapter], given, f"the notebook {chapter}")


def _may_be_given(name: str, value: object) -> bool:
    """Tell a value that papermill can have set from what IPython and imports define."""
    if name.startswith("_") or name in ("In", "Out"):
        return False
    return isinstance(value, str | int | float | list | dict | None) and not _imported(name, value)


def _imported(name: str, value: object) -> bool:
    ours = [module for key, module in list(sys.modules.items()) if key.startswith("crosseyed.")]
    return any(vars(module).get(name) is value for module in ours if name in vars(module))
