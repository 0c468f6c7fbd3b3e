"""Read the tensors of files told by their content, without ever running code from them."""

import io
import pickletools
import re
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from crosseyed.errors import CheckpointError, shorten
from crosseyed.weight_files import INDEX, tensor_places

_NEXT = "Save the model's state dict alone, as .safetensors or with torch.save, and load that file."

_PICKLE_AT_MOST = 2**24  # bytes that are searched for what a pickle would call

_OF_TORCH = re.compile(r"torch\.|collections\.|_codecs\.")

_FOREIGN = {
    rb"version https://git-lfs": "a pointer of Git LFS instead of the file; get the file with 'git lfs pull'",
    rb"(?i)(\xef\xbb\xbf)?\s*<(!doctype|html|\?xml)": "a web page, as of a login or an error; download the file again",
    rb"\s*[\[{]": "a JSON text; give the file with the weights",
    rb"\x1f\x8b|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd|7z\xbc\xaf|Rar!": "a compressed archive; unpack it first",
    rb"(?s).{257}ustar": "a tar archive; unpack it first",
    rb"\x89HDF": f"an HDF5 file of another library. {_NEXT}",
    rb"GGUF": f"a GGUF file of another library. {_NEXT}",
    rb"\x93NUMPY": f"a NumPy array. {_NEXT}",
}
"""What is taken for a checkpoint by mistake, by how it begins, and what to do about it."""


class _Beside:
    """Stands for a value beside the weights, of whichever class: takes what that is made of, and does nothing."""

    def __init__(self, *_: object) -> None:
        """Take what the class would be called with."""

    def __setstate__(self, _: object) -> None:
        """Take what the value would be made of."""


class _Record(_Beside):
    """Stands for a mapping of another class."""

    def __new__(cls, *_: object) -> OrderedDict:
        return OrderedDict()


class _Row(list):
    """Stands for a list of another class."""

    def __init__(self, *_: object) -> None:
        """Begin without entries, whatever the class would be called with."""
        super().__init__()

    def __setstate__(self, _: object) -> None:
        """Take what the value would be made of."""


_PATHS = ("Path", "PosixPath", "WindowsPath", "PurePath", "PurePosixPath", "PureWindowsPath")
_NUMPY_PARTS = ("multiarray.scalar", "multiarray._reconstruct", "numeric._frombuffer")
_NUMPY_RANDOM = (
    *(f"_pickle.__{part}_ctor" for part in ("generator", "bit_generator", "randomstate")),
    *(f"_{name.lower()}.{name}" for name in ("MT19937", "PCG64", "Philox", "SFC64")),
    "_pcg64.PCG64DXSM",
    "bit_generator.SeedSequence",
    "bit_generator.__pyx_unpickle_SeedSequence",
)
_SETTINGS = (  # mappings of the libraries that keep settings
    "yacs.config.CfgNode",
    "fvcore.common.config.CfgNode",
    "detectron2.config.config.CfgNode",
    "easydict.EasyDict",
    "addict.addict.Dict",
    "munch.Munch",
    "mmcv.utils.config.ConfigDict",
    "mmengine.config.config.ConfigDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "lightning_fabric.utilities.data.AttributeDict",
)
_OMEGACONF = (
    *("dictconfig.DictConfig", "listconfig.ListConfig", "base.ContainerMetadata", "base.Metadata"),
    *(f"nodes.{kind}Node" for kind in ("Any", "String", "Integer", "Float", "Boolean", "Bytes", "Path")),
)
_DATA = [
    *((_Beside, f"{module}.{name}") for module in ("pathlib", "pathlib._local") for name in _PATHS),
    *((_Beside, f"datetime.{name}") for name in ("datetime", "date", "time", "timedelta", "timezone")),
    *((_Beside, f"numpy.{core}.{part}") for core in ("core", "_core") for part in _NUMPY_PARTS),
    *((_Beside, f"numpy.{name}") for name in ("ndarray", "dtype", "bool", "bool_")),
    *((_Beside, f"numpy.random.{part}") for part in _NUMPY_RANDOM),
    *((_Beside, f"numpy.ma.{name}") for name in ("core._mareconstruct", "MaskedArray", "core.MaskedArray")),
    *((_Beside, f"numpy.{each.__name__}") for each in set(np.sctypeDict.values())),
    (_Beside, "argparse.Namespace"),
    (_Beside, "types.SimpleNamespace"),
    (_Beside, "torch.torch_version.TorchVersion"),
    (_Record, "collections.defaultdict"),
    *((_Record, name) for name in _SETTINGS),
    *((_Beside, f"omegaconf.{part}") for part in _OMEGACONF),
    (_Beside, "ml_collections.config_dict.config_dict.ConfigDict"),
    (_Beside, "typing.Any"),
    (_Row, "collections.deque"),
    *((_Beside, name) for name in ("decimal.Decimal", "fractions.Fraction", "uuid.UUID")),
    *((_Beside, f"builtins.{name}") for name in ("dict", "list", "int", "float", "str", "bool")),
    *((_Beside, f"builtins.{name}") for name in ("tuple", "frozenset", "range", "slice")),
]
"""What training scripts save beside the weights and is data: each becomes something that does nothing."""


def read_copies(files: list[Path]) -> dict[str, dict[str, Tensor]]:
    """Read the tensors of a checkpoint on the CPU, never running code from it.

    Parameters
    ----------
    files : list of path
        As of `crosseyed.weight_files.weight_files`. Their content tells what they are, and not their suffix:
        safetensors or written by `torch.save`.

    Returns
    -------
    dict
        Tensors by name, for each mapping or list in the checkpoint that has some, by the keys that lead to it
        (``"state_dict"``, or ``"models.0"`` in a list); those at the top are called ``""``.

    Raises
    ------
    CheckpointError
        A file is damaged, of another kind, contains program code, or there are no weights.
    """
    path = files[0]
    content = _joined(files) if path.name.endswith(INDEX) else _read(path)
    copies = dict(_copies(content))
    if not copies:
        entries = dict(dict.items(content)) if isinstance(content, dict) else {}
        found = f"the entries {some(entries)}" if entries else f"a {type(content).__name__}"
        if any(isinstance(value, _Beside) for value in entries.values()):
            found += ", of NumPy or another library"
        raise CheckpointError(
            f"The checkpoint {str(path)!r} holds no weights: expected tensors of torch, found {found}. {_NEXT}"
        )
    return copies


def some(names: Mapping | list[str]) -> str:
    """Name the first three of some names, and count the others."""
    shown = [shorten(str(name))[1:-1] for name in list(names)[:3]]
    return ", ".join(shown) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _copies(content: object, label: str = "", depth: int = 3) -> Iterator[tuple[str, dict[str, Tensor]]]:
    entries = _entries(content)
    tensors = {name: value for name, value in entries if isinstance(value, Tensor)}
    if tensors:
        yield label, tensors
    for key, part in entries:
        # what an optimizer keeps has the names and shapes of weights
        if depth and not re.match("optim|exp_avg|grad|momentum_buffer", key):
            yield from _copies(part, f"{label}.{key}".strip("."), depth - 1)


def _entries(content: object) -> list[tuple[str, object]]:
    """Return the entries of a mapping by their names, of a list by their numbers."""
    if isinstance(content, dict):
        # a file can give a mapping attributes that hide its methods
        return [(name, value) for name, value in dict.items(content) if isinstance(name, str)]
    if isinstance(content, list | tuple):
        return [(str(number), value) for number, value in enumerate(content)]
    return []


def _joined(files: list[Path]) -> dict[str, Tensor]:
    """Read the parts of a checkpoint into one mapping: each tensor from the part that the index names for it."""
    index, *parts = files
    places = tensor_places(index)
    joined: dict[str, Tensor] = {}
    for part in parts:
        for name, tensor in _copies_at_top(_read(part)).items():
            if name not in joined or places.get(name) == part.name:
                joined[name] = tensor
    lacking = [name for name in places if name not in joined]
    if lacking:
        raise CheckpointError(
            f"The parts of {str(index)!r} lack {len(lacking)} tensors that it lists: {some(lacking)}. "
            "Copy or download them again."
        )
    return joined


def _copies_at_top(content: object) -> dict[str, Tensor]:
    return next((tensors for label, tensors in _copies(content, depth=0) if not label), {})


def _read(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            head = file.read(512)
        if head[5:9] == b"\0\0\0{":  # the length of a header, and the header in JSON
            return load_file(path)
        foreign = _foreign(path, head)
        if not foreign:
            # an open file, because torch goes by the suffix of a name
            with torch.serialization.safe_globals(_DATA), path.open("rb") as file, warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch, about how it reads
                return torch.load(file, map_location="cpu", weights_only=True)
    except PermissionError as error:
        raise CheckpointError(f"Cannot open the checkpoint {str(path)!r}: {error.strerror}.") from error
    except MemoryError as error:
        raise CheckpointError(
            f"The checkpoint {str(path)!r} ({path.stat().st_size:,} bytes) does not fit into memory."
        ) from error
    except Exception as error:  # a damaged file can make the readers fail in any way
        raise CheckpointError(_unreadable(path, error)) from error
    raise CheckpointError(
        f"The checkpoint {str(path)!r} ({path.stat().st_size:,} bytes) is {foreign.rstrip('.')}."
    )


def _foreign(path: Path, head: bytes) -> str | None:
    """Say what a file is, and what to do, if it is not a checkpoint."""
    if not head:
        return "empty; copy or download it again"
    for pattern, what in _FOREIGN.items():
        if re.match(pattern, head):
            return what
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    if any(name.endswith("/constants.pkl") for name in names):
        return (
            "a TorchScript program, as OpenAI publishes its models: program code, which is never run here. Load "
            "OpenAI's weights by pretrained='openai'; of a file that you trust, save torch.jit.load(file).state_dict()"
        )
    if not any(name.endswith("data.pkl") for name in names):
        return f"an archive that torch.save did not write. {_NEXT}"
    return None


def _unreadable(path: Path, error: Exception) -> str:
    words = str(error)
    code = re.search(r"GLOBAL (\S+)", words)
    called = code[1] if code else None
    if "Unsupported operand" in words:  # a pickle of another protocol than torch.save's
        data = {name for _, name in _DATA}
        called = next(
            (name for name in _globals(path) if name not in data and not _OF_TORCH.match(name)), None
        )
        if not called and _is_pickle(path):
            return (
                f"The checkpoint {str(path)!r} is a pickle of a kind that torch.save does not write by itself, and "
                f"pickles may run code. {_NEXT}"
            )
    if called:
        return (
            f"The checkpoint {str(path)!r} calls {called!r}: it contains program code, which is never run "
            f"here. {_NEXT}"
        )
    if "DTensor" in words or "NestedTensor" in words:
        return (
            f"The checkpoint {str(path)!r} holds tensors that are spread over machines. Gather them. {_NEXT}"
        )
    return (
        f"The checkpoint {str(path)!r} ({path.stat().st_size:,} bytes) is damaged or not a checkpoint: expected "
        "safetensors or a file written by torch.save. Compare its size with that of the original and copy or download "
        "it again."
    )


def _is_pickle(path: Path) -> bool:
    with path.open("rb") as file:
        return re.match(rb"PK\x03\x04|\x80[\x02-\x05]", file.read(4)) is not None


def _globals(path: Path) -> Iterator[str]:
    """Name what a pickle would call; its instructions are read and not followed."""
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
                with archive.open(name) as file:
                    pickled = file.read(_PICKLE_AT_MOST)
        else:
            with path.open("rb") as file:
                pickled = file.read(_PICKLE_AT_MOST)
        several = io.BytesIO(pickled)  # torch's older format is a row of pickles
        while several.tell() < len(pickled):
            yield from _globals_of_one(several)
    except Exception:  # what is damaged can fail in any way; the names so far are enough
        return


def _globals_of_one(pickled: io.BytesIO) -> Iterator[str]:
    texts: list[str] = []
    memo: dict[int, str | None] = {}
    last: str | None = None
    for code, argument, _ in pickletools.genops(pickled):
        if code.name == "GLOBAL":
            yield argument.replace(" ", ".")
        elif code.name == "STACK_GLOBAL":
            yield ".".join(texts[-2:])
        elif code.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            memo[len(memo) if argument is None else argument] = last
            continue
        last = memo.get(argument) if code.name in ("BINGET", "LONG_BINGET") else argument
        if isinstance(last, str):
            texts.append(last)
