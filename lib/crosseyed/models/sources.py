"""Find the model that a user names (PocketCLIP, architecture, repository or folder) and build it with its weights.

`build` goes one way: from the name to a source, to its files, to the model.
"""

import logging
import os
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

import open_clip
import torch
from huggingface_hub import hf_hub_download, try_to_load_from_cache
from open_clip.constants import HF_SAFE_WEIGHTS_NAME, HF_WEIGHTS_NAME
from open_clip.model import _build_vision_tower
from open_clip.pretrained import get_pretrained_cfg

from crosseyed.editions import folder_digest
from crosseyed.errors import CrosseyedError, InputError, shorten, suggest
from crosseyed.files import DATA, content_digest, expand, require_folder
from crosseyed.hub import download_first, from_hub, offline
from crosseyed.models.checkpoints import load_weights
from crosseyed.models.configuration import CONFIG_NAME, Configuration, read_configuration
from crosseyed.models.remote_code import without_remote_code
from crosseyed.models.scorer import RANDOM, SHIPPED
from crosseyed.models.tokenizers import (
    COPY_TO_CACHE,
    Tokenizer,
    refuse_folder,
    tokenizer_of_architecture,
    tokenizer_of_files,
)
from crosseyed.weight_files import weight_files

POCKETCLIPS = ("pocketclip-centered", "pocketclip-uniform")


@dataclass(frozen=True)
class NamedModel:
    """A model whose authors publish a checkpoint that open_clip does not list.

    Attributes
    ----------
    architecture : str
        What the checkpoint fits: an architecture of open_clip, or a folder of ``data/models``.
    tag : str, optional
        open_clip's tag of the weights that it was fine-tuned from, whose activation function and preprocessing it
        needs.
    file : str
        Name of the file in ``data/checkpoints``.
    page, paper : str
        Where its authors publish it, and their paper.
    """

    architecture: str
    tag: str | None
    file: str
    page: str
    paper: str

    @property
    def path(self) -> Path:
        """The place of the file."""
        return DATA / "checkpoints" / self.file


NAMED = {
    "NegCLIP": NamedModel(
        "ViT-B-32",
        "openai",
        "negclip.pth",
        "https://github.com/mertyg/vision-language-models-are-bows (model_zoo/__init__.py names the file on "
        "Google Drive)",
        "Yuksekgonul et al., ICLR 2023, arXiv 2210.01936",
    ),
    "DetailCLIP": NamedModel(
        "DetailCLIP-ViT-B-16",
        None,
        "detailclip.pt",
        "https://github.com/KishoreP1/DetailCLIP",
        "Monsefi et al., arXiv 2409.06809",
    ),
    "SuperCLIP": NamedModel(
        "ViT-B-16",
        None,
        "superclip.pt",
        "https://github.com/hustvl/SuperCLIP",
        "Zhao et al., NeurIPS 2025, arXiv 2512.14480",
    ),
    "DeCLIP": NamedModel(
        "EVA02-B-16",
        "merged2b_s8b_b131k",
        "declip.pt",
        "https://github.com/xiaomoguhz/DeCLIP",
        "Wang et al., CVPR 2025, arXiv 2505.04410",
    ),
}
"""Models by the names under which their authors published them."""

_HUB, _FOLDER = "hf-hub:", "local-dir:"  # open_clip's prefixes
_OWN = "crosseyed"  # what open_clip calls a model that is none of its own


@dataclass(frozen=True)
class _Source:
    """A model that open_clip can make, not yet made."""

    address: str  # an architecture, "hf-hub:organization/name" or "local-dir:folder"
    label: str  # its name in tables and file names
    tag: str | None  # open_clip's tag of published weights of an architecture
    named: NamedModel | None = None  # whose checkpoint the weights are, where its name was given
    digest: str | None = None  # of the content of a folder that the repository does not ship

    @property
    def architecture(self) -> str:
        """What a checkpoint has to fit, as a message names it."""
        return self.named.architecture if self.named else self.label

    @property
    def is_architecture(self) -> bool:
        """Whether open_clip has its configuration."""
        return not self.address.startswith((_HUB, _FOLDER))

    @property
    def folder(self) -> Path | None:
        """The folder with the model's files; None if there is none."""
        return expand(self.address.removeprefix(_FOLDER)) if self.address.startswith(_FOLDER) else None

    @property
    def repository(self) -> str | None:
        """The repository of the Hugging Face Hub with the model's files; None if there is none."""
        if self.address.startswith(_HUB):
            return self.address.removeprefix(_HUB)
        return _repository(self.address, self.tag) if self.tag else None

    @property
    def origin(self) -> str | None:
        """Where the weights come from if none others are asked for; None for an architecture without tag."""
        if self.named:
            return self.named.path.stem
        if self.folder:
            return "local-dir" if self.digest else SHIPPED
        return "hf-hub" if self.address.startswith(_HUB) else self.tag


@dataclass(frozen=True)
class Built:
    """A model with its weights, and what belongs to it.

    `name`, `model`, `pretrained`, `clip` and `tokenizer` are as in `crosseyed.models.clip.ClipModel`; `config` is
    open_clip's configuration: `embed_dim`, `vision_cfg`, `text_cfg`.
    """

    name: str
    model: str
    pretrained: str
    clip: torch.nn.Module
    tokenizer: Tokenizer
    config: dict


def build(
    model: str,
    pretrained: str | None = None,
    checkpoint: str | os.PathLike | None = None,
    *,
    seed: int = 0,
    untrained: bool = False,
    resize_mode: str | None = None,
    **options: object,
) -> Built:
    """Build a model; `resize_mode` is open_clip's word for how an image is made square, by default the model's own.

    `options` go to `open_clip.create_model` (`device`, `precision`); the rest is as for
    `crosseyed.models.loading.load`.
    """
    named_random = pretrained == RANDOM
    if named_random and checkpoint:
        raise InputError(f"pretrained={RANDOM!r} means random weights: leave out checkpoint.")
    source, random = _find(model, None if named_random else pretrained), named_random or untrained
    if random:
        origin, weights = RANDOM, None
    elif checkpoint:
        files = weight_files(checkpoint)
        # the tag too, because it decides which activation function the weights go with
        origin = "--".join(
            [*([pretrained] if pretrained else []), f"{files[0].stem}-{content_digest(files)}"]
        )
        weights = files[0]
    else:
        origin, weights = source.origin, _weights_here(source)
    given = random or checkpoint or (source.tag and not source.named)
    config = _config(source)
    tokenizer = (
        tokenizer_of_architecture(source.address, config.model)
        if source.is_architecture
        else tokenizer_of_files(config.model, source.folder, source.label)
    )
    text_tower = _fetch_text_tower(config.model)
    if weights is None and not random:  # large, so what is small is looked at first
        weights = _weights_of_hub(source)
    published = get_pretrained_cfg(source.address, source.tag) if source.tag else {}
    clip = _create(
        source,
        config,
        text_tower,
        seed,
        force_quick_gelu=published.get("quick_gelu", False),
        force_preprocess_cfg=config.preprocess
        | published
        | ({"resize_mode": resize_mode} if resize_mode else {}),
        **options,
    )
    if weights is not None:
        told = load_weights(clip, weights, source.architecture)
        if checkpoint and not told and not source.tag and not source.named and source.is_architecture:
            _warn_of_activation(source.address, config.model)
    return Built(
        name=f"{source.label}--{origin}" if given else source.label,
        model=source.label,
        pretrained=origin,
        clip=clip,
        tokenizer=tokenizer,
        config=config.model,
    )


def outline(model: str, pretrained: str | None = None) -> torch.nn.Module:
    """Build a model without weights, memory and tokenizer: the shapes of its parameters, on torch's meta device.

    Of a repository or a text tower the configuration is downloaded if need be. Parameters and errors are as of `build`.
    """
    source = _find(model, None if pretrained == RANDOM else pretrained)
    config = _config(source)
    text_tower = _fetch_text_tower(config.model)
    with torch.device("meta"):
        return _create(source, config, text_tower, seed=0, device="meta")


def is_at_hand(
    model: str, pretrained: str | None = None, checkpoint: str | os.PathLike | None = None
) -> bool:
    """Tell whether the weights of a model are on this machine, so that `build` downloads none.

    Raises
    ------
    InputError
        The model is unknown, or its weights have to be put somewhere by hand and are not there.
    """
    source = _find(model, None if pretrained == RANDOM else pretrained)
    if checkpoint or pretrained == RANDOM or _weights_here(source) is not None:
        return True
    names = _weight_names(source)
    return any(isinstance(try_to_load_from_cache(source.repository, name), str) for name in names)


def _find(model: str, pretrained: str | None) -> _Source:
    """Find the model of a name; of an architecture without `pretrained`, one without weights."""
    if model in NAMED:
        named = NAMED[model]
        if pretrained:
            raise InputError(
                f"{model!r} is one checkpoint, of {named.architecture}, and takes no tag; pretrained={pretrained!r} "
                "is given."
            )
        return replace(_find(named.architecture, named.tag), label=model, named=named)
    if model in open_clip.list_models():
        tags = open_clip.list_pretrained_tags_by_model(model)
        if pretrained and pretrained not in tags:
            hint = " It is a file: give it as checkpoint=." if os.path.isfile(pretrained) else ""
            near = suggest(pretrained, tags) or "."
            raise InputError(f"Unknown tag {shorten(pretrained)}{near}{hint} {_tags(model)}")
        return _Source(model, label=model, tag=pretrained or None)
    if pretrained:
        near = suggest(model, open_clip.list_models()) or "."
        raise InputError(
            f"{shorten(model)} is not an architecture{near} Only an architecture takes a tag, and "
            f"pretrained={shorten(pretrained)} is given."
        )
    if model.startswith(_HUB):
        repository = model.removeprefix(_HUB)
        if not re.fullmatch(r"[\w.-]{1,96}/[\w.-]{1,96}", repository, re.ASCII) or ".." in repository:
            raise InputError(f"{shorten(model)} names no repository; give 'hf-hub:organization/repository'.")
        return _Source(model, label=repository.replace("/", "--"), tag=None)
    folder = expand(model.removeprefix(_FOLDER)) if model.startswith(_FOLDER) else DATA / "models" / model
    is_path = not model.startswith(_FOLDER) and Path(model).name != model  # never out of data/models
    if os.path.isfile(folder / CONFIG_NAME) and not is_path:  # not raising for a name that no file can have
        digest = folder_digest(folder)
        name = folder.absolute().name
        label = f"{name}-{digest}" if digest else name
        return _Source(f"{_FOLDER}{folder}", label=label, tag=None, digest=digest)
    if model.startswith(_FOLDER):
        found = require_folder(folder, f"a model folder, with {CONFIG_NAME} and weights, after {_FOLDER}")
        hint = (
            " It is one of transformers: give its weights as checkpoint= to the architecture that fits."
            if (found / "config.json").is_file()
            else ""
        )
        raise InputError(f"{str(folder)!r} is not a model folder: it has no {CONFIG_NAME}.{hint}")
    if os.path.isdir(model) and model:
        raise InputError(f"{shorten(model)} is a folder: give it as {shorten(_FOLDER + model)}.")
    if os.path.isfile(model):
        raise InputError(
            f"{shorten(model)} is a file: give it as checkpoint= beside the architecture that it was trained with."
        )
    if model in POCKETCLIPS:
        raise InputError(
            f"{model!r} is not in {str(folder.parent)!r}. It is part of the repository: point the variable "
            "CROSSEYED_DATA to the repository's data folder, or train it with `crosseyed train`."
        )
    architectures = open_clip.list_models()
    near = suggest(model, [*architectures, *POCKETCLIPS, *NAMED]) or "."
    raise InputError(
        f"Unknown model {shorten(model)}{near} Give a PocketCLIP "
        f"({', '.join(POCKETCLIPS)}), {', '.join(NAMED)}, one of the {len(architectures)} architectures that "
        "open_clip.list_models() names, 'hf-hub:organization/repository' or 'local-dir:folder'."
    )


def _tags(architecture: str) -> str:
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    return f"Tags of {architecture!r}: {', '.join(tags) or 'none'}."


def _weights_here(source: _Source) -> Path | None:
    """Return the file with a model's weights; None if they are in a repository of the Hub."""
    if source.named:
        return _checkpoint_of(source.label, source.named)
    if source.folder:
        return weight_files(source.folder)[0]
    if source.origin is None:
        raise InputError(
            f"{source.address!r} is an architecture without weights: give the tag of published ones as "
            f"pretrained=, a file as checkpoint=, or ask for random ones with pretrained={RANDOM!r}. "
            f"{_tags(source.address)}"
        )
    return None


def _weights_of_hub(source: _Source) -> str:
    """Return the file with a model's weights, downloaded if need be."""
    what, instead = _told(source)
    names, repository = _weight_names(source), source.repository
    return from_hub(
        lambda: download_first(repository, *names), what, instead, repository=repository, file=names[0]
    )


def _told(source: _Source) -> tuple[str, str]:
    """Say what a repository holds and how large that is, and what to do without network."""
    instead = f"Without network, get open_clip_model.safetensors of {source.repository} elsewhere, then "
    if source.tag:
        instead += f"load({source.address!r}, {source.tag!r}, checkpoint='path/to/file')."
        size = _size(source.address)
        return f"the weights {source.tag!r} of {source.address!r} ({source.repository}, {size})", instead
    same = [name for name, tag in open_clip.list_pretrained() if _repository(name, tag) == source.repository]
    size = _size(same[0]) if same else "of unknown size"
    instead += "put it into a folder with the repository's other files and load('local-dir:path/to/folder'). "
    instead += (
        f"Weights of a repository without {CONFIG_NAME} go as checkpoint= to the architecture that fits."
    )
    return f"{source.repository!r} ({size})", instead


def _weight_names(source: _Source) -> tuple[str, str]:
    """Return the names that the weights of a repository can have: preferably the safetensors file beside the other."""
    file = HF_WEIGHTS_NAME
    if source.tag:
        file = get_pretrained_cfg(source.address, source.tag)["hf_hub"].rpartition("/")[2] or file
    safe = HF_SAFE_WEIGHTS_NAME if file == HF_WEIGHTS_NAME else f"{file.removesuffix('.bin')}.safetensors"
    return safe, file


def _checkpoint_of(name: str, named: NamedModel) -> Path:
    if not named.path.is_file():
        like = f", with the activation function and preprocessing of {named.tag!r}" if named.tag else ""
        raise InputError(
            f"The checkpoint of {name} is not in {str(named.path)!r}. Its authors ({named.paper}) publish it at "
            f"{named.page}. Put the file there under this name, or give it as checkpoint='path/to/file'; it is read "
            f"without running code from it. Architecture: {named.architecture}{like}."
        )
    return named.path


def _size(architecture: str) -> str:
    """Estimate the size of an architecture's weights from its shapes; most are published as float32."""
    config = open_clip.get_model_config(architecture)
    with torch.device("meta"), quiet():  # allocates nothing
        if "hf_model_name" in config["text_cfg"]:  # the text tower's shape would itself have to be downloaded
            word, part = "more than", _build_vision_tower(config["embed_dim"], config["vision_cfg"])
        else:
            word, part = "about", open_clip.create_model(architecture, load_weights=False, device="meta")
    return f"{word} {4 * sum(parameter.numel() for parameter in part.parameters()) / 1e6:,.0f} MB"


def _config(source: _Source) -> Configuration:
    """Return what a model is made of, downloaded if need be."""
    if source.folder:
        return read_configuration(source.folder / CONFIG_NAME, source.label)
    if not source.address.startswith(_HUB):
        return Configuration(open_clip.get_model_config(source.address), {})
    what, instead = _told(source)
    file = from_hub(
        lambda: hf_hub_download(source.repository, CONFIG_NAME),
        f"{CONFIG_NAME} of {what}",
        instead,
        repository=source.repository,
        file=CONFIG_NAME,
    )
    return read_configuration(Path(file), source.label)


def _warn_of_activation(architecture: str, config: dict) -> None:
    """Warn of a file without a tag where published weights of its architecture need different activation functions."""
    own = config.get("quick_gelu", False)
    tags = open_clip.list_pretrained_tags_by_model(architecture)
    quick = {tag: bool(get_pretrained_cfg(architecture, tag).get("quick_gelu", False)) for tag in tags}
    other = [tag for tag in tags if quick[tag] != own]
    if not other:
        return
    names = {False: "GELU", True: "QuickGELU"}
    same = [tag for tag in tags if quick[tag] == own]
    warnings.warn(
        f"The file does not say which activation function its weights need, and {architecture!r} is computed with "
        f"{names[own]}. If they were fine-tuned from {', '.join(other[:4])}, they need {names[not own]}: give that tag "
        f"as pretrained= beside checkpoint=."
        + (f" Otherwise pretrained={same[0]!r} says so, and ends this warning." if same else ""),
        stacklevel=4,
    )


def _create(
    source: _Source, config: Configuration, text_tower: str | None, seed: int, **options: object
) -> torch.nn.Module:
    """Make a model with random weights; the global random state is left as it was."""
    address = source.address if source.is_architecture else _OWN

    def make() -> torch.nn.Module:
        with torch.random.fork_rng(devices=[]), quiet(), without_remote_code(source.label):
            torch.default_generator.manual_seed(seed)
            return open_clip.create_model(address, load_weights=False, pretrained_text=False, **options)

    # open_clip gets the configuration as it was checked, and reads nothing of the folder or repository
    known = {} if source.is_architecture else {_OWN: config.model}
    with patch.dict(open_clip.factory._MODEL_CONFIGS, known):
        try:
            with offline():
                return make()
        except Exception as error:  # whatever does not go together, each library finds in its own way
            ours = source.is_architecture and not text_tower
            if ours or isinstance(error, CrosseyedError | torch.OutOfMemoryError):
                raise
            reason = shorten(" ".join(str(error).split()) or type(error).__name__, 160)
            towers = f" with the text tower {text_tower!r}" if text_tower else ""
            raise InputError(
                f"The configuration of {source.label}{towers} makes no model that open_clip can build: {reason}."
            ) from error


def _fetch_text_tower(config: Mapping[str, Any]) -> str | None:
    """Download the configuration of a text tower of transformers, and return its name; None if there is none."""
    name = config["text_cfg"].get("hf_model_name")
    if name:
        refuse_folder(name)
        what = f"the text tower's configuration {name!r} (less than 1 MB)"
        fetch = partial(hf_hub_download, name, "config.json")
        from_hub(fetch, what, COPY_TO_CACHE, repository=name, file="config.json")
    return name


@contextmanager
def quiet() -> Iterator[None]:
    """Silence open_clip's log, which warns of missing weights also where they are loaded afterwards."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def _repository(architecture: str, tag: str) -> str:
    return get_pretrained_cfg(architecture, tag)["hf_hub"].rpartition("/")[0]
