import numpy as np
import pandas as pd
import pytest

from crosseyed.data.cutouts import objects_of, read_catalogue
from crosseyed.errors import InputError
from crosseyed.measure import protocols, wordings
from crosseyed.models.scorer import Scorer
from crosseyed.settings import CAPTIONS, settings

LABELS = ["cup", "owl", "hourglass", "unicycle"]


class ByTable(Scorer):
    """Knows the similarity of every image with every text."""

    name, model, pretrained, logit_scale = "table", "table", "none", 4.0

    def __init__(self):
        self.asked = []

    def similarities(self, images, texts, *, progress=True):
        self.asked.append((list(images), list(texts)))
        return np.array([[np.sin(7 * image + sum(map(ord, text))) for text in texts] for image in images])


def test_an_article_takes_its_form_before_a_vowel_sound():
    assert wordings.captions_with("a photo of a {}.", LABELS, inflected=True) == [
        "a photo of a cup.",
        "a photo of an owl.",
        "a photo of an hourglass.",
        "a photo of a unicycle.",
    ]
    assert wordings.captions_with("a photo of a {}.", LABELS)[1] == "a photo of a owl."


def test_articles_of_the_catalogue():
    names = objects_of(read_catalogue(["fluent"]))
    captions = wordings.captions_with("a {}", names, inflected=True)
    vowels = [name for name, caption in zip(names, captions, strict=True) if caption.startswith("an ")]
    assert sorted(vowels) == [
        *("airplane", "alarm clock", "ant", "apple", "avocado", "elephant", "hourglass", "ice cream"),
        *("octopus", "orange", "owl", "umbrella"),
    ]


def test_a_language_without_forms_of_the_article_says_so(monkeypatch):
    plain = CAPTIONS["en"].__class__(single="{}", both="{} {}", one="{}", unrelated="x")
    monkeypatch.setitem(CAPTIONS, "xx", plain)
    with settings.overridden(language="xx"), pytest.raises(InputError, match="'xx' have one form"):
        wordings.captions_with("a {}", LABELS, inflected=True)


def test_decisions_about_words_are_the_captions_of_each_template():
    found = wordings.decisions(["owl"])
    assert found["caption", "a drawing of a {}"] == ["a drawing of a owl"]
    assert found["words around the name", "{}"] == ["owl"]
    assert found["article", "“an” before a vowel"] == ["a photo of an owl"]
    words = CAPTIONS["en"]
    assert len(found) == len(words.alternatives) + len(words.lengths) + 1


def test_a_language_without_forms_of_the_article_has_no_decision_about_it(monkeypatch):
    plain = CAPTIONS["en"].__class__("foto: {}", "{} {}", "{}", "x", alternatives=("{}!",), lengths=("{}",))
    monkeypatch.setitem(CAPTIONS, "xx", plain)
    with settings.overridden(language="xx"):
        found = wordings.decisions(["owl"])
    assert found == {("caption", "{}!"): ["owl!"], ("words around the name", "{}"): ["owl"]}


@pytest.mark.parametrize("language", CAPTIONS)
def test_other_captions_are_others_and_name_the_object_once(language):
    words = CAPTIONS[language]
    others = [words.single, *words.alternatives, *words.lengths]
    assert len(set(others)) == len(others)
    assert all(each.count("{}") == 1 for each in others)


def test_there_are_at_least_eight_english_captions_to_choose_from():
    assert len({CAPTIONS["en"].single, *CAPTIONS["en"].alternatives}) >= 8


def test_logits_are_those_of_each_wording_asked_alone_and_images_are_seen_once():
    scorer, images = ByTable(), [1, 2, 5]
    captions = {each: wordings.captions_with(each, LABELS) for each in ("a {}", "the {}", "{}")}
    found = wordings.logits_of(scorer, images, captions | {"again": captions["{}"][::-1]})
    assert len(scorer.asked) == 1 and len(scorer.asked[0][1]) == 3 * len(LABELS)
    for name, texts in captions.items():
        np.testing.assert_array_equal(found[name], 4.0 * ByTable().similarities(images, texts))
    np.testing.assert_array_equal(found["again"], found["{}"][:, ::-1])


def test_answers_to_a_wording_are_those_of_the_protocol():
    table = pd.DataFrame({"image": ["i", "j"], "object": ["owl", "cup"]})
    logits = wordings.logits_of(ByTable(), [1, 2], {"the": wordings.captions_with("the {}", LABELS)})["the"]
    expected = protocols.zero_shot(ByTable(), [1, 2], table, LABELS, "the {}")
    pd.testing.assert_frame_equal(protocols.answers_of(ByTable(), table, logits, LABELS), expected)


def test_few_names_are_the_own_one_and_others_the_same_for_all_images_of_an_object():
    labels = [f"l{number}" for number in range(9)]
    objects = ["l3", "l7", "l3"]
    logits = np.random.default_rng(0).normal(size=(3, 9))
    offered = {
        number: np.isfinite(wordings.among(logits, objects, labels, number, 5)) for number in (2, 4, 9)
    }
    for number, there in offered.items():
        assert there.sum(axis=1).tolist() == [number] * 3
        assert there[0, 3] and there[1, 7]
        np.testing.assert_array_equal(there[0], there[2])
    assert (offered[2] <= offered[4]).all() and offered[9].all()
    four = wordings.among(logits, objects, labels, 4, 5)
    np.testing.assert_array_equal(four[offered[4]], logits[offered[4]])
    assert (wordings.among(logits, objects, labels, 4, 6) != four).any()


def test_which_other_names_are_offered_is_drawn_evenly():
    labels = [f"l{number}" for number in range(6)]
    drawn = [np.isfinite(wordings.among(np.zeros((1, 6)), ["l0"], labels, 3, seed)) for seed in range(600)]
    share = np.mean(drawn, axis=0)[0]
    assert share[0] == 1
    np.testing.assert_allclose(share[1:], 2 / 5, atol=0.08)


def test_with_fewer_names_an_answer_that_was_right_stays_right():
    labels = [f"l{number}" for number in range(30)]
    table = pd.DataFrame({"image": range(200), "object": np.repeat(labels[:20], 10)})
    logits = np.random.default_rng(1).normal(size=(200, 30)) + 3 * (
        table["object"].to_numpy()[:, None] == labels
    )
    right = [
        protocols.answers_of(ByTable(), table, wordings.among(logits, table["object"], labels, n), labels)[
            "correct"
        ]
        for n in (2, 8, 30)
    ]
    assert (right[0] >= right[1]).all() and (right[1] >= right[2]).all()
    assert right[0].mean() > right[2].mean()


def test_an_image_that_cannot_be_read_stays_unreadable_among_few_names():
    logits = np.array([[np.nan] * 3, [1.0, 2.0, 3.0]])
    table = pd.DataFrame({"object": ["cup", "owl"]})
    offered = wordings.among(logits, table["object"], LABELS[:3], 2)
    assert protocols.answers_of(ByTable(), table, offered, LABELS[:3])["choice"][0] == "unreadable"


@pytest.mark.parametrize("number", [1, 5])
def test_a_number_of_names_out_of_range_is_refused(number):
    with pytest.raises(InputError, match=f"n_names is {number}; expected 2 to 4"):
        wordings.among(np.zeros((1, 4)), ["cup"], LABELS, number)
