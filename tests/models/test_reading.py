"""What is read from files, told by their content, and what is refused: nothing in them runs."""

import argparse
import datetime
import gzip
import json
import os
import pathlib
import pickle
import sys
import types
import uuid
import warnings
import zipfile
from collections import OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save, save_file
from torch import nn

from crosseyed.errors import CheckpointError, InputError
from crosseyed.models.reading import read_copies
from crosseyed.weight_files import weight_files

TENSORS = {"logit_scale": torch.tensor(1.0), "visual.proj": torch.eye(3)}


def read(path):
    return read_copies(weight_files(path))


@pytest.mark.parametrize(
    "beside",
    [
        {"best": np.float32(0.5), "accuracy": np.float64(1), "epoch": np.int64(3), "flag": np.bool_(True)},
        {
            "losses": np.arange(5.0),
            "table": np.zeros((2, 2), np.float16),
            "words": np.array(["a"], dtype="<U3"),
        },
        {"objects": np.array([{"a": 1}], dtype=object)},
        {"generator": np.random.default_rng(0).bit_generator.state},
        {"old generator": np.random.RandomState(0).get_state()},
        {"path": pathlib.Path("a", "b"), "windows": pathlib.PureWindowsPath("c:/a")},
        {"args": argparse.Namespace(lr=0.1, out=pathlib.Path("x"), when=datetime.datetime.now())},
        {
            "args": types.SimpleNamespace(lr=0.1),
            "took": datetime.timedelta(1),
            "day": datetime.date(2024, 1, 1),
        },
        {"ordered": OrderedDict(a=1), "default": defaultdict(list, a=[1]), "set": {1, 2}, "bytes": b"\x00"},
        {"torch": torch.__version__, "device": torch.device("cpu"), "type": torch.float16},
        {"last losses": deque([0.5, 0.4], maxlen=2), "frozen": frozenset(["visual"]), "steps": range(3)},
        {"rate": Decimal("0.1"), "part": Fraction(1, 3), "run": uuid.uuid4(), "slice": slice(1, 2), "z": 1j},
        {"generator": np.random.default_rng(0), "old": np.random.RandomState(0)},
        {"masked": np.ma.masked_array([1, 2], [0, 1]), "when": np.datetime64("2024-01-01")},
    ],
)
def test_what_training_scripts_save_beside_the_weights_is_data(tmp_path, beside):
    torch.save({"state_dict": TENSORS, **beside}, tmp_path / "run.pt")
    copies = read(tmp_path / "run.pt")
    assert list(copies) == ["state_dict"]
    assert torch.equal(copies["state_dict"]["visual.proj"], torch.eye(3))


def of_library(monkeypatch, name, base, **attributes):
    """A class that pickles as if a library that is not installed had it."""
    module, _, qualified = name.rpartition(".")
    kind = type(qualified, (base,), {"__module__": module, **attributes})
    for number in range(module.count(".") + 1):
        part = ".".join(module.split(".")[: number + 1])
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    setattr(sys.modules[module], qualified, kind)
    return kind


@pytest.mark.parametrize(
    "name",
    ["yacs.config.CfgNode", "easydict.EasyDict", "mmengine.config.config.ConfigDict", "munch.Munch"],
)
def test_the_settings_of_a_training_are_data_whichever_library_kept_them(tmp_path, monkeypatch, name):
    settings = of_library(monkeypatch, name, dict)(lr=0.1, nested={"a": [1]})
    settings.frozen = True
    torch.save({"state_dict": TENSORS, "cfg": settings}, tmp_path / "run.pt")
    assert list(read(tmp_path / "run.pt")) == ["state_dict"]


def test_the_settings_of_lightning_with_omegaconf_are_data(tmp_path, monkeypatch):
    config, node, metadata = (
        of_library(monkeypatch, f"omegaconf.{name}", object)()
        for name in ("dictconfig.DictConfig", "nodes.AnyNode", "base.ContainerMetadata")
    )
    metadata.ref_type, metadata.object_type = Any, dict
    node._parent, node._val = config, 0.1
    config._content, config._metadata = {"lr": node}, metadata
    torch.save({"state_dict": TENSORS, "hyper_parameters": config}, tmp_path / "run.pt")
    assert list(read(tmp_path / "run.pt")) == ["state_dict"]


def test_what_stands_for_data_has_none_of_its_powers(tmp_path):
    torch.save({"weights": TENSORS, "path": pathlib.Path("/nowhere")}, tmp_path / "run.pt")
    allowed = set(torch.serialization.get_safe_globals())
    read(tmp_path / "run.pt")
    assert set(torch.serialization.get_safe_globals()) == allowed


class Hiding:
    """Becomes a mapping with attributes in the place of its methods."""

    def __reduce__(self):
        hidden = dict.fromkeys(["items", "keys", "values", "get"], torch.Size)
        return OrderedDict, (), hidden, None, iter(TENSORS.items())


def test_a_mapping_that_hides_its_methods_is_read_as_it_is(tmp_path):
    torch.save(Hiding(), tmp_path / "run.pt")
    assert read(tmp_path / "run.pt")[""].keys() == TENSORS.keys()


def test_the_state_of_an_optimizer_is_not_taken_for_weights(tmp_path):
    parameters = [nn.Parameter(tensor.clone()) for tensor in TENSORS.values()]
    optimizer = torch.optim.AdamW(parameters)
    sum(parameter.sum() for parameter in parameters).backward()
    optimizer.step()
    named = {"exp_avg": TENSORS}
    torch.save({"model": TENSORS, "optimizer": optimizer.state_dict(), "optim": named}, tmp_path / "run.pt")
    assert list(read(tmp_path / "run.pt")) == ["model"]


class Code:
    """Creates a folder when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


class Evaluated(Code):
    def __reduce__(self):
        return (eval, (f"__import__('os').mkdir({str(self.path)!r})",))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("code", [Code, Evaluated])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("suffix", ["pt", "bin", "safetensors"])
def test_program_code_in_a_pickle_is_named_and_not_run(tmp_path, code, protocol, suffix):
    proof = tmp_path / "proof"
    content = {"state_dict": TENSORS, "args": code(proof)}
    zipped, plain, legacy = (tmp_path / f"{name}.{suffix}" for name in ("zip", "plain", "legacy"))
    torch.save(content, zipped, pickle_protocol=protocol)
    torch.save(content, legacy, pickle_protocol=protocol, _use_new_zipfile_serialization=False)
    plain.write_bytes(pickle.dumps({"args": code(proof)}, protocol=protocol))
    called = "mkdir" if code is Code else "eval"
    for path in (zipped, plain, legacy):
        with pytest.raises(CheckpointError, match=rf"{path.name}.*{called}.*never run"):
            read(path)
    assert not proof.exists()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", ["openai.pt", "openai.safetensors"])
def test_a_torchscript_archive_is_refused_as_program_code(tmp_path, name):
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / name)
    with pytest.raises(CheckpointError, match=rf"{name}.*TorchScript.*never run.*pretrained='openai'"):
        read(tmp_path / name)


@pytest.mark.parametrize(
    "name", ["weights.pt", "weights.bin", "weights.safetensors", "weights", "weights.ckpt"]
)
@pytest.mark.parametrize("form", ["safetensors", "zip", "legacy"])
def test_content_and_not_the_suffix_tells_what_a_file_is(tmp_path, name, form):
    if form == "safetensors":
        save_file(TENSORS, tmp_path / name)
    else:
        torch.save(TENSORS, tmp_path / name, _use_new_zipfile_serialization=form == "zip")
    assert read(tmp_path / name)[""].keys() == TENSORS.keys()


def npz(path):
    with path.open("wb") as file:
        np.savez(file, a=np.zeros(3))


FOREIGN = {
    "a pointer of Git LFS.*git lfs pull": b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3\n",
    "a web page.*download the file again": b"<!DOCTYPE html>\n<html><body>Log in</body></html>",
    "a web page, as": b"\xef\xbb\xbf<html></html>",
    "a web page": b"\n<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>",
    "a JSON text": b'{"error": "rate limit"}',
    "a compressed archive; unpack": gzip.compress(save(TENSORS)),
    "an HDF5 file.*state dict": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "a GGUF file": b"GGUF" + bytes(64),
    "a NumPy array": b"\x93NUMPY" + bytes(64),
    "empty; copy or download": b"",
}


@pytest.mark.parametrize("words", FOREIGN)
@pytest.mark.parametrize("suffix", ["pt", "safetensors"])
def test_what_is_no_checkpoint_is_called_by_its_name(tmp_path, words, suffix):
    path = tmp_path / f"model.{suffix}"
    path.write_bytes(FOREIGN[words])
    size = f"{path.stat().st_size:,} bytes"
    with pytest.raises(CheckpointError, match=rf"model\.{suffix}.*\({size}\) is {words}"):
        read(path)


@pytest.mark.parametrize("write", [npz, lambda path: zipfile.ZipFile(path, "w").close()])
def test_an_archive_of_something_else_is_told(tmp_path, write):
    write(tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"an archive that torch\.save did not write"):
        read(tmp_path / "model.pt")


@pytest.mark.parametrize(
    "content",
    [b"P", b"\x10", "Quota exceeded".encode("utf-16"), b"\x08\x07\x12\x07pytorch" + bytes(99), b"x" * 99],
)
def test_what_begins_in_no_known_way_is_not_called_a_pickle(tmp_path, content):
    (tmp_path / "model.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"model\.pt.*damaged or not a checkpoint"):
        read(tmp_path / "model.pt")


def test_a_pickle_of_numpy_names_nothing_that_it_does_not_call(tmp_path):
    (tmp_path / "weights.pkl").write_bytes(pickle.dumps({str(part): np.eye(3) for part in range(3)}))
    with pytest.raises(
        CheckpointError, match=r"weights\.pkl' is a pickle of a kind that torch\.save does not"
    ):
        read(tmp_path / "weights.pkl")


@pytest.mark.parametrize("protocol", [2, 4])
def test_reading_warns_of_nothing_that_its_reader_cannot_change(tmp_path, protocol):
    torch.save({"sparse": torch.eye(3).to_sparse()}, tmp_path / "sparse.pt")
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"epoch": 3}, protocol=protocol))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        read(tmp_path / "sparse.pt")
        with pytest.raises(CheckpointError):
            read(tmp_path / "plain.pt")


def test_weights_in_a_list_are_found_by_their_place(tmp_path):
    torch.save([TENSORS, {"epoch": 3}], tmp_path / "pair.pt")
    assert list(read(tmp_path / "pair.pt")) == ["0"]
    torch.save(
        {"ema": {"decay": 0.99, "shadow": list(TENSORS.values())}, "model": TENSORS}, tmp_path / "ema.pt"
    )
    assert list(read(tmp_path / "ema.pt")) == ["ema.shadow", "model"]


@pytest.mark.parametrize("form", ["safetensors", "pt", "pth"])
@pytest.mark.parametrize("part", [0.001, 0.5, 0.99])
def test_a_damaged_file_is_named_with_its_size(tmp_path, form, part):
    tensors, whole = {"weight": torch.zeros(64, 64)}, tmp_path / f"whole.{form}"
    if form == "safetensors":
        save_file(tensors, whole)
    else:
        torch.save(tensors, whole, _use_new_zipfile_serialization=form == "pt")
    content = whole.read_bytes()
    cut = tmp_path / f"cut.{form}"
    cut.write_bytes(content[: int(len(content) * part)])
    size = f"{cut.stat().st_size:,} bytes"
    with pytest.raises(CheckpointError, match=rf"cut\.{form}.*{size}.*damaged"):
        read(cut)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"epoch": 3, "best": 0.5}, r"no weights.*epoch, best"),
        ([1, 2], "found a list"),
        ({"visual.proj": np.eye(3)}, r"visual\.proj, of NumPy"),
        ({}, "found a dict"),
        (torch.zeros(3), "found a Tensor"),
        ({1: torch.zeros(3)}, "found the entries 1"),
    ],
)
def test_a_file_without_weights_says_what_it_holds(tmp_path, content, words):
    torch.save(content, tmp_path / "log.pt")
    with pytest.raises(CheckpointError, match=rf"log\.pt.*{words}"):
        read(tmp_path / "log.pt")


def in_parts(folder, suffix="safetensors", **changes):
    places = {}
    for number, (name, tensor) in enumerate(TENSORS.items(), 1):
        part = f"model-0000{number}-of-00002.{suffix}"
        write = save_file if suffix == "safetensors" else torch.save
        write({name: tensor}, folder / part)
        places[name] = part
    index = folder / f"model.{suffix}.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": places | changes}))
    return index


@pytest.mark.parametrize("suffix", ["safetensors", "bin"])
def test_a_checkpoint_in_parts_is_read_by_its_index_or_its_folder(tmp_path, suffix):
    index = in_parts(tmp_path, suffix)
    for path in (index, tmp_path):
        assert read(path)[""].keys() == TENSORS.keys()


@pytest.mark.parametrize("right", [1, 2])
def test_a_tensor_that_several_parts_hold_is_read_from_the_one_that_the_index_names(tmp_path, right):
    index = in_parts(tmp_path, **{"visual.proj": f"model-0000{right}-of-00002.safetensors"})
    proj = {1: torch.ones(3, 3), 2: torch.eye(3)}
    save_file(
        {"logit_scale": torch.tensor(1.0), "visual.proj": proj[1]},
        tmp_path / "model-00001-of-00002.safetensors",
    )
    assert torch.equal(read(index)[""]["visual.proj"], proj[right])


def test_names_that_no_file_can_have_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"cannot be read \(File name too long\)"):
        read("x" * 300 + ".pt")
    with pytest.raises(InputError, match=r"1 of 3 parts .* are missing: x+\.\.\.x"):
        read(in_parts(tmp_path, extra="x" * 300 + ".safetensors"))


def test_a_part_that_is_missing_or_lacks_a_tensor_is_named(tmp_path):
    index = in_parts(tmp_path, extra="model-00001-of-00002.safetensors")
    with pytest.raises(CheckpointError, match=r"lack 1 tensors that it lists: extra"):
        read(index)
    (tmp_path / "model-00002-of-00002.safetensors").unlink()
    with pytest.raises(InputError, match=r"1 of 2 parts .* are missing: model-00002-of-00002"):
        read(index)


@pytest.mark.parametrize(
    "name", ["../other.safetensors", "/etc/passwd", ".hidden.bin", "a\\b.bin", 3, None, ""]
)
def test_no_part_lies_outside_the_folder(tmp_path, name):
    folder = tmp_path / "model"
    folder.mkdir()
    save_file(TENSORS, tmp_path / "other.safetensors")
    index = in_parts(folder, extra=name)
    with pytest.raises(InputError, match="expected names of files beside it"):
        read(index)


def test_parts_without_their_index_and_several_models_are_not_guessed_at(tmp_path):
    index = in_parts(tmp_path)
    index.unlink()
    with pytest.raises(InputError, match=r"several files with weights: model-00001-of.*index of its parts"):
        read(tmp_path)


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="is a pipe"):
        read(tmp_path / "model.safetensors")
    with pytest.raises(InputError, match="no weights in"):
        read(tmp_path)
    with pytest.raises(InputError, match=r"There is no .*missing\.pt"):
        read(tmp_path / "missing.pt")
