"""The recipes of the models that this project trains."""

from dataclasses import dataclass, field, replace
from math import inf
from typing import get_args

from crosseyed.data.cutouts import Cutout, read_cutout_folder, sample_objects
from crosseyed.data.photographer import Dose, Positions
from crosseyed.data.renderings import TRAINED_STYLES, read_renderings
from crosseyed.errors import InputError, check_choice, shorten
from crosseyed.training.studio.shots import Photographer

# Sizes: that of the two PocketCLIPs, one for experiments that train many models, and one of twice the PocketCLIPs'
# weights and less than twice their cost.
ARCHITECTURES = {
    "pocketclip": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 100, "patch_size": 10, "width": 128, "layers": 6, "head_width": 32},
        "text_cfg": {"width": 128, "heads": 4, "layers": 2},
    },
    "wide": {
        "embed_dim": 128,
        "vision_cfg": {"image_size": 100, "patch_size": 10, "width": 192, "layers": 6, "head_width": 32},
        "text_cfg": {"width": 128, "heads": 4, "layers": 2},
    },
    "small": {
        "embed_dim": 96,
        "vision_cfg": {"image_size": 80, "patch_size": 10, "width": 96, "layers": 4, "head_width": 32},
        "text_cfg": {"width": 96, "heads": 3, "layers": 2},
    },
}

# Poolings that a model can be trained with, as options of open_clip's image tower.
POOLINGS = {
    "class token": {},
    "average": {"pool_type": "avg"},
    "attention": {"attentional_pool": True, "attn_pooler_queries": 1, "attn_pooler_heads": 3},
    "max": {"pool_type": "avg"},  # open_clip has no maximum: see `pool_by_maximum`
}

OPTIMIZERS = ("adamw", "muon")

_LARGEST_DROPOUT = 0.9
_LARGEST_WEIGHT = 100
_MOST_ROUNDS = 16


@dataclass(frozen=True)
class Recipe:
    """Everything that the training of a PocketCLIP depends on.

    Attributes
    ----------
    positions : {"centered", "uniform", "centered, all named"} or Dose
        Where objects stand; see `crosseyed.data.photographer`.
    architecture, pooling : str
        Keys of `ARCHITECTURES` and `POOLINGS`.
    n_objects : int, optional
        Number of objects, drawn at random but the same for every recipe; all by default.
    styles : tuple of str
        Renderings to train on; the others are held out.
    steps, warmup : int
        Optimizer steps in total, each with every class once as the subject, and steps of the warm-up.
    learning_rate : float
        Peak of the schedule: linear warm-up, then a cosine to zero.
    weight_decay : float
        Decoupled weight decay of AdamW, on matrices only.
    color_jitter : float
        Largest relative change of the gain of each color channel.
    seed : int
        Decides the initial weights and all images.
    """

    positions: Positions | Dose
    architecture: str = "pocketclip"
    pooling: str = "class token"
    n_objects: int | None = None
    styles: tuple[str, ...] = ("fluent", "twemoji")
    steps: int = 2600
    learning_rate: float = 1e-3
    warmup: int = 150
    weight_decay: float = 0.05
    color_jitter: float = 0.15
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise InputError for an unknown name or a number out of its range."""
        if not isinstance(self.positions, Dose):
            check_choice("positions", str(self.positions), get_args(Positions))
        check_choice("architecture", str(self.architecture), ARCHITECTURES)
        check_choice("pooling", str(self.pooling), POOLINGS)
        lowest = {"steps": 1, "warmup": 0, "seed": 0} | ({} if self.n_objects is None else {"n_objects": 1})
        for name, least in lowest.items():
            _check_whole(f"{name} of a recipe", getattr(self, name), least, 2**32 - 1)
        for name in ("learning_rate", "weight_decay", "color_jitter"):
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value < inf:
                raise InputError(f"{name} of a recipe is {shorten(value)}; give a finite number, 0 or more.")


@dataclass(frozen=True)
class Stage:
    """An easier part of a training, before the whole task.

    Attributes
    ----------
    steps : int
        How many optimizer steps it lasts.
    patches : int, optional
        How many patches of an image a step sees: those nearest to what the caption names
        (`crosseyed.training.patches`); all by default.
    photographer : Photographer
        How much its images vary.
    """

    steps: int
    patches: int | None = None
    photographer: Photographer = field(default_factory=Photographer)


@dataclass(frozen=True)
class StudioRecipe(Recipe):
    """A recipe whose images the studio takes (`crosseyed.training.studio`), with the variation of photographs.

    `positions` are ``"centered"``, ``"uniform"`` or a `Dose` of one object, of which the spread counts. The
    photographer's `light` takes the place of `color_jitter`, which is not used.

    Attributes
    ----------
    photographer : Photographer
        How much images vary.
    cutout_folder : str, optional
        A user's own folder of cut-outs (`crosseyed.data.cutouts.read_cutout_folder`) in place of the catalogue; then
        `styles` are not used.
    patch_dropout : float
        Share of the patches that a training step leaves out of those that it would see, in [0, 0.9]: it sees fewer
        tokens, and takes less time.
    stages : tuple of Stage
        Easier parts that come first; the steps that they leave are taken with all patches and the recipe's own
        photographer.
    rounds : int
        How often a step shows each object as the subject, in [1, 16].
    optimizer : {"adamw", "muon"}
        Muon takes the matrices of the towers' blocks (`crosseyed.training.optimizers`), AdamW all else.
    naming : float
        Weight, in [0, 100], of the loss over the names of all objects beside the contrastive loss
        (`crosseyed.training.objective`).
    """

    styles: tuple[str, ...] = TRAINED_STYLES
    photographer: Photographer = field(default_factory=Photographer)
    cutout_folder: str | None = None
    patch_dropout: float = 0.0
    stages: tuple[Stage, ...] = ()
    rounds: int = 1
    optimizer: str = "adamw"
    naming: float = 0.0

    def __post_init__(self) -> None:
        """Raise InputError for an unknown name, a number out of its range, or positions that the studio lacks."""
        super().__post_init__()
        for name, most in {"patch_dropout": _LARGEST_DROPOUT, "naming": _LARGEST_WEIGHT}.items():
            value = getattr(self, name)
            if type(value) not in (int, float) or not 0 <= value <= most:
                raise InputError(f"{name} of a recipe is {shorten(value)}; give a number from 0 to {most}.")
        check_choice("optimizer", str(self.optimizer), OPTIMIZERS)
        _check_whole("rounds of a recipe", self.rounds, 1, _MOST_ROUNDS)
        for stage in self.stages:
            _check_whole("steps of a stage", stage.steps, 1, 2**32 - 1)
            if stage.patches is not None:
                _check_whole("patches of a stage", stage.patches, 1, self.grid**2)
        if (taken := sum(stage.steps for stage in self.stages)) >= self.steps:
            raise InputError(
                f"The stages of a recipe take {taken} of its {self.steps} steps; leave steps for the whole task."
            )
        if isinstance(self.positions, Dose):
            if self.positions != Dose(spread=self.positions.spread):
                raise InputError("positions of a studio's recipe have a spread alone; give no other dose.")
        else:
            check_choice("positions", self.positions, ("centered", "uniform"))

    @property
    def grid(self) -> int:
        """Patches along each side of an image."""
        sizes = ARCHITECTURES[self.architecture]["vision_cfg"]
        return sizes["image_size"] // sizes["patch_size"]

    def stage_at(self, step: int) -> Stage:
        """Return the stage of a step, from 0; that after the last is the whole task."""
        first = 0
        for stage in self.stages:
            first += stage.steps
            if step < first:
                return stage
        return Stage(self.steps - first, photographer=self.photographer)


def _check_whole(what: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(f"{what} is {shorten(value)}; give a whole number from {least} to {most}.")


_LARGE_AND_PLAIN = Photographer(
    sizes=(0.3, 0.55),
    pairs=0,
    clutter=0,
    rotation=10,
    tilt=15,
    light=0.2,
    shadows=0.2,
    occlusion=0,
    truncation=0,
    blur=0.005,
    noise=0.03,
    jpeg=0,
)
_ALONE = Photographer(sizes=(0.2, 0.6), pairs=0, clutter=0)

_CENTERED = StudioRecipe(
    "centered",
    steps=5000,
    warmup=100,
    learning_rate=2e-3,
    rounds=2,
    optimizer="muon",
    naming=1,
    stages=(Stage(1000, 25, _LARGE_AND_PLAIN), Stage(1500, 25, _ALONE), Stage(1200, 49)),
)

RECIPES = {name: replace(_CENTERED, positions=name) for name in ("centered", "uniform")}
"""Those of the two PocketCLIPs, which differ in positions alone."""


def find_recipe(name: str) -> StudioRecipe:
    """Return the recipe with this name; raise InputError for an unknown name."""
    check_choice("recipe", name, RECIPES)
    return RECIPES[name]


def world_of(recipe: Recipe) -> list[Cutout]:
    """List the cut-outs that a recipe trains on."""
    own = recipe.cutout_folder if isinstance(recipe, StudioRecipe) else None
    cutouts = read_renderings(recipe.styles) if own is None else read_cutout_folder(own)
    return cutouts if recipe.n_objects is None else sample_objects(cutouts, recipe.n_objects, seed=0)
