import numpy as np
import pandas as pd
import pytest
from small_mitigations import answered, random_answers
from small_models import build_open_clip

from crosseyed.data import layouts
from crosseyed.data.cutouts import read_catalogue, sample_objects
from crosseyed.errors import InputError
from crosseyed.internals.attention import coverage
from crosseyed.internals.layer_reading import SOURCES, read_layers
from crosseyed.internals.probes import probe
from crosseyed.mitigations import outcomes as module
from crosseyed.mitigations.outcomes import OUTCOMES, found_in_tokens, outcomes
from crosseyed.models.towers.registry import adapter_of


def test_outcomes_by_hand():
    answers = answered(
        none=[[True, False, False], [True, False, False]],
        a=[[True, True, False], [False, False, False]],
    )
    found = pd.DataFrame(
        {
            "image": ["000", "001", "002", "010", "011", "012"],
            "correct": [False, False, True, True, False, True],
        }
    )
    table = outcomes(answers, "a", found, resamples=50)
    assert table["outcome"].tolist() == 2 * list(OUTCOMES)
    shares = table.set_index(["center", "outcome"])["share"].unstack("center").reindex(columns=[True, False])
    assert shares.loc["recognised before and after"].tolist() == [50, 0]
    assert shares.loc["repaired"].tolist() == [0, 25]
    assert shares.loc["broken"].tolist() == [50, 0]
    assert shares.loc["lost, found by the probe"].tolist() == [0, 50]
    assert shares.loc["lost, not found by the probe"].tolist() == [0, 25]
    assert table["n"].tolist() == 5 * [2] + 5 * [4]
    fewer = outcomes(answers, "a", found.drop(index=2), resamples=50)  # an image off-center, lost and found
    share = fewer[~fewer["center"]].set_index("outcome")["share"]
    assert share["lost, found by the probe"] == pytest.approx(100 / 3)
    assert fewer["n"].tolist() == 5 * [2] + 5 * [3]


def test_outcomes_refuse_what_was_not_asked():
    answers = random_answers()
    with pytest.raises(InputError, match="'a_3' was not scored under the protocol 'grid'; did you mean"):
        outcomes(answers, "a_3", answers)
    with pytest.raises(InputError, match="found has no image of 'grid'"):
        outcomes(answers, "a_1", pd.DataFrame({"image": ["none"], "correct": [True]}))


@pytest.mark.parametrize(("kind", "layer"), [("class token", -2), ("average", -1)])
def test_the_probe_reads_the_tokens_that_the_last_attention_or_the_pooling_reads(
    kind, layer, tiny_clip, monkeypatch
):
    model = build_open_clip(tiny_clip, kind)
    every = sample_objects(read_catalogue(), 3, seed=0)
    cutouts = [each for each in every if each.style != "noto"]
    others = [each for each in every if each.style == "noto"]
    asked = []
    monkeypatch.setattr(module, "probe", lambda own, about: asked.append((own, about)) or probe(own, about))
    table = found_in_tokens(model, cutouts, others, size=0.3, seed=2)
    scenes = layouts.chessboard(layouts.grid(cutouts, size=0.3, seed=2))
    assert sorted(table["image"]) == sorted(scene.name for scene in scenes)  # the others only teach
    assert table["correct"].notna().all()
    (own, about), few = asked[0], scenes[:13]
    assert about["style"].value_counts().to_dict() == dict.fromkeys(("fluent", "noto", "twemoji"), 39)
    covered = coverage(np.stack([scene.masks()[0] for scene in few]), adapter_of(model).grid)
    reading = read_layers(model, [scene.render() for scene in few], covered)
    expected = reading.vectors[layer, :, SOURCES.index("object")]
    np.testing.assert_allclose(own[:13], expected, rtol=1e-4, atol=1e-5)
