"""The first run with a network: a model that a hub publishes, from its download to a whole book."""

import copy
import json
import re
import socket
from contextlib import contextmanager

import pandas as pd
import pytest
import random_models
import torch
from huggingface_hub import constants as hub_constants
from huggingface_hub import file_download
from safetensors.torch import load as parse
from small_models import TINY_CONFIG, TINY_PREPROCESS
from small_repository import make, make_whole, run
from tiny_hub import ask_at, serve
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from crosseyed.models.loading import load
from crosseyed.report import tables

MODEL = "hf-hub:somebody/tiny"
EDITION = "hf-hub--somebody--tiny"
CHAPTER = "01_center_bias"

NARROW = "hf-hub:somebody/narrow"
NARROW_EDITION = "hf-hub--somebody--narrow--quick"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """The files of a repository: a tiny CLIP of random weights."""
    config = copy.deepcopy(TINY_CONFIG)
    config["text_cfg"]["vocab_size"] = 256 + 2
    return repository("somebody/tiny", config, TINY_PREPROCESS, tmp_path_factory.mktemp("published"))


def repository(name, config, preprocess, folder):
    """Return the files of a repository: random weights, and a tokenizer of its own, which knows bytes."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    numbers = {token: number for number, token in enumerate(["<pad>", *alphabet, "<end>"])}
    letters = Tokenizer(models.BPE(vocab=numbers, merges=[]))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    # open_clip's text tower pools at the largest number
    end = ("<end>", numbers["<end>"])
    letters.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[end])
    PreTrainedTokenizerFast(tokenizer_object=letters, pad_token="<pad>", eos_token="<end>").save_pretrained(
        folder
    )
    config = copy.deepcopy(config)
    config["text_cfg"] |= {"context_length": 77, "hf_tokenizer_name": name}
    return {
        **{path.name: path.read_bytes() for path in folder.iterdir()},
        **random_models.files_of(config, random_models.weights_of(config, seed=7), preprocess),
    }


@contextmanager
def hub_of(published, **behaviour):
    """Serve the repository; yield the hub, and what the environment of a command has to say of it."""
    with serve() as (hub, address):
        hub.files |= published
        for name, value in behaviour.items():
            setattr(hub, name, value)
        yield hub, {"HF_ENDPOINT": address}


def make_with_list(folder, **given):
    """Make a repository with a first chapter alone, and the list of models of a sweep."""
    project = make(folder, [CHAPTER])
    (project / "one.yml").write_text(json.dumps({"models": [{"model": MODEL}], **given}))
    return project


SWEEP = (
    "sweep",
    "one.yml",
    "--size",
    "full",
)  # whose numbers are those of the notebooks, which are small here
BOOK = ("book", "--model", NARROW, "--size", "quick")


@pytest.fixture(scope="module")
def first_run(published, tmp_path_factory):
    """A first result through a hub that is busy at first, slow, and breaks off once; what was said, and asked for."""
    folder = tmp_path_factory.mktemp("first-run")
    project = make_with_list(folder / "project")
    half = len(published["open_clip_model.safetensors"]) // 2
    bad = {"busy": [503] * 5, "rate": 200_000, "cut_after": half, "cuts": 1}
    with hub_of(published, **bad) as (hub, environment):
        code, said = run(project, *SWEEP, HF_HOME=str(folder / "home"), **environment)
    return project, code, said, list(hub.ranges_asked)


def test_a_model_of_a_hub_is_the_one_that_was_published(published, tmp_path, monkeypatch, capsys):
    half = len(published["open_clip_model.safetensors"]) // 2
    with hub_of(published, cut_after=half, cuts=1) as (hub, environment):
        ask_at(environment["HF_ENDPOINT"], monkeypatch)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        first = load(MODEL)
        assert len(hub.ranges_asked) == 1
    said = capsys.readouterr().err
    assert [line for line in said.splitlines() if "downloading the tokenizer" in line]
    again = load(MODEL)  # there is no hub any more
    assert "downloading" not in capsys.readouterr().err
    weights = parse(published["open_clip_model.safetensors"])
    for model in (first, again):
        assert all(torch.equal(tensor, weights[name]) for name, tensor in model.clip.state_dict().items())
        assert model.tokenizer(["at"])[0, :3].tolist() == tokens_of(published, "a", "t", "<end>")


def tokens_of(published, *names):
    vocabulary = json.loads(published["tokenizer.json"])["model"]["vocab"]
    return [vocabulary[name] for name in names]


@pytest.mark.slow
def test_a_model_is_downloaded_from_a_hub_that_is_busy_slow_and_breaks_off(first_run, published):
    project, code, said, ranges = first_run
    assert code == 0, said
    weights = len(published["open_clip_model.safetensors"])
    size = f"{weights / 1000:.0f}kB"
    assert "downloading 'somebody/tiny' (of unknown size) from http://127.0.0.1" in said
    assert re.search(rf"open_clip_model.safetensors: {size} of {size}, \S+kB/s, 00:00 left", said), said
    assert "status 503; asking again in 2 s" in said
    (begin,) = (int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) for asked in ranges)
    assert 0 < begin <= weights // 2  # what came whole before it broke off is kept
    assert "1 of 1 editions are done" in said
    (result,) = (project / "data" / "results" / "models").glob("*.csv")
    assert set(pd.read_csv(result)["edition"]) == {result.stem}
    assert list((project / "_build" / "editions").glob(f"{EDITION}*/results/{CHAPTER}/grid.csv"))


@pytest.mark.slow
@pytest.mark.parametrize("how", ["told so", "no server"])
def test_a_filled_cache_is_enough_without_a_network(first_run, tmp_path, how):
    downloaded, code, said, _ = first_run
    assert code == 0, said
    project = make_with_list(tmp_path / "project")
    offline = {"HF_HUB_OFFLINE": "1"} if how == "told so" else {"HF_ENDPOINT": nobody()}
    code, said = run(project, *SWEEP, HF_HOME=str(downloaded.with_name("home")), **offline)
    assert code == 0, said
    assert "1 of 1 editions are done" in said
    assert "downloading" not in said
    (result,) = (project / "data" / "results" / "models").glob("*.csv")
    (first,) = (downloaded / "data" / "results" / "models").glob("*.csv")
    changing = ["date", "commit"]
    pd.testing.assert_frame_equal(
        pd.read_csv(result).drop(columns=changing), pd.read_csv(first).drop(columns=changing)
    )


@pytest.fixture(scope="module")
def whole_book(tmp_path_factory):
    """A whole book through a hub that is busy at first, breaks off once, and sends 2 MB a second; what was said."""
    folder = tmp_path_factory.mktemp("whole-book")
    config = copy.deepcopy(random_models.NARROW)
    config["text_cfg"]["width"] = 128  # 33 MB, which take longer than the time between two words about it
    bad = {"busy": [503] * 5, "rate": 2e6, "cut_after": 3_000_000, "cuts": 1}
    with hub_of(repository("somebody/narrow", config, None, folder / "narrow"), **bad) as (hub, environment):
        project = make_whole(folder / "project")
        code, said = run(project, *BOOK, HF_HOME=str(folder / "home"), **environment)
    return project, code, said, list(hub.ranges_asked)


@pytest.mark.slow
def test_a_whole_book_tells_of_its_download_and_what_it_will_take(whole_book):
    _, code, said, ranges = whole_book
    assert code == 0, said
    assert "downloading 'somebody/narrow' (of unknown size) from http://127.0.0.1" in said
    assert "status 503; asking again in 2 s" in said
    told = re.findall(r"^open_clip_model\.safetensors: ([\d.]+)MB of ([\d.]+)MB, ([\d.]+)MB/s, ", said, re.M)
    come, whole, speeds = (list(map(float, each)) for each in zip(*told, strict=True))
    assert len(come) >= 2 and come == sorted(come) and come[-1] == whole[-1] > 30
    assert 0.5 < speeds[-1] < 2.5
    (begin,) = (int(re.fullmatch(r"bytes=(\d+)-", asked)[1]) for asked in ranges)
    assert 0 < begin <= 3_000_000
    assert f"{NARROW_EDITION}, size quick: about" in said
    assert "download: nothing" in said  # any more
    assert said.index("downloading") < said.index("size quick: about") < said.index("executing")


@pytest.mark.slow
def test_a_whole_book_has_all_chapters_and_their_tables(whole_book):
    project, code, said, _ = whole_book
    assert code == 0, said
    edition = project / "_build" / "editions" / NARROW_EDITION
    chapters = {path.stem for path in (project / "notebooks").glob("*.ipynb")}
    assert chapters == set(tables.TABLES)
    for chapter in sorted(chapters):
        tables.check_complete(edition / "results" / chapter, chapter)
        page = (edition / "html" / "notebooks" / f"{chapter}.html").read_text()
        assert f"Edition {NARROW_EDITION}, size quick: computed with" in re.sub(r"<[^>]+>", "", page)


@pytest.mark.slow
def test_a_whole_book_is_done_without_a_network_afterwards(whole_book):
    project, code, said, _ = whole_book
    assert code == 0, said
    edition = project / "_build" / "editions" / NARROW_EDITION
    before = {path: path.stat().st_mtime_ns for path in edition.rglob("*") if path.is_file()}
    home = str(project.with_name("home"))
    code, said = run(project, *BOOK, HF_HOME=home, HF_HUB_OFFLINE="1")
    assert code == 0, said
    assert "downloading" not in said and "executing" not in said
    assert {path: path.stat().st_mtime_ns for path in edition.rglob("*") if path.is_file()} == before


def nobody():
    """Return an address that nobody answers at."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{unused.getsockname()[1]}"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("behaviour", "words"),
    [
        ({"digest": "f" * 64}, "does not fit the digest that was announced"),
        ({"status": 404}, "it does not have this; check the name"),
        ({"status": 401, "headers": {"X-Error-Code": "GatedRepo"}}, "log in with 'hf auth login'"),
        ({"status": 429, "headers": {"Retry-After": "3600"}}, "left alone for 3600 seconds"),
        ({"status": 503}, "also after 30 seconds of asking again"),
        ({"offline": "1"}, "HF_HUB_OFFLINE is set"),
        (None, "refused"),
    ],
    ids=["digest", "404", "gated", "429", "503", "offline", "no server"],
)
def test_what_cannot_be_downloaded_ends_the_command_with_a_sentence(published, tmp_path, behaviour, words):
    offline = {"HF_HUB_OFFLINE": (behaviour or {}).pop("offline", "0")}
    describe = (
        "describe",
        "described.json",
        "--edition",
        json.dumps({"model": MODEL}),
    )  # as the workflow does
    with hub_of(published, **(behaviour or {})) as (_, environment):
        if behaviour is None:
            environment = {"HF_ENDPOINT": nobody()}
        code, said = run(tmp_path, *describe, HF_HOME=str(tmp_path / "home"), **environment, **offline)
    assert code == 1
    (sentence,) = (line for line in said.splitlines() if line.startswith("error: Cannot download"))
    assert words in sentence
    assert "Without network, " in sentence
    assert "Traceback" not in said
    assert not (tmp_path / "described.json").exists()
    assert not list((tmp_path / "home").rglob("*.incomplete"))
