"""Changed positional embeddings, against copies of the model changed by hand and against shifted images."""

import copy
import dataclasses
from itertools import product
from types import SimpleNamespace

import numpy as np
import open_clip
import pytest
import timm
import torch
from open_clip.timm_model import TimmModel
from small_models import TINY_CONFIG
from torch import nn

from crosseyed.errors import InputError
from crosseyed.mitigations.composition import compose
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import pool
from crosseyed.mitigations.positions import AveragedPositions, PositionShifts, ShiftedPositions
from crosseyed.mitigations.views import CyclicShifts, Gated, Tiles
from crosseyed.models.towers.position_embeddings import changed_positions

TEXTS = ["a photo of a dog", "a photo of a cat", "two trees"]
TOWERS = {
    "class token": {},
    "average": {"pool_type": "avg"},
    "sine and cosine": {"pos_embed_type": "sin_cos_2d"},
    "SigLIP": {},
    "ResNet": {"layers": [1, 1, 1, 1], "width": 4, "image_size": 96, "patch_size": None},
}
TRUNK = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 1, "num_heads": 2, "num_classes": 0}


def build(tiny_clip, kind):
    """A random model whose grid is 4 x 4, of the ResNet 3 x 3."""
    config = copy.deepcopy(TINY_CONFIG)
    config["vision_cfg"] |= TOWERS[kind]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(3)
        clip = open_clip.CLIP(**config)
        if kind == "SigLIP":
            clip.visual = timm_tower(class_token=False, global_pool="map")
        for parameter in clip.visual.parameters():
            if parameter.requires_grad:  # which sines and cosines do not
                parameter.data += 0.1 * torch.randn_like(parameter)
    clip.eval().requires_grad_(False)
    size = clip.visual.image_size
    resize = open_clip.transform.image_transform_v2(
        open_clip.transform.PreprocessCfg(size=size), is_train=False
    )
    tower = dataclasses.replace(tiny_clip.tower, image_size=(96, 96) if kind == "ResNet" else (32, 32))
    return dataclasses.replace(tiny_clip, name=kind, clip=clip, preprocess=resize, tower=tower)


def timm_tower(**options):
    """open_clip's adapter around a tiny trunk; its own constructor takes only trunks that have a name."""
    tower = TimmModel.__new__(TimmModel)
    nn.Module.__init__(tower)
    tower.trunk, tower.head = timm.models.VisionTransformer(**TRUNK, **options), nn.Identity()
    tower.image_size = (32, 32)
    return tower


@pytest.fixture(scope="module")
def model_of(tiny_clip):
    built = {}
    return lambda kind: built[kind] if kind in built else built.setdefault(kind, build(tiny_clip, kind))


@pytest.fixture(params=list(TOWERS))
def model(request, model_of):
    return model_of(request.param)


@pytest.fixture(params=[kind for kind in TOWERS if kind != "ResNet"])
def transformer(request, model_of):
    return model_of(request.param)


def some_images(size=32, n_images=3):
    generator = np.random.default_rng(5)
    return [generator.integers(0, 256, (size, size, 3), np.uint8) for _ in range(n_images)]


def embedding_of(model):
    visual = model.clip.visual
    if model.name == "ResNet":
        return visual.attnpool.positional_embedding
    return visual.trunk.pos_embed if model.name == "SigLIP" else visual.positional_embedding


def changed_by_hand(model, source_of):
    """A copy of the model in which each cell has the embedding that `source_of(cell)` says, a mixture of cells."""
    clip = copy.deepcopy(model.clip)
    changed = dataclasses.replace(model, clip=clip)
    flat = embedding_of(changed).data.flatten(0, -2)
    side = 3 if model.name == "ResNet" else 4
    before = len(flat) - side**2
    assert before == (0 if model.name == "SigLIP" else 1)
    original = flat.clone()
    for row, column in product(range(side), repeat=2):
        flat[before + row * side + column] = sum(
            share * original[before + r * side + c] for (r, c), share in source_of(row, column, side).items()
        )
    return changed


# --- strength zero, and the model afterwards --------------------------------------------------------------


@pytest.mark.parametrize(
    "nothing",
    [
        ShiftedPositions(0, 0),
        AveragedPositions(0),
        PositionShifts(side=1),
        compose(AveragedPositions(0), ShiftedPositions(0, 0)),
    ],
    ids=lambda mitigation: mitigation.name,
)
def test_strength_zero_gives_the_plain_model_bit_for_bit(model, nothing):
    mitigated, images = mitigate(model, nothing), some_images(n_images=3)
    original = embedding_of(model)
    with nothing.applied(model):
        assert embedding_of(model) is original
    np.testing.assert_array_equal(mitigated.similarities(images, TEXTS), model.similarities(images, TEXTS))
    np.testing.assert_array_equal(mitigated.encode_images(images), model.encode_images(images))


def test_the_model_is_exactly_as_before_also_after_an_error(model):
    original, bits = embedding_of(model), embedding_of(model).clone()
    names = list(model.clip.state_dict())
    for mitigation in (ShiftedPositions(1, 2), AveragedPositions(1), PositionShifts(side=2)):
        mitigate(model, mitigation).similarities(some_images(), TEXTS)
        with pytest.raises(InputError, match="must be a file name"):
            mitigate(model, mitigation).similarities([*some_images(), 7], TEXTS)
        assert embedding_of(model) is original and list(model.clip.state_dict()) == names
        assert torch.equal(original, bits)
    with pytest.raises(ZeroDivisionError), AveragedPositions(1).applied(model):
        assert embedding_of(model) is not original
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), changed_positions(model, lambda spatial: 1 / 0):
        pass
    assert embedding_of(model) is original and torch.equal(original, bits)


# --- what they do -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("down", "right"), [(1, 0), (0, -1), (2, 5)])
def test_shifted_embeddings_come_from_the_cells_above_and_left(model, down, right):
    def source(row, column, side):
        return {((row - down) % side, (column - right) % side): 1}

    found = mitigate(model, ShiftedPositions(down, right)).encode_images(some_images())
    np.testing.assert_allclose(found, changed_by_hand(model, source).encode_images(some_images()), atol=1e-6)
    assert not np.allclose(found, model.encode_images(some_images()), atol=1e-4)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_averaged_embeddings_are_mixed_with_their_mean(model, strength):
    def source(row, column, side):
        shares = dict.fromkeys(product(range(side), repeat=2), strength / side**2)
        return shares | {(row, column): strength / side**2 + 1 - strength}

    found = mitigate(model, AveragedPositions(strength)).encode_images(some_images())
    np.testing.assert_allclose(found, changed_by_hand(model, source).encode_images(some_images()), atol=1e-5)
    assert not np.allclose(found, model.encode_images(some_images()), atol=1e-4)


def test_shifting_the_positions_of_a_transformer_is_shifting_its_image_the_other_way(transformer):
    size = transformer.image_size[0]
    images, patch = some_images(size), size // 4
    shifted = [np.roll(image, (-patch, 2 * patch), axis=(0, 1)) for image in images]
    found = mitigate(transformer, ShiftedPositions(1, -2)).encode_images(images)
    np.testing.assert_allclose(found, transformer.encode_images(shifted), atol=1e-5)


def test_the_ensemble_of_shifts_is_that_of_images_shifted_by_patches(transformer):
    images = some_images(transformer.image_size[0], n_images=35)  # more than a portion
    found, expected = (
        mitigate(transformer, kind(side=2, aggregate="mean")).similarities(images, TEXTS)
        for kind in (PositionShifts, CyclicShifts)
    )
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert not np.allclose(found, transformer.similarities(images, TEXTS), atol=1e-4)


def test_without_positions_a_transformer_does_not_see_where_its_patches_are(transformer):
    size = transformer.image_size[0]
    images, patch = some_images(size), size // 4
    shifted = [np.roll(image, (patch, 2 * patch), axis=(0, 1)) for image in images]
    blind = mitigate(transformer, AveragedPositions(1))
    np.testing.assert_allclose(blind.encode_images(images), blind.encode_images(shifted), atol=1e-5)
    assert not np.allclose(transformer.encode_images(images), transformer.encode_images(shifted), atol=1e-4)


def test_shifts_add_up_when_composed(model):
    twice = compose(ShiftedPositions(1, 1), ShiftedPositions(1, -2))
    np.testing.assert_allclose(
        mitigate(model, twice).encode_images(some_images()),
        mitigate(model, ShiftedPositions(2, -1)).encode_images(some_images()),
        atol=1e-6,
    )


def test_they_work_under_other_mitigations_and_poolings(model_of):
    model = model_of("class token")
    images, shifts = some_images(n_images=5), PositionShifts(side=2)
    nested = mitigate(model, compose(Tiles(side=2, aggregate="mean"), shifts)).similarities(images, TEXTS)
    tiles = [Tiles(side=2).views(image, None) for image in images]
    by_view = [mitigate(model, shifts).similarities(views, TEXTS).mean(0) for views in tiles]
    np.testing.assert_allclose(nested, by_view, atol=1e-6)
    always = mitigate(model, Gated(shifts, threshold=1.0)).similarities(images, TEXTS)
    np.testing.assert_allclose(always, mitigate(model, shifts).similarities(images, TEXTS), atol=1e-6)
    average = mitigate(pool(model, "average"), ShiftedPositions(1, 0)).encode_images(images)
    with ShiftedPositions(1, 0).applied(model):
        np.testing.assert_array_equal(average, pool(model, "average").encode_images(images))


def test_cost_and_vector():
    assert ShiftedPositions(1, 0).passes == AveragedPositions(0.5).passes == 1
    assert (PositionShifts(side=2).passes, PositionShifts(side=3).passes) == (5, 9)
    assert not PositionShifts(aggregate="mean").has_vector and not PositionShifts().only_views
    assert ShiftedPositions(1, 0).has_vector and not ShiftedPositions(1, 0).only_views


# --- what is refused --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ShiftedPositions(0.5, 0), "rows is a whole number, not 0.5"),
        (lambda: ShiftedPositions(0, "1"), "columns is a whole number"),
        (lambda: AveragedPositions(1.01), "strength is from 0 to 1"),
        (lambda: AveragedPositions(-0.1), "strength is from 0 to 1"),
        (lambda: PositionShifts(side=0), "side is a whole number"),
        (lambda: PositionShifts(temperature=-1.0), "temperature is above 0"),
    ],
)
def test_parameters_out_of_range_are_refused(make, message):
    with pytest.raises(InputError, match=message):
        make()


@pytest.mark.parametrize(
    "mitigation", [ShiftedPositions(1, 0), AveragedPositions(0.5), PositionShifts(side=2)]
)
def test_towers_without_such_positions_are_refused(tiny_clip, mitigation):
    visual, tower = nn.Identity(), dataclasses.replace(tiny_clip.tower, kind="ConvNeXt")
    other = dataclasses.replace(tiny_clip, clip=SimpleNamespace(visual=visual), tower=tower)
    with pytest.raises(InputError, match="is a ConvNeXt, whose positions cannot be changed"):
        mitigate(other, mitigation)
    visual = timm_tower(pos_embed="none")
    placeless = dataclasses.replace(tiny_clip, clip=SimpleNamespace(visual=visual))
    with pytest.raises(InputError, match="no positional embeddings that could be changed"):
        mitigate(placeless, compose(Tiles(), mitigation))
