"""What is read off attention and tokens, against hand-worked values and loops."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch

from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.data.layouts import grid
from crosseyed.data.scenes import scene_table
from crosseyed.errors import InputError
from crosseyed.internals import attention as looking
from crosseyed.internals import attention_tables
from crosseyed.internals.trace import Trace, pooled_rows, run
from crosseyed.models.towers.base import Readout

GRID = (3, 4)
TOKENS = 13


def random(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def random_attention(*shape, seed=0):
    return random(*shape, seed=seed).pow(3).softmax(-1)


def made(**given):
    """A trace of two images and two blocks on a grid of 3 × 4 patches, with class-token pooling."""
    rows = torch.zeros(2, 1, TOKENS)
    rows[:, 0, 0] = 0.5
    nothing = torch.zeros(2, 8)
    defaults = {
        "images": range(10, 12),
        "layers": (0, 1, 2),
        "blocks": (1, 2),
        "last": 2,
        "grid": GRID,
        "prefix": 1,
        "pooled": nothing,
        "embedding": nothing,
        "readout": Readout(rows, torch.zeros(1, 8, 8), nothing),
    }
    return Trace(**defaults | given)


def row_of(table, **values):
    (place,) = np.flatnonzero(np.logical_and.reduce([table[name] == value for name, value in values.items()]))
    return table.iloc[place]


# --- which attention --------------------------------------------------------------------------------------


def test_pooled_attention_by_layer():
    attention = random_attention(2, 2, 3, TOKENS)
    by_layer = looking.pooled_attention(made(attention=attention))
    assert list(by_layer) == [1, 2]
    assert torch.equal(by_layer[2], attention[1])


def test_all_rows_are_reduced_to_the_pooled_one():
    attention = random_attention(2, 2, 3, TOKENS, TOKENS)
    by_layer = looking.pooled_attention(made(attention=attention))
    torch.testing.assert_close(by_layer[1], attention[0, :, :, 0])


def test_attention_pooling_is_the_layer_after_the_last():
    pooling = random_attention(2, 5, TOKENS)
    chosen = made(attention=random_attention(1, 2, 3, TOKENS), blocks=(1,), pooling_attention=pooling)
    by_layer = looking.pooled_attention(chosen)
    assert list(by_layer) == [1, 3]
    assert by_layer[3] is pooling
    assert list(looking.pooled_attention(made(pooling_attention=pooling, blocks=()))) == [3]


def test_a_trace_without_attention():
    with pytest.raises(InputError, match="want="):
        looking.pooled_attention(made())


def test_both_kinds_of_rows_give_the_same_tables(tiny_clip):
    images = [np.random.default_rng(1).integers(0, 256, (32, 32, 3), dtype=np.uint8)] * 2
    pooled, every = (next(run(tiny_clip, images, attention_rows=rows)) for rows in ("pooled", "all"))
    pd.testing.assert_frame_equal(
        attention_tables.radial_table(pooled), attention_tables.radial_table(every), rtol=1e-4
    )
    torch.testing.assert_close(pooled_rows(every.attention, every), pooled.attention, rtol=1e-4, atol=1e-6)


# --- maps -------------------------------------------------------------------------------------------------


def test_on_grid_puts_tokens_in_reading_order():
    values = torch.arange(TOKENS)
    assert looking.on_grid(values, GRID).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8], [9, 10, 11, 12]]
    assert looking.on_grid(values[1:], GRID, prefix=0)[2, 3] == 12


def test_on_grid_refuses_another_number_of_tokens():
    with pytest.raises(InputError, match="13 tokens are not 1 and a grid of 3 x 3"):
        looking.on_grid(torch.arange(TOKENS), (3, 3))


def test_spatial_attention_is_scaled_to_one():
    attention = torch.tensor([0.6, 0.1, 0.3, 0.0, 0.0])
    torch.testing.assert_close(looking.spatial_attention(attention, (2, 2)), torch.tensor([0.25, 0.75, 0, 0]))


def test_the_last_attention_on_the_image_by_hand():
    attention = torch.zeros(2, 1, 2, 5)  # two blocks, one image, two heads, a class token and 2 × 2 patches
    attention[1, 0] = torch.tensor([[0.5, 0.5, 0.0, 0.0, 0.0], [0.0, 0.25, 0.75, 0.0, 0.0]])
    last = looking.last_on_image(made(attention=attention, grid=(2, 2)))
    # the mean over heads is .25 on the class token, .375 and .375 on the first two patches
    torch.testing.assert_close(last, torch.tensor([[0.5, 0.5, 0.0, 0.0]]))


def test_the_last_attention_on_the_image_is_that_of_attention_pooling_where_there_is_one():
    pooling = random_attention(2, 5, TOKENS)
    last = looking.last_on_image(made(attention=random_attention(2, 2, 3, TOKENS), pooling_attention=pooling))
    torch.testing.assert_close(last, looking.spatial_attention(pooling.mean(1), GRID))
    with pytest.raises(InputError, match="want="):
        looking.last_on_image(made())


# --- rollout ----------------------------------------------------------------------------------------------


def test_rollout_by_hand():
    # two tokens, one head: A = 0.5 W + 0.5 I, then A2 A1
    first, second = torch.tensor([[0.0, 1.0], [0.0, 1.0]]), torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    rolled = looking.rollout(torch.stack([first, second])[:, None, None])
    # A1 = [[.5 .5] [0 1]], A2 = [[.75 .25] [.5 .5]]
    torch.testing.assert_close(rolled, torch.tensor([[[0.375, 0.625], [0.25, 0.75]]]))


def test_rollout_averages_heads_and_keeps_images_apart():
    attention = random_attention(3, 2, 4, 5, 5)
    rolled = looking.rollout(attention)
    for image in range(2):
        expected = np.eye(5)
        for layer in range(3):
            mean = np.mean([attention[layer, image, head].numpy() for head in range(4)], axis=0)
            expected = (0.5 * mean + 0.5 * np.eye(5)) @ expected
        np.testing.assert_allclose(rolled[image].numpy(), expected, rtol=1e-5)
    torch.testing.assert_close(rolled.sum(-1), torch.ones(2, 5))


def test_rollout_refuses_the_pooled_rows_alone():
    with pytest.raises(InputError, match='attention_rows="all"'):
        looking.rollout(random_attention(2, 2, 3, TOKENS))


# --- radial profile ---------------------------------------------------------------------------------------


def test_patch_eccentricities_by_hand():
    # 2 x 2 patches: centers a quarter of the side off on both axes, half way to the corner
    np.testing.assert_allclose(looking.patch_eccentricities((2, 2)), [0.5] * 4)
    # one row of three: centers at -1, 0, 1; the corner at (1.5, 0.5)
    np.testing.assert_allclose(looking.patch_eccentricities((1, 3)), np.array([1, 0, 1]) / math.sqrt(2.5))


def test_the_radial_profile_against_loops():
    attention = random_attention(2, 2, 3, TOKENS)
    table = attention_tables.radial_table(made(attention=attention), bins=[0, 0.3, 0.5, 0.9, 1])
    places = looking.patch_eccentricities(GRID)
    for (layer, image, head), rings in table.groupby(["layer", "image", "head"]):
        spatial = attention[layer - 1, image - 10, head, 1:].double().numpy()
        assert rings["attention"].sum() == pytest.approx(1, rel=1e-5)
        assert rings["uniform"].sum() == pytest.approx(1)
        for ring in rings.itertuples():
            inside = [ring.eccentricity_low < place <= ring.eccentricity_high for place in places]
            share = sum(value for value, within in zip(spatial, inside, strict=True) if within) / sum(spatial)
            assert ring.attention == pytest.approx(share, rel=1e-5)
            assert ring.uniform == pytest.approx(sum(inside) / 12)
            assert ring.relative == pytest.approx(share / (sum(inside) / 12), rel=1e-5)
            assert ring.eccentricity == pytest.approx(np.mean(places[inside]))
    assert set(table["eccentricity_low"]) == {0, 0.3, 0.5}  # no patch center lies beyond 0.9


def test_uniform_attention_has_a_flat_profile():
    attention = torch.full((2, 2, 3, TOKENS), 1 / TOKENS)
    np.testing.assert_allclose(
        attention_tables.radial_table(made(attention=attention))["relative"], 1, rtol=1e-5
    )


def test_rings_contain_their_outer_edge():
    # 3 x 3 patches: the middle, four sides at sqrt(2) / 3 = 0.471, four corners at 2 / 3
    table = attention_tables.radial_table(
        made(grid=(3, 3), attention=torch.full((2, 2, 1, 10), 0.1)), bins=[0, 2**0.5 / 3, 2 / 3]
    )
    assert set(zip(table["eccentricity_high"].round(3), table["uniform"].round(3), strict=True)) == {
        (0.471, round(5 / 9, 3)),
        (0.667, round(4 / 9, 3)),
    }


@pytest.mark.parametrize("bins", [0, -3, [0.5], [0.5, 0.2], [0, 0.5], [0.4, 1]])
def test_rings_that_make_no_sense(bins):
    with pytest.raises(InputError, match="bins"):
        attention_tables.radial_table(made(attention=random_attention(2, 2, 3, TOKENS)), bins)


# --- objects ----------------------------------------------------------------------------------------------


def test_coverage_by_hand():
    mask = np.zeros((1, 4, 4), bool)
    mask[0, 0, :3] = True
    np.testing.assert_allclose(looking.coverage(mask, (2, 2)), [[[0.5, 0.25], [0, 0]]])


@pytest.mark.parametrize(
    ("size", "grid"),
    [((6, 8), GRID), ((45, 60), GRID), ((4, 4), (3, 3)), ((10, 10), (7, 7)), ((50, 67), GRID)],
)
def test_coverage_against_a_fine_mesh(size, grid):
    masks = np.random.default_rng(0).random((2, *size)) < 0.4
    (height, width), (rows, cols) = size, grid
    # with every pixel drawn rows × cols times, every patch begins and ends with a pixel
    fine = np.repeat(np.repeat(masks, rows, axis=1), cols, axis=2)
    expected = fine.reshape(2, rows, height, cols, width).mean((2, 4))
    np.testing.assert_allclose(looking.coverage(masks, grid), expected, atol=1e-12)


@pytest.mark.parametrize("masks", [np.zeros((3, 4), bool), np.zeros((1, 3, 4)), np.zeros((1, 0, 4), bool)])
def test_masks_that_are_none(masks):
    with pytest.raises(InputError, match="bool array"):
        looking.coverage(masks, GRID)


def test_the_share_on_an_object_against_loops():
    attention = random_attention(2, 2, 3, TOKENS)
    masks = np.random.default_rng(0).random((2, 30, 40)) < 0.3
    table = attention_tables.mask_table(made(attention=attention), masks)
    for layer, image, head in np.ndindex(2, 2, 3):
        row = row_of(table, layer=layer + 1, image=image + 10, head=head)
        spatial = attention[layer, image, head, 1:].double().numpy()
        on_pixels = np.repeat(np.repeat(spatial.reshape(GRID), 10, axis=0), 10, axis=1)
        share = on_pixels[masks[image]].sum() / on_pixels.sum()
        assert row["share"] == pytest.approx(share, rel=1e-5)
        assert row["mask_area"] == pytest.approx(masks[image].mean())
        assert row["relative"] == pytest.approx(share / masks[image].mean(), rel=1e-5)


def test_an_empty_mask_has_no_relative_share():
    table = attention_tables.mask_table(
        made(attention=random_attention(2, 2, 3, TOKENS)), np.zeros((2, 3, 4), bool)
    )
    assert (table["share"] == 0).all()
    assert table["relative"].isna().all()


def test_the_columns_of_the_scenes_go_with_their_images():
    about = pd.DataFrame({"image": ["a", "b"], "object": ["cup", "dog"], "area": [0.1, 0.2]}, index=[11, 7])
    masks = np.stack([np.ones((3, 4), bool), np.zeros((3, 4), bool)])
    table = attention_tables.mask_table(made(attention=random_attention(2, 2, 3, TOKENS)), masks, about)
    assert table.columns[:3].tolist() == ["image", "object", "area"]
    assert not table.columns.has_duplicates
    assert dict(zip(table["object"], table["mask_area"], strict=True)) == {"cup": 1, "dog": 0}
    assert table.groupby("object").size().tolist() == [6, 6]


def test_masks_or_rows_for_another_number_of_images():
    traced = made(attention=random_attention(2, 2, 3, TOKENS))
    with pytest.raises(InputError, match="3 masks for the 2 images"):
        attention_tables.mask_table(traced, np.zeros((3, 3, 4), bool))
    with pytest.raises(InputError, match="1 rows in about for the 2 images"):
        attention_tables.mask_table(traced, np.zeros((2, 3, 4), bool), pd.DataFrame({"image": ["a"]}))


def test_masks_of_other_proportions():
    with pytest.raises(InputError, match="40 x 40 pixels do not have the proportions of the 3 x 4 patches"):
        attention_tables.mask_table(
            made(attention=random_attention(2, 2, 3, TOKENS)), np.zeros((2, 40, 40), bool)
        )


def test_the_rows_of_scenes_have_all_their_heads(tiny_clip):
    scenes = grid(sample_objects(read_catalogue(["noto"]), 2, seed=0), 3, width=48, height=48)
    about = scene_table(scenes)
    tables = []
    for part in run(tiny_clip, [scene.render for scene in scenes], ("attention",), batch_size=5):
        masks = np.concatenate([scenes[number].masks() for number in part.images])
        tables.append(attention_tables.mask_table(part, masks, about.iloc[part.images]))
    table = pd.concat(tables, ignore_index=True)
    assert len(table) == len(scenes) * 2 * 2
    assert np.isfinite(table["share"]).all()


# --- sinks ------------------------------------------------------------------------------------------------


def with_norms(norms, width=4):
    """Tokens with the given norms in random directions, behind a class token of norm 1000."""
    norms = torch.tensor(norms, dtype=torch.float)
    norms = torch.cat([torch.full((*norms.shape[:-1], 1), 1000.0), norms], -1)
    directions = random(*norms.shape, width) + 0.1
    return norms[..., None] * directions / directions.norm(dim=-1, keepdim=True)


def test_sinks_by_hand():
    norms = [1, 1, 1, 1, 1, 1, 2.9, 3.1, 50, 1, 1, 1]
    found = attention_tables.sinks(with_norms(norms), GRID)
    assert found.nonzero().tolist() == [[1, 3], [2, 0]]


def test_the_median_of_an_even_number_is_between_the_middle_two():
    # median of 1, 1, 3, 13: 2; 3 times that is 6
    assert attention_tables.sinks(with_norms([1.0, 1, 3, 13]), (2, 2)).sum() == 1
    assert attention_tables.sinks(with_norms([1.0, 1, 3, 5.9]), (2, 2)).sum() == 0


def test_the_sink_table():
    calm, one, two = [1.0] * 12, [8.0, *[1.0] * 11], [8.0, *[1.0] * 4, 4.0, *[1.0] * 6]
    tokens = with_norms([[calm, calm], [calm, one], [one, two]])
    table = attention_tables.sink_table(made(tokens=tokens))
    places = looking.patch_eccentricities(GRID)
    for (layer, image), (count, largest, where) in {
        (0, 10): (0, 1, math.nan),
        (1, 11): (1, 8, places[0]),
        (2, 10): (1, 8, places[0]),
        (2, 11): (2, 8, (places[0] + places[5]) / 2),
    }.items():
        row = row_of(table, layer=layer, image=image)
        assert row["sinks"] == count
        assert row["largest"] == pytest.approx(largest, rel=1e-5)
        assert row["eccentricity"] == pytest.approx(where, rel=1e-5, nan_ok=True)
        assert row["uniform"] == pytest.approx(places.mean())
    assert len(table) == 6


def test_an_unreadable_image_has_no_number_of_sinks():
    tokens = with_norms([[[1.0] * 12] * 2] * 3)
    tokens[:, 1] = torch.nan
    table = attention_tables.sink_table(made(tokens=tokens))
    assert table.loc[table["image"] == 10, "sinks"].eq(0).all()
    assert table.loc[table["image"] == 11, "sinks"].isna().all()


def test_an_unreadable_image_is_nan_in_every_table():
    attention = random_attention(2, 2, 3, TOKENS)
    attention[:, 1] = torch.nan
    traced = made(attention=attention)
    for table, column in (
        (attention_tables.radial_table(traced), "relative"),
        (attention_tables.mask_table(traced, np.ones((2, 3, 4), bool)), "share"),
    ):
        assert (table[column].isna() == (table["image"] == 11)).all()


def test_sinks_need_tokens():
    with pytest.raises(InputError, match="want="):
        attention_tables.sink_table(made())


def test_tables_leave_the_trace_alone():
    traced = made(attention=random_attention(2, 2, 3, TOKENS), tokens=with_norms([[[1.0] * 12] * 2] * 3))
    before = {field.name: getattr(traced, field.name) for field in dataclasses.fields(traced)}
    copies = {name: value.clone() for name, value in before.items() if isinstance(value, torch.Tensor)}
    attention_tables.radial_table(traced)
    attention_tables.mask_table(traced, np.ones((2, 3, 4), bool))
    attention_tables.sink_table(traced)
    assert all(torch.equal(before[name], value) for name, value in copies.items())
