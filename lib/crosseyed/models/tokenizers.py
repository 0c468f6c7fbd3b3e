"""Give a model its tokenizer: open_clip's own, or one of transformers from the model's folder or repository."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import open_clip
import torch
from huggingface_hub import constants
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer
from torch import Tensor

from crosseyed.errors import CrosseyedError, InputError, shorten
from crosseyed.files import visible_files
from crosseyed.hub import from_hub, offline
from crosseyed.models.remote_code import without_remote_code

Tokenizer = Callable[[list[str]], Tensor]
"""From texts to token numbers (n_texts, context_length)."""

COPY_TO_CACHE = "Without network, copy it from elsewhere into the Hub's local cache (see HF_HOME)."

_KINDS = (
    ("tokenizer.json",),
    ("vocab.json", "merges.txt"),
    ("vocab.txt",),
    ("spiece.model",),
    ("sentencepiece.bpe.model",),
    ("tokenizer.model",),
)
_OF_CONTENT = (AttributeError, LookupError, TypeError, ValueError)  # the tokenizers' own are plain Exceptions
_SAMPLES = ["a photo of a cat", "zwei Katzen, 猫 🐈"]


def tokenizer_of_architecture(architecture: str, config: Mapping[str, Any]) -> Tokenizer:
    """Return the tokenizer of one of open_clip's architectures, downloaded if need be."""
    name = config["text_cfg"].get("hf_tokenizer_name")
    if name:
        return _from_hub(name, lambda: open_clip.get_tokenizer(architecture), architecture)
    with offline():
        return open_clip.get_tokenizer(architecture)


def tokenizer_of_files(config: Mapping[str, Any], folder: Path | None, name: str) -> Tokenizer:
    """Return the tokenizer that a model's configuration asks for, tried once.

    Parameters
    ----------
    config : mapping
        open_clip's configuration of the model.
    folder : path, optional
        The model's folder, in which a tokenizer of transformers lies; without it, one of the Hub is taken.
    name : str
        The model, for the messages.

    Raises
    ------
    InputError
        The folder has no tokenizer, it cannot be read, asks to run code, or makes numbers that the model does not have.
    DownloadError
        It is neither in the Hub's local cache nor available from the network.
    """
    text = config["text_cfg"]
    kwargs = {**(text.get("tokenizer_kwargs") or {}), "context_length": text.get("context_length", 77)}
    repository = text.get("hf_tokenizer_name")
    if not repository:
        kwargs.pop("strip_sep_token", None)  # of transformers' tokenizers only
        tokenizer: Tokenizer = SimpleTokenizer(**kwargs)
    elif folder:
        _check_files(folder)
        try:
            with offline(), without_remote_code(name):
                tokenizer = HFTokenizer(str(folder), tokenizer_mode=text.get("tokenizer_mode"), **kwargs)
        except CrosseyedError:
            raise
        except Exception as error:  # each kind of tokenizer fails in its own way
            raise InputError(
                f"The tokenizer in {str(folder)!r} cannot be read ({_line(error)}). Save it there again with its "
                "save_pretrained, as tokenizer.json."
            ) from error
    else:
        tokenizer = _from_hub(
            repository,
            lambda: HFTokenizer(repository, tokenizer_mode=text.get("tokenizer_mode"), **kwargs),
            name,
        )
    # a text tower of transformers has a vocabulary of its own
    _try(tokenizer, None if text.get("hf_model_name") else text.get("vocab_size", 49408), name)
    return tokenizer


def refuse_folder(repository: str) -> None:
    """Raise InputError if transformers would take a folder of the same name for a repository of the Hub."""
    if os.path.exists(repository):
        raise InputError(
            f"The model asks for the repository {repository!r} of the Hugging Face Hub, and there is {repository!r} in "
            f"the folder {os.getcwd()!r}, which would be taken instead: start in another folder, or rename it."
        )


def _from_hub(repository: str, make: Callable[[], Tokenizer], name: str) -> Tokenizer:
    def fetch() -> Tokenizer:
        try:
            with without_remote_code(
                name
            ):  # within, so that a refusal is not taken for a file that is missing
                return make()
        except CrosseyedError:
            raise
        except Exception as error:
            # while only the cache is read, files may be missing; afterwards they have come and are none
            if constants.HF_HUB_OFFLINE or not (type(error) is Exception or isinstance(error, _OF_CONTENT)):
                raise
            raise InputError(
                f"The tokenizer {repository!r} of {name} cannot be read ({_line(error)}): take another copy of the "
                "model, with a tokenizer.json."
            ) from error

    refuse_folder(repository)
    what = f"the tokenizer {repository!r} (less than 50 MB)"
    return from_hub(fetch, what, COPY_TO_CACHE, repository=repository, file="tokenizer_config.json")


def _check_files(folder: Path) -> None:
    there = [file.name for file in visible_files(folder)]
    if any(set(kind) <= set(there) for kind in _KINDS):
        return
    wanted = " or ".join(" with ".join(kind) for kind in _KINDS)
    raise InputError(
        f"The folder {str(folder)!r} has no tokenizer, and its configuration asks for one of transformers "
        f"(hf_tokenizer_name): expected {wanted}; there are {', '.join(there[:10])}. Save the tokenizer there with its "
        "save_pretrained."
    )


def _try(tokenizer: Tokenizer, vocabulary: int | None, name: str) -> None:
    """Tokenize a little, so that a tokenizer that does not belong to its model is told before anything is computed."""
    try:
        with torch.device("cpu"):  # also where a model is made without memory
            largest = int(tokenizer(_SAMPLES).max())
    except Exception as error:  # each kind of tokenizer fails in its own way
        raise InputError(f"The tokenizer of {name} does not work: {_line(error)}.") from error
    if vocabulary is not None and largest >= vocabulary:
        raise InputError(
            f"The tokenizer of {name} makes token number {largest:,}, but its configuration knows {vocabulary:,} "
            "(vocab_size): give the tokenizer that the model was trained with."
        )


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 160 else shorten(text, 160)).rstrip(".")
