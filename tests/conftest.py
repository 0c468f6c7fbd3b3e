"""Fixtures that several test modules share."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import open_clip
import pytest
import torch
from safetensors.torch import save_file
from small_models import OPEN_CLIP_TOWERS, TINY_CONFIG, TINY_PREPROCESS, build_open_clip

from crosseyed.models.clip import ClipModel
from crosseyed.models.loading import load


def pytest_configure(config: pytest.Config) -> None:
    """Give each of several processes its share of the cores, and so the commands that it starts."""
    if workers := int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", 0)):
        share = max(1, torch.get_num_threads() // workers)
        torch.set_num_threads(share)
        os.environ["OMP_NUM_THREADS"] = str(share)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in open_clip's local-dir format with a tiny CLIP of random weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    folder.mkdir()
    config = {"model_cfg": TINY_CONFIG, "preprocess_cfg": TINY_PREPROCESS}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(7)
        clip = open_clip.CLIP(**TINY_CONFIG)
    save_file(clip.state_dict(), folder / "open_clip_model.safetensors")
    return folder


@pytest.fixture(scope="session")
def tiny_clip(tiny_folder: Path) -> ClipModel:
    """The tiny CLIP, loaded."""
    return load(f"local-dir:{tiny_folder}")


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let Ctrl-C raise KeyboardInterrupt: a process started in the background may have been told to ignore it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="module")
def model_of(tiny_clip: ClipModel) -> Callable[[str], ClipModel]:
    """A random model by the kind of its open_clip tower, built once for each module."""
    built = {}
    return lambda kind: built.setdefault(kind, build_open_clip(tiny_clip, kind))


@pytest.fixture(params=OPEN_CLIP_TOWERS)
def model(request: pytest.FixtureRequest, model_of: Callable[[str], ClipModel]) -> ClipModel:
    """A random model of every kind of open_clip tower."""
    return model_of(request.param)
