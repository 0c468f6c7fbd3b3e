"""A scorer that sees only half of an image is found to, and so is one that does not mind the others in a crowd."""

import numpy as np
import pytest

from crosseyed.data.arrangements import crowds, first_objects, sides
from crosseyed.data.cutouts import objects_of, read_catalogue, sample_objects
from crosseyed.data.scenes import scene_of
from crosseyed.measure import bootstrap, protocols, wordings
from crosseyed.measure.asymmetry import compare_sides
from crosseyed.models.scorer import Scorer
from crosseyed.settings import settings


class LeftEye(Scorer):
    """Sees the objects of a scene whose centers are in the left half, the nearer to the border the clearer."""

    name, model, pretrained, logit_scale = "left", "left", "none", 1.0

    def similarities(self, images, texts, *, progress=True):
        rows = []
        for image in images:
            seen = {
                settings.caption(each.cutout.object): 1 - each.x
                for each in scene_of(image).placements
                if each.x < 0.5
            }
            rows.append([seen.get(text, 0.0) for text in texts])
        return np.array(rows)


@pytest.fixture(scope="module")
def cutouts():
    return sample_objects(read_catalogue(["noto"]), 12, seed=0)


def test_a_scorer_that_sees_the_left_half_prefers_the_left_and_neither_above_nor_below(cutouts):
    labels = ["nothing", *objects_of(cutouts)]
    scenes, names = sides(cutouts)
    answers = protocols.grid(LeftEye(), scenes, labels).assign(side=names)
    found = compare_sides(answers, resamples=200).set_index("first")
    left, above = found.loc["left"], found.loc["above"]
    assert left["second"] == "right" and above["second"] == "below"
    assert left[["first_value", "second_value", "difference", "low", "high"]].tolist() == [
        100,
        0,
        100,
        100,
        100,
    ]
    assert left["p_value"] < 0.02
    # above and below share the shift across, so that each object is seen in both or in none
    assert above[["difference", "low", "high"]].tolist() == [0, 0, 0] and above["p_value"] == 1


def test_the_p_values_of_both_comparisons_are_corrected(cutouts):
    scenes, names = sides(cutouts)
    answers = protocols.grid(LeftEye(), scenes, ["nothing", *objects_of(cutouts)]).assign(side=names)
    answers["correct"] = answers["side"] == "left"
    found = compare_sides(answers, resamples=4000)
    # two of 2 ** 12 flips are as far as the table, times two comparisons
    assert found["p_value"][0] == pytest.approx(2 * 2 / 2**12, abs=1e-3)


def test_the_others_of_a_crowd_are_not_offered(cutouts):
    labels = ["nothing", *objects_of(cutouts)]
    scenes = crowds(cutouts, 5)
    table, others = first_objects(scenes)
    assert table["object"].tolist() == [scene.placements[0].cutout.object for scene in scenes]
    assert table["shown"].unique().tolist() == [5]
    assert all(
        len(each) == 4 and name not in each for each, name in zip(others, table["object"], strict=True)
    )
    images = [scene.render for scene in scenes]
    logits = wordings.logits_of(LeftEye(), images, {"own": [settings.caption(label) for label in labels]})[
        "own"
    ]
    asked = protocols.answers_of(LeftEye(), table, wordings.without(logits, others, labels), labels)
    seen = table["x"] < 0.5
    assert (asked["correct"].astype(bool) == seen).all()
    gap = bootstrap.center_bias(asked, by="shown", resamples=20)
    assert gap["n_objects"].tolist() == [12]
