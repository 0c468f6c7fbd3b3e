"""Load weights from files into a model: those that fit, checked, all of them or none."""

import os
import re
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from open_clip.transformer import QuickGELU
from torch import Tensor, nn

from crosseyed.documents import read_json
from crosseyed.errors import CheckpointError, shorten
from crosseyed.models.naming import (
    LORA,
    OF_TRANSFORMERS,
    OPENAI_MARKS,
    fitting_architectures,
    named_as_in,
    prefixes_of,
    told_by_names,
    without_wrappers,
)
from crosseyed.models.reading import read_copies, some
from crosseyed.weight_files import weight_files

_AVERAGED = re.compile(r"(^|[._])(ema|average|averaged|avg|swa|shadow)([._]|$)", re.IGNORECASE)
_UNUSED = re.compile(r"(^|\.)(position_ids|attn_mask|n_averaged|num_updates)$")
_MAY_BE_CONSTANT = re.compile(
    r"pos_embed|positional|position|class_|cls_|reg_token|relative|gamma|latent|query"
)
_LARGEST_LOGARITHM = 20.0  # of the factor of the logits, which trainings limit to 100
_FITS_BY_CHANCE = 2  # scale and bias of the logits, which models of every kind have
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True)
class _Copy:
    """One set of weights of a checkpoint, which may hold several."""

    name: str  # what leads to it: the keys around its tensors, and the prefix of their names
    state: dict[str, Tensor]  # named as in the model
    fits: int  # how many tensors of the model it has
    left_out: list[str] = field(default_factory=list)

    @property
    def averaged(self) -> bool:
        return _AVERAGED.search(self.name) is not None


def load_weights(model: nn.Module, path: str | os.PathLike, architecture: str) -> bool:
    """Copy the weights of a checkpoint into an open_clip model; all of them, or none.

    The page on checkpoints lists what is understood. Tensors that the model has no use for, such as the heads
    of an auxiliary training loss, are left out with a warning. Position embeddings are never interpolated to another
    grid, because position is what the study measures.

    Parameters
    ----------
    model : torch.nn.Module
        A model made by open_clip; changed in place.
    path : path
        The checkpoint: a file, an index of several, or a folder with either.
    architecture : str
        Name of the model's architecture, for the messages.

    Returns
    -------
    bool
        Whether the checkpoint says which activation function it needs; it is that of the model, then.

    Raises
    ------
    InputError
        There is no such file.
    CheckpointError
        It cannot be read, its tensors do not fit the model or cannot be weights, or it needs another activation
        function: the message names them.
    """
    files = weight_files(path)
    copies = read_copies(files)
    settings = _settings_beside(files, copies)
    quick = _needs_quick_gelu(copies, settings, path)
    _check_activation(model, quick, path)
    _check_heads(model, settings, path)
    expected = model.state_dict()
    chosen = _choose(_fitted(model, expected, copies), path)
    _check_merged(chosen, path)
    _check_fit(chosen, expected, path, architecture)
    _check_values(chosen.state, expected, path)
    if chosen.left_out:
        warnings.warn(
            f"{len(chosen.left_out)} tensors of {str(path)!r} have no place in {architecture!r} and are left out: "
            f"{some(chosen.left_out)}.",
            stacklevel=3,
        )
    model.load_state_dict({name: chosen.state[name] for name in expected})
    return quick is not None


def _fitted(
    model: nn.Module,
    expected: Mapping[str, Tensor],
    copies: Mapping[str, Mapping[str, Tensor]],
) -> list[_Copy]:
    """Return the sets of weights in a checkpoint, renamed; there may be none whose names are known."""
    found = []
    for label, tensors in copies.items():
        tensors = without_wrappers(tensors)
        prefixes = prefixes_of(tensors)
        for prefix in prefixes:
            state = {
                name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)
            }
            outside = [name for name in tensors if not name.startswith(tuple(prefixes[1:]))] if prefix else []
            # names as of one writer, and something missing among them, are left as they are
            with suppress(AttributeError, KeyError, RuntimeError, TypeError, ValueError, IndexError):
                state = named_as_in(model, dict(state))
            unknown = [name for name in state if name not in expected]
            left_out = [name for name in unknown + outside if not _UNUSED.search(name)]
            fits = sum(name in state and _shape(state[name]) == expected[name].shape for name in expected)
            name = ".".join(part for part in (label, prefix.rstrip(".")) if part)
            found.append(_Copy(name, state, fits, [name for name in left_out if name not in OPENAI_MARKS]))
    return found


def _shape(tensor: Tensor) -> torch.Size | None:
    return None if tensor.is_nested else tensor.shape  # tensors of several sizes in one have none


def _choose(found: list[_Copy], path: str | os.PathLike) -> _Copy:
    """Return the set of weights that fits best; of a set and its running average the average, and say so."""
    best = max((copy.fits for copy in found), default=0)
    if not best:  # for a message, all that there is
        return max(found, key=lambda copy: len(copy.state), default=_Copy("", {}, 0))
    equal = [copy for copy in found if copy.fits == best]
    averaged = [copy for copy in equal if copy.averaged]
    chosen, *others = averaged or equal
    if any(not _same(chosen, other) for other in others):
        names = ", ".join(repr(copy.name) for copy in equal)
        raise CheckpointError(
            f"The checkpoint {str(path)!r} holds several models that fit: {names}. Save the one you mean by itself."
        )
    if averaged and len(equal) > len(averaged):
        plain = next(copy.name for copy in equal if not copy.averaged)
        warnings.warn(
            f"{str(path)!r} holds weights ({plain!r}) and their running average ({chosen.name!r}): the average is "
            "taken. To measure the others, save them by themselves.",
            stacklevel=4,
        )
    unfit = [copy.name for copy in found if copy.averaged and 2 * len(copy.state) > best]
    if unfit and not averaged:
        warnings.warn(
            f"{str(path)!r} holds weights ({chosen.name!r}) and a running average ({unfit[0]!r}) whose names do not "
            "fit: the weights are taken. To measure the average, save it by itself under the names of the weights.",
            stacklevel=4,
        )
    return chosen


def _same(one: _Copy, other: _Copy) -> bool:
    return one.state.keys() == other.state.keys() and all(
        value is other.state[name] or torch.equal(value, other.state[name])
        for name, value in one.state.items()
    )


def _needs_quick_gelu(
    copies: Mapping[str, Mapping[str, Tensor]], settings: Mapping[str, Any], path: str | os.PathLike
) -> bool | None:
    """Say whether weights need QuickGELU, where OpenAI's code wrote them or transformers' settings lie beside them."""
    if any({name.rpartition(".")[2] for name in tensors} >= OPENAI_MARKS for tensors in copies.values()):
        return True
    # settings leave out what is transformers' default
    acts = {name: tower.get("hidden_act", "quick_gelu") for name, tower in _towers_of(settings).items()}
    if acts and list(acts.values()) not in (["quick_gelu"] * len(acts), ["gelu"] * len(acts)):
        raise CheckpointError(
            f"The config.json beside the checkpoint {str(path)!r} has the activation function (hidden_act) "
            f"{' and '.join(f'{shorten(act)} of the {name} tower' for name, act in acts.items())}; "
            "expected 'gelu' or 'quick_gelu' of both. open_clip has no such model."
        )
    return acts.popitem()[1] == "quick_gelu" if acts else None


def _settings_beside(files: list[Path], copies: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Any]:
    """Return transformers' settings of a model of transformers; none if they do not lie beside its weights."""
    path = files[0].parent / "config.json"
    if not any(name.endswith(OF_TRANSFORMERS) for tensors in copies.values() for name in tensors):
        return {}
    settings = read_json(path, "the settings of a model of transformers") if path.is_file() else {}
    return settings if isinstance(settings, dict) else {}


def _towers_of(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    towers = {"image": settings.get("vision_config"), "text": settings.get("text_config")}
    return {name: tower for name, tower in towers.items() if isinstance(tower, dict)}


def _check_heads(model: nn.Module, settings: Mapping[str, Any], path: str | os.PathLike) -> None:
    """Refuse attention that is cut into another number of heads, which the shapes of tensors do not show."""
    towers = {"image": model.visual, "text": getattr(model, "text", model)}
    for name, tower in _towers_of(settings).items():
        blocks = getattr(getattr(towers[name], "transformer", None), "resblocks", None)
        heads = getattr(getattr(blocks[0], "attn", None), "num_heads", None) if blocks else None
        given = tower.get("num_attention_heads", heads)
        if given != heads:
            raise CheckpointError(
                f"The config.json beside the checkpoint {str(path)!r} has {shorten(given)} attention heads "
                f"(num_attention_heads) in the {name} tower, and the model has {heads}: name the architecture that the "
                "checkpoint was trained with."
            )


def _check_activation(model: nn.Module, quick: bool | None, path: str | os.PathLike) -> None:
    if quick in (None, any(isinstance(each, QuickGELU) for each in model.modules())):
        return
    functions, advice = (
        "GELU and not QuickGELU",
        "leave out pretrained=, or give a tag whose weights need GELU",
    )
    if quick:
        functions = "QuickGELU and not GELU"
        advice = (
            "give pretrained='openai' beside checkpoint=, or an architecture whose name ends with -quickgelu"
        )
    raise CheckpointError(
        f"The checkpoint {str(path)!r} needs the activation function {functions}; {advice}."
    )


def _check_merged(chosen: _Copy, path: str | os.PathLike) -> None:
    """Refuse a model beside whose weights lies an adapter, without which it is another model."""
    adapters = [name for name in chosen.left_out if re.search(LORA, name)]
    if adapters and chosen.fits > _FITS_BY_CHANCE:
        raise CheckpointError(
            f"The checkpoint {str(path)!r} holds a LoRA adapter beside its weights, {some(adapters)}: merge it into "
            "the weights and save them."
        )


def _check_fit(
    chosen: _Copy, expected: Mapping[str, Tensor], path: str | os.PathLike, architecture: str
) -> None:
    missing = [name for name in expected if name not in chosen.state]
    reshaped = [
        f"{name} (expected {tuple(tensor.shape)}, found {tuple(_shape(chosen.state[name]) or ())})"
        for name, tensor in expected.items()
        if name in chosen.state and _shape(chosen.state[name]) != tensor.shape
    ]
    if not missing and not reshaped:
        return
    told = told_by_names([*chosen.state, *chosen.left_out])
    if told and chosen.fits <= _FITS_BY_CHANCE:
        raise CheckpointError(
            f"The checkpoint {str(path)!r} does not fit {architecture!r}: its names are {told}."
        )
    problems = [
        f"{len(names)} of {len(expected)} {problem}: {some(names)}"
        for names, problem in [(missing, "expected tensors are missing"), (reshaped, "have another shape")]
        if names
    ]
    if chosen.left_out:
        problems.append(f"{len(chosen.left_out)} found are unknown: {some(chosen.left_out)}")
    lacking = _lacking_tower(missing, expected)
    if lacking:
        problems.append(f"it has nothing of the {lacking} tower")
    fitting = [name for name in fitting_architectures(chosen.state) if name != architecture]
    advice = f"Its sizes are those of {', '.join(fitting[:4])}. " if fitting else ""
    raise CheckpointError(
        f"The checkpoint {str(path)!r} does not fit the architecture {architecture!r}: "
        f"{'; '.join(problems)}. {advice}"
        + ("Give the whole model, or name" if lacking else "Name")
        + " the architecture that the checkpoint was trained with."
    )


def _lacking_tower(missing: list[str], expected: Mapping[str, Tensor]) -> str | None:
    """Name the tower of which everything is missing; None if there is none or nothing else."""
    image = {name for name in expected if name.startswith("visual.")}
    text = {name for name in expected if name not in image and not name.startswith("logit_")}
    lacking = [name for name, tower in (("image", image), ("text", text)) if tower <= set(missing)]
    return lacking[0] if len(lacking) == 1 else None


def _check_values(
    state: Mapping[str, Tensor], expected: Mapping[str, Tensor], path: str | os.PathLike
) -> None:
    """Refuse what cannot be the weights of a trained model, which would give wrong numbers without a word."""
    found: dict[str, list[str]] = {}
    for name, place in expected.items():
        problem = _problem(name, state[name], place)
        if problem:
            found.setdefault(problem, []).append(name)
    if found:
        listed = "; ".join(
            f"{len(names)} of {len(expected)} tensors {problem}, {some(names)}"
            for problem, names in found.items()
        )
        raise CheckpointError(
            f"The checkpoint {str(path)!r} cannot be used: {listed}. "
            "Give the weights of a finished training as float32, float16 or bfloat16."
        )


def _problem(name: str, tensor: Tensor, place: Tensor) -> str | None:
    """Say what is wrong with a tensor that is to become a weight or a counter (`place`)."""
    if tensor.is_meta:
        return "have no values (meta tensors)"
    if tensor.is_quantized:
        return "are quantised"
    if tensor.layout is not torch.strided:
        return "are sparse"
    if not place.is_floating_point():
        return None if not tensor.is_floating_point() and not tensor.is_complex() else "should be integers"
    if tensor.dtype not in _FLOATS:
        return f"are of type {str(tensor.dtype).removeprefix('torch.')}"
    if place.is_meta or not tensor.numel():
        return None
    if name == "logit_scale" and tensor.abs().max() > _LARGEST_LOGARITHM:
        return "should be the logarithm of a factor, 4.6 for 100"
    if not torch.isfinite(tensor.to(place.dtype)).all():
        finite = torch.isfinite(tensor).all()
        return (
            f"are too large for {str(place.dtype).removeprefix('torch.')}"
            if finite
            else "are NaN or infinite"
        )
    # biases and gains may be all alike; what multiplies vectors may not
    if tensor.dim() > 1 and tensor.numel() > 1 and not _MAY_BE_CONSTANT.search(name):
        low, high = tensor.aminmax()
        if low == high:
            return "hold one value throughout"
    is_gain = tensor.dim() == 1 and re.search(r"(ln_\w+|norm\d?)\.weight$", name)
    return "hold one value throughout" if is_gain and not tensor.any() else None
