"""Bad names of models, folders, configurations, weights and hubs."""

import copy
import functools
import json
import os
import pickle
from collections.abc import Callable
from functools import partial

import open_clip
import pytest
import torch
from faults.cases import Case
from huggingface_hub import constants as hub_constants
from huggingface_hub import file_download
from safetensors.torch import save_file
from small_models import TINY_CONFIG, TINY_PREPROCESS
from tiny_hub import serve

from crosseyed.errors import CheckpointError, CrosseyedError, DownloadError
from crosseyed.hub import download_first, from_hub
from crosseyed.models.loading import load

SOME = "visual.conv1.weight"


@functools.cache
def weights():
    """Return the weights of a tiny model."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        return open_clip.CLIP(**TINY_CONFIG).state_dict()


def write_model(folder, config=None):
    """Write a folder with a model, whole unless another configuration is given."""
    folder.mkdir()
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS} if config is None else config
    raw = config if isinstance(config, bytes) else json.dumps(config).encode()
    (folder / "open_clip_config.json").write_bytes(raw)
    save_file(weights(), folder / "open_clip_model.safetensors")


def loaded(folder, **given):
    """Return the call that loads the model in a folder."""
    return partial(load, f"local-dir:{folder / 'model'}", **given)


def named(model, pretrained=None, **given):
    """Prepare nothing but a name."""
    return lambda folder: partial(load, model, pretrained, **given)


def asked(**given):
    """Prepare a whole model that is asked for something else."""

    def prepare(folder):
        write_model(folder / "model")
        return loaded(folder, **given)

    return prepare


NAMES = [
    Case("names of models", name, prepare, words)
    for name, prepare, words in [
        ("misspelt", named("ViT-B-23", "openai"), ("'ViT-B-23'", "did you mean", "ViT-B-32")),
        ("unknown", named("nothing like it"), ("Unknown model", "local-dir:")),
        ("empty", named(""), ("model",)),
        ("of 300 letters", named("x" * 300), ("model",)),
        ("of 5000 letters", named("x" * 5000), ("model",)),
        ("with NUL", named("a\0b"), ("model",)),
        ("that leads elsewhere", named("../../etc"), ("model",)),
        ("in another script", named("模型"), ("模型",)),
        ("without weights", named("ViT-B-32"), ("pretrained=", "openai")),
        ("misspelt tag", named("ViT-B-32", "opena"), ("Unknown tag", "did you mean 'openai'")),
        ("a tag for a PocketCLIP", named("pocketclip-centered", "openai"), ("takes a tag",)),
        ("a folder that is not there", named("local-dir:nowhere"), ("nowhere",)),
        (
            "a folder without a model",
            lambda folder: named(f"local-dir:{folder}")(folder),
            ("open_clip_config.json",),
        ),
        (
            "random weights and a file",
            asked(pretrained="random", checkpoint="x.pt"),
            ("leave out checkpoint",),
        ),
        ("an unknown device", asked(device="gpu"), ("'gpu' is not available", "cpu")),
        ("a device that is not there", asked(device="cuda:77"), ("'cuda:77' is not available",)),
        ("an unknown precision", asked(precision="fp61"), ("precision", "did you mean 'fp16'")),
        ("an unknown way to resize", asked(resize="crob"), ("resize", "did you mean 'crop'")),
        ("a seed too large", asked(pretrained="random", seed=2**70), ("seed",)),
        ("a seed of words", asked(pretrained="random", seed="seven"), ("seed",)),
    ]
]


def configured(config):
    """Prepare a model with another configuration: bytes, or a function that changes the whole one."""

    def prepare(folder):
        changed = config
        if isinstance(config, Callable):
            changed = copy.deepcopy({"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS})
            config(changed["model_cfg"])
        write_model(folder / "model", changed)
        return loaded(folder)

    return prepare


def vision(**change):
    """Prepare a model whose image tower is configured otherwise."""
    return configured(lambda config: config["vision_cfg"].update(change))


def textual(**change):
    """Prepare a model whose text tower is configured otherwise."""
    return configured(lambda config: config["text_cfg"].update(change))


def replaced(name, make):
    """Prepare a model with something else in the place of one of its files."""

    def prepare(folder):
        write_model(folder / "model")
        path = folder / "model" / name
        path.unlink()
        make(path)
        return loaded(folder)

    return prepare


FILE = "open_clip_config.json"

CONFIGURATIONS = [
    Case("configurations", name, prepare, words)
    for name, prepare, words in [
        ("empty", configured(b""), (FILE,)),
        ("cut", configured(b'{"model_cfg": {'), (FILE,)),
        ("Latin-1", configured('{"é": 1}'.encode("latin-1")), (FILE,)),
        ("a list", configured(b"[]"), (FILE,)),
        ("null", configured(b"null"), (FILE,)),
        ("endless nesting", configured(b"[" * 200_000), (FILE,)),
        ("a key twice", configured(b'{"model_cfg": {}, "model_cfg": {}}'), ("model_cfg", "twice")),
        ("another format", configured(b'{"architectures": ["CLIPModel"]}'), (FILE,)),
        ("no towers", configured(lambda config: config.clear()), (FILE,)),
        ("no image tower", configured(lambda config: config.pop("vision_cfg")), ("vision_cfg",)),
        (
            "an image tower of null",
            configured(lambda config: config.update(vision_cfg=None)),
            ("vision_cfg",),
        ),
        ("a text tower that is a list", configured(lambda config: config.update(text_cfg=[])), ("text_cfg",)),
        ("an unknown key", vision(patch_sise=8), ("patch_sise",)),
        ("an unknown key above", configured(lambda config: config.update(visoin_cfg={})), ("visoin_cfg",)),
        ("patches of 0", vision(patch_size=0), ("patch_size", "0")),
        ("negative patches", vision(patch_size=-8), ("patch_size", "-8")),
        ("patches larger than the image", vision(patch_size=64), ("patch_size",)),
        ("images of 0", vision(image_size=0), ("image_size", "0")),
        ("a width of words", vision(width="wide"), ("width", "wide")),
        ("a width of half a unit", vision(width=64.5), ("width", "64.5")),
        ("layers as a fraction", vision(layers=1.5), ("layers", "1.5")),
        ("an embedding of 0", configured(lambda config: config.update(embed_dim=0)), ("embed_dim", "0")),
        (
            "an embedding beyond memory",
            configured(lambda config: config.update(embed_dim=10**12)),
            ("embed_dim",),
        ),
        ("heads that do not divide", textual(heads=3), ("heads",)),
        ("heads of 0", textual(heads=0), ("heads", "0")),
        ("an unknown pooling", vision(pool_type="best"), ("pool_type", "best")),
        ("a folder", replaced(FILE, lambda path: path.mkdir()), (FILE,)),
        ("a pipe", replaced(FILE, os.mkfifo), (FILE,)),
        ("a device", replaced(FILE, lambda path: path.symlink_to("/dev/zero")), (FILE,)),
        ("no tokenizer", textual(hf_tokenizer_name="somebody/tokenizer"), ("tokenizer",)),
        ("code by the tokenizer", textual(tokenizer_kwargs={"trust_remote_code": True}), ("program code",)),
        ("code by the text tower", textual(hf_model_name="a/b", trust_remote_code=1), ("program code",)),
        ("code by the image tower", vision(timm_kwargs={"trust_remote_code": "yes"}), ("program code",)),
    ]
]


class Code:
    """Writes a file when it is unpickled."""

    def __init__(self, path):
        """Remember the path."""
        self.path = path

    def __reduce__(self):
        """Give the call that unpickling makes."""
        return os.mkdir, (str(self.path),)


def checkpoint(make, name="weights.pt"):
    """Prepare a whole model and a checkpoint for it that cannot be."""

    def prepare(folder):
        write_model(folder / "model")
        make(folder / name)
        return loaded(folder, checkpoint=folder / name)

    return prepare


def saved(change):
    """Prepare a checkpoint with one tensor changed."""
    return checkpoint(lambda path: torch.save({**weights(), SOME: change(weights()[SOME])}, path))


def pickled(path):
    """Write a plain pickle that would run."""
    path.write_bytes(pickle.dumps({"state_dict": Code(path.with_name("it ran"))}))


def archived(path):
    """Write what torch.save makes of something that would run."""
    torch.save({"state_dict": weights(), "more": Code(path.with_name("it ran"))}, path)


def scripted(path):
    """Write a program of TorchScript."""
    torch.jit.script(torch.nn.Linear(2, 2)).save(path)


def cut_safetensors(path):
    """Write half of a file of tensors."""
    save_file(weights(), path)
    path.write_bytes(path.read_bytes()[:9000])


def cut_archive(path):
    """Write half of what torch.save makes."""
    torch.save(weights(), path)
    path.write_bytes(path.read_bytes()[:9000])


def of_size(size):
    """Write weights of the same names for images of another size."""

    def make(path):
        config = copy.deepcopy(TINY_CONFIG)
        config["vision_cfg"]["image_size"] = size
        torch.save(open_clip.CLIP(**config).state_dict(), path)

    return make


def without(part):
    """Write weights without those whose names begin so."""
    return lambda path: torch.save({n: w for n, w in weights().items() if not n.startswith(part)}, path)


def index(path):
    """Write an index of two parts, of which one leads elsewhere."""
    path.write_text(json.dumps({"weight_map": {SOME: "../model/open_clip_model.safetensors"}}))


HUGE_HEADER = (2**62).to_bytes(8, "little") + b"{}"

WEIGHTS = [
    Case("weights", name, prepare, words, error)
    for name, prepare, words, error in [
        ("NaN", saved(lambda tensor: tensor * float("nan")), (SOME, "NaN"), CheckpointError),
        ("infinite", saved(lambda tensor: tensor / 0), (SOME, "infinite"), CheckpointError),
        ("beyond float16", saved(lambda tensor: tensor.double() * 1e300), (SOME,), CheckpointError),
        ("zero", saved(lambda tensor: tensor * 0), (SOME,), CheckpointError),
        ("whole numbers", saved(lambda tensor: tensor.to(torch.int8)), (SOME, "int8"), CheckpointError),
        ("truths", saved(lambda tensor: tensor > 0), (SOME, "bool"), CheckpointError),
        ("complex", saved(lambda tensor: tensor.to(torch.complex64)), (SOME, "complex"), CheckpointError),
        ("sparse", saved(lambda tensor: tensor.to_sparse()), (SOME, "sparse"), CheckpointError),
        ("meta", saved(lambda tensor: tensor.to("meta")), (SOME, "meta"), CheckpointError),
        ("turned", saved(lambda tensor: tensor.transpose(0, 1)), (SOME, "shape"), CheckpointError),
        (
            "of larger images",
            checkpoint(of_size(64)),
            ("positional_embedding", "does not fit"),
            CheckpointError,
        ),
        (
            "without text tower",
            checkpoint(without("transformer.")),
            ("missing", "transformer."),
            CheckpointError,
        ),
        ("a pickle that runs", checkpoint(pickled), ("program code", "mkdir"), CheckpointError),
        ("an archive that runs", checkpoint(archived), ("program code", "mkdir"), CheckpointError),
        ("a program", checkpoint(scripted), ("program",), CheckpointError),
        (
            "cut safetensors",
            checkpoint(cut_safetensors, "w.safetensors"),
            ("damaged", "bytes"),
            CheckpointError,
        ),
        ("cut archive", checkpoint(cut_archive), ("damaged", "bytes"), CheckpointError),
        ("empty", checkpoint(lambda path: path.touch()), ("weights.pt",), CheckpointError),
        (
            "a web page",
            checkpoint(lambda path: path.write_text("<!DOCTYPE html>")),
            ("weights.pt",),
            CheckpointError,
        ),
        (
            "a pointer",
            checkpoint(lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n")),
            ("weights.pt",),
            CheckpointError,
        ),
        (
            "a header without end",
            checkpoint(lambda path: path.write_bytes(HUGE_HEADER), "w.safetensors"),
            ("w.safetensors",),
            CheckpointError,
        ),
        (
            "no tensors",
            checkpoint(lambda path: torch.save({"epoch": 3}, path)),
            ("no weights", "epoch"),
            CheckpointError,
        ),
        (
            "a list",
            checkpoint(lambda path: torch.save([1, 2], path)),
            ("no weights", "list"),
            CheckpointError,
        ),
        ("missing", checkpoint(lambda path: None), ("weights.pt",), CrosseyedError),
        ("a folder", checkpoint(lambda path: path.mkdir()), ("weights",), CrosseyedError),
        ("a pipe", checkpoint(os.mkfifo), ("is a pipe",), CrosseyedError),
        ("a device", checkpoint(lambda path: path.symlink_to("/dev/zero")), ("is a device",), CrosseyedError),
        (
            "parts elsewhere",
            checkpoint(index, "m.safetensors.index.json"),
            ("m.safetensors.index.json",),
            CrosseyedError,
        ),
        (
            "none in the folder",
            replaced("open_clip_model.safetensors", lambda path: None),
            ("no weights",),
            CrosseyedError,
        ),
        (
            "a pipe in the folder",
            replaced("open_clip_model.safetensors", os.mkfifo),
            ("weights",),
            CrosseyedError,
        ),
    ]
]


def hub(**behaviour):
    """Prepare a hub that behaves badly, with short time limits, and an empty cache in a folder beside."""

    def prepare(folder):
        def fetch():
            with serve() as (server, address), pytest.MonkeyPatch.context() as patch:
                server.files["weights"] = b"7" * 10_000
                for name, value in behaviour.items():
                    setattr(server, name, value)
                template = address + "/{repo_id}/resolve/{revision}/{filename}"
                patch.setattr(hub_constants, "ENDPOINT", address)
                patch.setattr(hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
                patch.setattr(hub_constants, "HF_HUB_CACHE", f"{folder}-hub")
                patch.setattr(hub_constants, "HF_HUB_DOWNLOAD_TIMEOUT", 0.2)
                patch.setattr(hub_constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
                patch.setattr(hub_constants, "DOWNLOAD_CHUNK_SIZE", 100)
                patch.setattr(file_download.time, "sleep", lambda seconds: None)
                asked = {"repository": "somebody/tiny", "file": "weights"}
                from_hub(lambda: download_first("somebody/tiny", "weights"), "it", "Do this.", **asked)

        return fetch

    return prepare


HUBS = [
    Case("hubs", name, hub(**behaviour), ("Cannot download it", *words, "Do this."), DownloadError)
    for name, behaviour, words in [
        ("without the repository", {"status": 404}, ("status 404",)),
        ("that wants a login", {"status": 401}, ("hf auth login",)),
        ("that refuses", {"status": 403}, ("hf auth login",)),
        ("that is asked too often", {"status": 429}, ("too many downloads",)),
        ("out of order", {"status": 503}, ("out of order",)),
        ("that is a login page", {"web_page": True}, ("proxy",)),
        ("without the file", {"files": {}}, ("no such file",)),
        ("that stalls", {"stall_after": 0}, ("fell silent",)),
        ("that breaks off", {"cut_after": 300, "ranges": False}, ("weights",)),
        ("that sends something else", {"body": b"8" * 10_000}, ("does not fit the digest",)),
        ("that announces something else", {"digest": "0" * 64}, ("does not fit the digest",)),
    ]
]

CASES = NAMES + CONFIGURATIONS + WEIGHTS + HUBS
