import csv
import re

import numpy as np
import pytest

from crosseyed.data.cutouts import STYLES, objects_of, premultiplied, read_catalogue
from crosseyed.data.renderings import (
    FURTHER_STYLES,
    HELD_OUT_STYLE,
    TRAINED_STYLES,
    read_renderings,
)
from crosseyed.errors import InputError
from crosseyed.files import DATA

FOLDER = DATA / "renderings"


@pytest.fixture(scope="module")
def further():
    return read_renderings(FURTHER_STYLES)


def test_six_renderings_are_trained_on_and_another_is_held_out():
    assert HELD_OUT_STYLE in STYLES and HELD_OUT_STYLE not in TRAINED_STYLES
    assert len(set(TRAINED_STYLES)) == 6


def test_every_cutout_is_there_and_shows_an_object_that_fills_its_longer_side(further):
    known = set(objects_of(read_catalogue()))
    assert {cutout.style for cutout in further} == set(FURTHER_STYLES)
    for cutout in further:
        assert cutout.object in known
        sprite = premultiplied(cutout.path)
        assert max(sprite.size) == pytest.approx(128, abs=2), cutout
        cover = np.asarray(sprite)[..., 3].mean() / 255
        assert cover > 0.04, cutout


def test_no_file_lies_beside_the_catalogue(further):
    assert {cutout.path for cutout in further} == set(FOLDER.rglob("*.webp"))


def test_each_object_has_four_trained_renderings_at_least(further):
    cutouts = read_renderings(TRAINED_STYLES)
    counts = dict.fromkeys(objects_of(read_catalogue()), 0)
    for cutout in cutouts:
        counts[cutout.object] += 1
    assert min(counts.values()) >= 4


def test_the_page_says_which_objects_a_rendering_lacks(further):
    table = (FOLDER / "README.md").read_text()
    for style in FURTHER_STYLES:
        have = {cutout.object for cutout in further if cutout.style == style}
        lack = [name for name in objects_of(read_catalogue()) if name not in have]
        (row,) = re.findall(rf"^\| `{style}/` .*$", table, flags=re.MULTILINE)
        stated = row.rsplit("|", 2)[1].strip()
        assert stated == (f"{len(lack)}: {', '.join(lack)}" if lack else "nothing")


def test_each_rendering_has_its_license_beside_it():
    for style in FURTHER_STYLES:
        (text,) = (FOLDER / "licenses").glob(f"{style}-*.txt")
        assert text.name in (FOLDER / "README.md").read_text()


def test_objects_have_the_category_and_code_point_of_the_study():
    with (DATA / "objects/classes.csv").open() as file:
        classes = {row["object"]: row for row in csv.DictReader(file)}
    with (FOLDER / "catalogue.csv").open() as file:
        for row in csv.DictReader(file):
            assert {name: row[name] for name in classes[row["object"]]} == classes[row["object"]]


def test_renderings_of_the_study_are_read_as_the_catalogue_reads_them():
    assert read_renderings(("twemoji", "fluent")) == read_catalogue(("twemoji", "fluent"))
    mixed = read_renderings(("openmoji", "fluent"))
    assert list(dict.fromkeys(cutout.style for cutout in mixed)) == ["fluent", "openmoji"]
    assert read_renderings(()) == []


def test_a_misspelt_rendering_is_named():
    with pytest.raises(InputError, match="did you mean 'openmoji'"):
        read_renderings(("openmojis",))
