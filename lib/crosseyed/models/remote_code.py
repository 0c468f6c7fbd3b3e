"""Nothing that is loaded runs: refuse code that comes with a model's tokenizer or text tower.

transformers can run Python files of a repository or folder, if the key ``trust_remote_code`` of a configuration says so
or if someone answers its prompt with yes, and compiled kernels that a configuration names. Here no key turns that on,
there is no prompt, and the functions that would run such code refuse.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from transformers import dynamic_module_utils
from transformers.integrations import hub_kernels

from crosseyed.errors import InputError

_KEY = "trust_remote_code"


def refuse_remote_code(config: object, name: str) -> None:
    """Raise InputError if any part of a configuration holds the key ``trust_remote_code``.

    Parameters
    ----------
    config : object
        A configuration as read from JSON: mappings, lists and values.
    name : str
        The model, for the message.
    """
    if isinstance(config, dict):
        if config.get(_KEY):
            raise InputError(_message(name))
        config = list(config.values())
    for part in config if isinstance(config, list) else []:
        refuse_remote_code(part, name)


@contextmanager
def without_remote_code(name: str) -> Iterator[None]:
    """Raise InputError, without a prompt, where transformers would need to run code that comes with a model."""

    def refuse(*_: object, **__: object) -> None:
        raise InputError(_message(name))

    with (
        patch.object(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 0),  # no time for an answer: no prompt
        # whatever decides to run code, it comes through one of these
        patch.object(dynamic_module_utils, "get_cached_module_file", refuse),
        patch.object(dynamic_module_utils, "get_class_in_module", refuse),
        patch.object(hub_kernels, "get_kernel", refuse),
    ):
        try:
            yield
        except ValueError as error:
            if _KEY in str(error) and not isinstance(error, InputError):
                raise InputError(_message(name)) from error
            raise


def _message(name: str) -> str:
    return (
        f"{name} asks to run program code that comes with its tokenizer or text tower ({_KEY}). Nothing that is loaded "
        "is run here: use a copy with a tokenizer of transformers' own classes, without this key and 'auto_map'."
    )
