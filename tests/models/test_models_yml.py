"""The models of `models.yml`: each is built as the tag of its weights asks for, and is what the file says."""

import datetime
import re

import pytest
import torch
from open_clip.transformer import QuickGELU
from timm.layers import GELUTanh
from torch import nn

from crosseyed.files import DATA
from crosseyed.models import sources
from crosseyed.models.sources import build
from crosseyed.report.model_list import read_list

ENTRIES = [
    entry for entry in read_list(DATA.parent / "models.yml").models if not entry["model"].startswith("pocket")
]
QUICK = ("RN50", "ViT-B-32", "ViT-B-32-quickgelu", "ViT-B-16-SigLIP", "MobileCLIP-B")
"""Architectures that are built fast, of every kind of preprocessing and activation function."""

OPENAI = ((0.481, 0.458, 0.408), (0.269, 0.261, 0.276))
HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
UNCHANGED = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
PUBLISHED = {
    # tag: QuickGELU, mean and standard deviation, interpolation, resize mode
    r"openai": (True, OPENAI, "bicubic", "shortest"),
    r"laion2b_s32b_b82k": (False, HALF, "bicubic", "shortest"),
    r"laion2b_(?!s32b_b82k).*|datacomp_xl_.*|datacomp1b|merged2b_.*": (False, OPENAI, "bicubic", "shortest"),
    r"metaclip_.*|dfn2b": (True, OPENAI, "bicubic", "shortest"),
    r"dfn5b": (True, OPENAI, "bicubic", "squash"),
    r"webli": (False, HALF, "bicubic", "squash"),
    r"datacompdr|dfndr2b": (False, UNCHANGED, "bilinear", "shortest"),
}
FIRST_YEAR = {
    # when what a model was trained on was first described
    "WIT-400M": 2021,
    "WIT-400M + COCO": 2022,
    "YFCC15M": 2021,
    "LAION-2B": 2022,
    "WebLI": 2022,
    "Merged-2B": 2023,
    "Merged-2B + COCO": 2025,
    "DataComp-1B": 2023,
    "MetaCLIP-400M": 2023,
    "MetaCLIP-2.5B": 2023,
    "DFN-2B": 2023,
    "DFN-5B": 2023,
    "DataCompDR-1B": 2023,
    "DFNDR-2B": 2025,
}


def by_speed(entries):
    """Mark those that take long to build."""
    return [
        pytest.param(
            entry,
            id=f"{entry['model']} {entry.get('pretrained', '')}".strip(),
            marks=[] if entry["model"] in QUICK else pytest.mark.slow,
        )
        for entry in entries
    ]


@pytest.fixture(scope="module")
def built():
    """Build the model of an entry once, without memory, weights and tokenizer."""
    made = {}

    def make(entry):
        name, tag = entry["model"], entry.get("pretrained")
        if (name, tag) not in made:
            with torch.device("meta"):
                made[name, tag] = build(name, tag, untrained=True, device="meta").clip
        return made[name, tag]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "tokenizer_of_architecture", lambda *_: None)
        yield make


@pytest.mark.parametrize("entry", by_speed({entry["model"]: entry for entry in ENTRIES}.values()))
def test_the_stated_size_is_that_of_the_parameters(entry, built):
    gigabytes = 4 * sum(parameter.numel() for parameter in built(entry).parameters()) / 1e9
    assert entry["download"] == f"{gigabytes:.1f} GB"


@pytest.mark.parametrize("entry", by_speed(entry for entry in ENTRIES if "pretrained" in entry))
def test_activation_and_preprocessing_are_those_that_the_weights_need(entry, built):
    (expected,) = (PUBLISHED[pattern] for pattern in PUBLISHED if re.fullmatch(pattern, entry["pretrained"]))
    quick, (mean, deviation), interpolation, resize_mode = expected
    clip = built(entry)
    preprocess = clip.visual.preprocess_cfg
    assert preprocess["mean"] == pytest.approx(mean, abs=5e-4)
    assert preprocess["std"] == pytest.approx(deviation, abs=5e-4)
    assert (preprocess["interpolation"], preprocess["resize_mode"]) == (interpolation, resize_mode)
    used = {type(module) for module in clip.modules()} & {QuickGELU, nn.GELU, GELUTanh}
    assert (QuickGELU in used) == quick
    assert len(used) == 1 or not quick  # not in one tower only


def test_a_model_that_was_tuned_from_openais_has_their_activation_function(built):
    (negclip,) = (entry for entry in ENTRIES if entry["model"] == "NegCLIP")
    used = {type(module) for module in built(negclip).modules()} & {QuickGELU, nn.GELU}
    assert used == {QuickGELU}


@pytest.mark.parametrize(
    "entry", ENTRIES, ids=lambda entry: f"{entry['model']} {entry.get('pretrained', '')}"
)
def test_no_model_is_older_than_what_it_was_trained_on(entry):
    assert FIRST_YEAR[entry["data"]] <= int(entry["year"]) <= datetime.datetime.now(tz=datetime.UTC).year
