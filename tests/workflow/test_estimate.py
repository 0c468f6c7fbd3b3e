"""What follows from the shapes of an architecture, against values by hand and a real model."""

import pytest
import torch

from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.files import DATA
from crosseyed.models.loading import load
from crosseyed.report.model_list import read_list
from crosseyed.workflow import estimate as estimates
from crosseyed.workflow.estimate import CORE, GPU, estimate, on_threads, shapes_of

POCKETCLIP = Edition("pocketclip-centered")


def test_shapes_are_those_of_the_model_with_its_weights():
    clip, shapes = load(POCKETCLIP.model, device="cpu"), shapes_of(POCKETCLIP.model)
    assert shapes.weights_mb == pytest.approx(sum(each.numel() for each in clip.clip.parameters()) * 4 / 1e6)
    assert shapes.dimensions == clip.encode_texts(["a"]).shape[1]


def test_the_operations_of_a_vision_transformer_are_those_of_its_matrices():
    layers, tokens, width, patch, dimensions = 12, 50, 768, 32, 512
    block = 2 * tokens * width * (3 + 1 + 8) * width + 2 * 2 * tokens**2 * width
    by_hand = layers * block + 2 * (tokens - 1) * 3 * patch**2 * width + 2 * width * dimensions
    assert shapes_of("ViT-B-32", "openai").flops == pytest.approx(by_hand, rel=0.01)


def test_a_gradient_needs_the_results_of_all_layers_at_a_time():
    small, large = shapes_of("ViT-B-32", "openai"), shapes_of("ViT-B-16", "openai")
    tokens = 12 * 197 * 768 * 4 / 1e6  # MB of the tokens of all layers, once
    assert 10 * tokens < large.gradient_mb < 25 * tokens
    assert 197 / 50 < large.gradient_mb / small.gradient_mb < (197 / 50) ** 2
    assert large.gradient_mb < large.written_mb


def test_what_a_layer_returns_is_counted_and_what_is_gone_leaves():
    class Tower(torch.nn.Module):
        image_size = 10

        def __init__(self):
            super().__init__()
            self.visual, self.weight = self, torch.nn.Parameter(torch.zeros(300, 7, device="meta"))

        def encode_image(self, image):
            with torch.no_grad():
                image = image + 1  # 1,200 bytes, gone after the next line
            return image.view(1, 300) @ self.weight  # 28 bytes

    tower = Tower()
    run = estimates._run(tower)
    assert run["written_mb"] == pytest.approx(1_228e-6)
    assert run["flops"] == 2 * 300 * 7
    assert run["dimensions"] == 7
    assert run["gradient_mb"] < 10_000e-6  # nothing of the weights, 8,400 bytes, but their gradient


def test_more_operations_take_longer_and_a_gpu_is_faster():
    shapes, core, gpu = (
        shapes_of(POCKETCLIP.model),
        estimate(POCKETCLIP, gpu=False),
        estimate(POCKETCLIP, gpu=True),
    )
    assert core.pass_seconds == pytest.approx(
        shapes.flops / CORE.flops + shapes.written_mb * 1e6 / CORE.bytes
    )
    assert gpu.pass_seconds == pytest.approx(shapes.flops / GPU.flops + shapes.written_mb * 1e6 / GPU.bytes)
    assert (core.device, gpu.device) == ("cpu", "cuda")
    assert core.memory_mb == pytest.approx(2 * shapes.weights_mb + 16 * shapes.gradient_mb)
    assert gpu.memory_mb > core.memory_mb  # CUDA itself


def test_more_threads_are_faster_but_not_in_proportion():
    one = estimate(POCKETCLIP, gpu=False)
    four = on_threads(one, 4)
    assert 1 / 4 < four.pass_seconds / one.pass_seconds < 1 / 3
    assert on_threads(four, 1).pass_seconds == pytest.approx(one.pass_seconds)
    gpu = estimate(POCKETCLIP, gpu=True)
    assert on_threads(gpu, 4) == gpu


def test_an_estimate_is_slower_than_this_machine():
    from crosseyed.workflow.speed import pass_seconds

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = pass_seconds(load(POCKETCLIP.model, device="cpu"))
    finally:
        torch.set_num_threads(before)
    assert measured < 2 * estimate(POCKETCLIP, gpu=False).pass_seconds


def test_a_tower_that_needs_values_is_taken_for_a_large_one(monkeypatch):
    def refuse(_):
        raise NotImplementedError

    monkeypatch.setattr(estimates, "_run", refuse)
    estimates.shapes_of.cache_clear()
    try:
        shapes = shapes_of(POCKETCLIP.model)
    finally:
        estimates.shapes_of.cache_clear()
    assert shapes.flops >= shapes_of("ViT-H-14", "laion2b_s32b_b79k").flops


def test_an_unknown_model_is_named():
    with pytest.raises(InputError, match="did you mean 'ViT-B-32'"):
        estimate(Edition("ViT-B-23", "openai"), gpu=False)


@pytest.mark.slow
def test_every_architecture_of_the_list_goes_through_without_memory():
    entries = {each["model"]: each.get("pretrained") for each in read_list(DATA.parent / "models.yml").models}
    for name, tag in entries.items():
        run = estimates._run(estimates.outline(name, tag).eval().requires_grad_(False))
        assert run["flops"] > 1e8 and run["gradient_mb"] > 1
