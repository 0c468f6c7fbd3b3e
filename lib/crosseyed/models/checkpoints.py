"""Load weights from a file into a model, without ever running code from the file."""

import argparse
import os
import re
import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from open_clip.convert import convert_state_dict
from open_clip.model import convert_to_custom_text_state_dict
from safetensors.torch import load_file
from torch import Tensor, nn

from crosseyed.errors import CheckpointError

_WRAPPERS = ("state_dict", "model_state_dict", "model")


def read_state_dict(path: str | os.PathLike) -> dict[str, Tensor]:
    """Read the tensors of a checkpoint file by name, on the CPU, never running code from it.

    Parameters
    ----------
    path : path
        ``.safetensors``, or a file written by `torch.save` (any other suffix). What training scripts wrap around the
        weights is taken off: ``{"state_dict": ...}`` and the prefix ``module.``.

    Raises
    ------
    CheckpointError
        The file is missing, damaged, contains program code or contains no weights.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"There is no checkpoint file {str(path)!r}.")
    try:
        content = _read(path)
    except PermissionError as error:
        raise CheckpointError(f"Cannot open the checkpoint {str(path)!r}: {error.strerror}.") from error
    except Exception as error:  # a damaged file can make the readers fail in any way
        raise CheckpointError(_unreadable(path, error)) from error
    for wrapper in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    entries = content if isinstance(content, Mapping) else {}
    state = {
        name.removeprefix("module."): value for name, value in entries.items() if isinstance(value, Tensor)
    }
    if not state:
        found = f"the entries {_some(entries)}" if entries else f"a {type(content).__name__}"
        raise CheckpointError(
            f"The checkpoint {str(path)!r} holds no weights: expected tensors, found {found}."
        )
    return state


def load_weights(model: nn.Module, path: str | os.PathLike, architecture: str) -> None:
    """Copy the weights of a checkpoint file into an open_clip model; all of them, or none.

    The names used by open_clip (with the text tower as a module of its own or not), SuperCLIP and the SLIP family
    (SLIP, A-CLIP, DetailCLIP) are understood. Tensors that the model has no use for, such as the heads of an auxiliary
    training loss, are left out with a warning. Position embeddings are never interpolated to another grid, because
    position is what the study measures.

    Parameters
    ----------
    model : torch.nn.Module
        A model made by open_clip; changed in place.
    path : path
        The checkpoint file.
    architecture : str
        Name of the model's architecture, for the messages.

    Raises
    ------
    CheckpointError
        The file cannot be read (see `read_state_dict`), or its tensors do not fit the model: the message names them,
        with the shapes expected and found.
    """
    state = _named_as_in(model, read_state_dict(path))
    expected = model.state_dict()
    missing = [name for name in expected if name not in state]
    unknown = [name for name in state if name not in expected]
    reshaped = [
        f"{name} (expected {tuple(tensor.shape)}, found {tuple(state[name].shape)})"
        for name, tensor in expected.items()
        if name in state and state[name].shape != tensor.shape
    ]
    if missing or reshaped:
        problems = [
            f"{len(names)} of {len(expected)} {problem}: {_some(names)}"
            for names, problem in [
                (missing, "expected tensors are missing"),
                (reshaped, "have another shape"),
            ]
            if names
        ]
        if unknown:
            problems.append(f"{len(unknown)} found are unknown: {_some(unknown)}")
        raise CheckpointError(
            f"The checkpoint {str(path)!r} does not fit the architecture {architecture!r}: "
            f"{'; '.join(problems)}. Name the architecture that the checkpoint was trained with."
        )
    if unknown:
        warnings.warn(
            f"{len(unknown)} tensors of {str(path)!r} have no place in {architecture!r} and are left out: "
            f"{_some(unknown)}.",
            stacklevel=3,
        )
    model.load_state_dict({name: state[name] for name in expected})


def _read(path: Path) -> object:
    if path.suffix == ".safetensors":
        return load_file(path)
    # training scripts like to add their command line's arguments; a Namespace is but a record
    with torch.serialization.safe_globals([argparse.Namespace]):
        return torch.load(path, map_location="cpu", weights_only=True)


def _unreadable(path: Path, error: Exception) -> str:
    code = re.search(r"GLOBAL (\S+)", str(error))
    if code or "TorchScript" in str(error):
        found = f"calls {code[1]!r}" if code else "is a TorchScript program"
        return (
            f"The checkpoint {str(path)!r} {found}: it contains program code, which is never run here. "
            "Save the model's state dict alone, as .safetensors or with torch.save, and load that file."
        )
    return (
        f"The checkpoint {str(path)!r} ({path.stat().st_size:,} bytes) is damaged or not a checkpoint: "
        f"expected {'safetensors' if path.suffix == '.safetensors' else 'a file written by torch.save'}. "
        "Compare its size with that of the original and copy or download it again."
    )


def _some(names: Mapping | list[str]) -> str:
    shown = [str(name) for name in list(names)[:3]]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _named_as_in(model: nn.Module, state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of a checkpoint to the names that the model uses."""
    if "image_projection" in state:
        state = _from_slip(state)
    state = convert_state_dict(model, state)  # Apple's MobileCLIP
    has_text_module = not hasattr(model, "positional_embedding")
    if has_text_module and "positional_embedding" in state:
        state = convert_to_custom_text_state_dict(state)
    elif not has_text_module:
        state = {name.removeprefix("text."): tensor for name, tensor in state.items()}
    for scalar in ("logit_scale", "logit_bias"):  # of shape () or (1,), by the version that wrote the file
        parameter = getattr(model, scalar, None)
        if parameter is not None and scalar in state and state[scalar].numel() == 1:
            state[scalar] = state[scalar].reshape(parameter.shape)
    state.pop("text.transformer.embeddings.position_ids", None)  # written by old versions of transformers
    return state


def _from_slip(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Rename the tensors of the SLIP family to those of an open_clip model with timm's ViT as image tower.

    SLIP (Mu et al., arXiv 2112.12750) keeps timm's names in the image tower. A-CLIP and DetailCLIP (Monsefi et al.,
    arXiv 2409.06809) add an averaged teacher, with which their authors evaluate: it is preferred.
    """
    names = {"visual.": "visual.trunk.", "transformer.": "transformer.", "text_projection": "text_projection"}
    projection = "image_projection"
    if "image_projection_e" in state:
        names = {
            "visual_ema.": "visual.trunk.",
            "transformer_e.": "transformer.",
            "text_projection_e": "text_projection",
        }
        projection = "image_projection_e"
    shared = ("token_embedding.", "positional_embedding", "ln_final.", "logit_scale")
    renamed = {name: tensor for name, tensor in state.items() if name.startswith(shared)}
    for old, new in names.items():
        renamed |= {
            new + name.removeprefix(old): tensor for name, tensor in state.items() if name.startswith(old)
        }
    return renamed | {"visual.head.proj.weight": state[projection].T}
