"""Running the last part of a tower, against whole passes, for every kind of tower and every depth."""

import pytest
import torch
from small_models import (
    OPEN_CLIP_TOWERS,
    TIMM_TOWERS,
    TIMM_TRANSFORMERS,
    build_open_clip,
    build_timm,
    distance,
    listeners,
    model_input,
)

from crosseyed.errors import InputError
from crosseyed.internals.trace import encode_from, hooked
from crosseyed.models.towers.registry import adapter_of


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    """A random model by the kind of its tower, open_clip's or timm's."""
    built = {}

    def build(kind):
        if kind not in built:
            built[kind] = (build_timm if kind in TIMM_TOWERS else build_open_clip)(tiny_clip, kind)
        return built[kind]

    return build


def states(model, batch):
    """The embedding, and the state at every depth from which the tower can be resumed."""
    adapter = adapter_of(model)
    with torch.inference_mode(), hooked(adapter.modules(())) as calls:
        embedding = model.clip.encode_image(batch)
    return embedding, {layer: adapter.state(calls, layer) for layer in adapter.resumable}


@pytest.mark.parametrize("kind", [*OPEN_CLIP_TOWERS, *TIMM_TRANSFORMERS])
def test_the_rest_of_a_tower_gives_the_embedding_of_a_whole_pass(model_of, kind):
    model = model_of(kind)
    whole, kept = states(model, model_input(model))
    assert len(kept) == (1 if kind == "ResNet" else 3)
    for layer, state in kept.items():
        assert distance(encode_from(model, layer, state), whole) < 1e-5
        assert distance(encode_from(model, layer, state[:1]), whole[:1]) < 1e-5
    assert torch.equal(model.clip.encode_image(model_input(model)), whole)


@pytest.mark.parametrize("kind", ["class token", "ViT"])
def test_only_the_blocks_after_the_depth_are_run(model_of, kind):
    model, adapter = model_of(kind), adapter_of(model_of(kind))
    _, kept = states(model, model_input(model))
    with hooked({"mlp 1": adapter._blocks[0].mlp, "mlp 2": adapter._blocks[1].mlp}) as ran:
        encode_from(model, 1, kept[1])
    assert set(ran) == {"mlp 2"}
    assert [adapter.share_after(layer) for layer in adapter.resumable] == [1, 0.5, 0]


def test_who_listens_hears_what_is_computed_after_the_depth(model_of):
    model = model_of("class token")
    adapter = adapter_of(model)
    _, kept = states(model, model_input(model))
    for layer in (0, 1):
        with hooked(adapter.modules(())) as calls:
            encode_from(model, layer, kept[layer])
        for heard in adapter.layers[layer:]:
            assert distance(adapter.tokens(calls, heard), kept[heard]) < 1e-5


def test_the_tower_is_restored_also_after_an_error(model_of):
    model = model_of("class token")
    whole, kept = states(model, model_input(model))
    for layer in (0, 1):
        with pytest.raises(RuntimeError):
            encode_from(model, layer, kept[layer][..., :-1])  # too narrow
    assert not listeners(model)
    assert torch.equal(model.clip.encode_image(model_input(model)), whole)


@pytest.mark.parametrize(("kind", "message"), [("class token", "3; it can at 0, 1, 2"), ("Swin", "none")])
def test_another_depth_is_refused(model_of, kind, message):
    model = model_of(kind)
    with pytest.raises(InputError, match=f"resumed at depth.*{message}"):
        encode_from(model, 3, torch.zeros(1, 17, 64))


@pytest.mark.parametrize("kind", [*OPEN_CLIP_TOWERS, *TIMM_TOWERS])
def test_the_pooled_token_alone_gives_the_same_embedding_and_gradients(model_of, kind):
    model = model_of(kind)
    pixels = model_input(model).requires_grad_()
    whole = model.clip.encode_image(pixels)
    (expected,) = torch.autograd.grad(whole.square().sum(), pixels)
    with adapter_of(model).pooled_alone():
        alone = model.clip.encode_image(pixels)
    (found,) = torch.autograd.grad(alone.square().sum(), pixels)
    assert distance(alone, whole) < 1e-5
    assert distance(found, expected) < 1e-4
    assert torch.equal(model.clip.encode_image(pixels), whole)


def test_the_pooled_token_alone_passes_the_last_block(model_of):
    model = model_of("class token")
    adapter = adapter_of(model)
    with (
        adapter.pooled_alone(),
        hooked({"mlp 1": adapter._blocks[0].mlp, "mlp 2": adapter._blocks[1].mlp}) as ran,
    ):
        model.clip.encode_image(model_input(model))
    assert [ran[name][0].shape[1] for name in ("mlp 1", "mlp 2")] == [17, 1]
    with pytest.raises(ValueError, match="stop"), adapter.pooled_alone():
        raise ValueError("stop")
    assert "forward" not in vars(adapter._blocks[1])
