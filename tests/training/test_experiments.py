import functools
import os
import shutil
from dataclasses import replace
from math import inf

import numpy as np
import pandas as pd
import pytest

from crosseyed.errors import InputError
from crosseyed.provenance import COLUMNS
from crosseyed.settings import PROTOCOL_VERSION, settings
from crosseyed.tables import write_table
from crosseyed.training import experiments, train
from crosseyed.training.experiments import Trial
from crosseyed.training.recipes import POOLINGS

QUICK = replace(experiments.POOLING_RECIPE, steps=2, warmup=1, n_objects=4)


def trial(pooling="class token", positions="uniform"):
    recipe = replace(QUICK, pooling=pooling, positions=positions)
    return Trial(f"{pooling}, {positions}", recipe, {"pooling": pooling})


def test_every_trial_is_asked_about_every_object_of_its_world_everywhere(tmp_path):
    trials = [trial(pooling) for pooling in POOLINGS]
    table = experiments.run(trials, tmp_path, progress=False)
    images = (
        4 * 2 * 25 + 4 * 2 * 4
    )  # objects and renderings, alone in the cells, and in the relations to another
    assert table.groupby("pooling").size().to_dict() == dict.fromkeys(POOLINGS, images)
    assert table["correct"].dtype == "boolean"
    alone, together = (table[table["protocol"] == name] for name in ("grid", "pair"))
    assert (alone["correct"] == (alone["choice"] == alone["object"])).all()
    assert (together["correct"] == (together["choice"] == "both")).all()
    kept = experiments.read_answers("pooling", protocol="grid")
    places = [each["eccentricity"].round(9).unique().tolist() for each in (alone, kept)]
    assert places[0] == places[1]  # the kept models were asked without jitter
    assert alone["center"].sum() == together["center"].sum() == 4 * 4 * 2
    assert not table[list(COLUMNS)].isna().any(axis=None)
    assert table.groupby("pooling")[list(COLUMNS)].nunique().eq(1).all(axis=None)
    # one question to all models: same images, same objects
    assert table.groupby("image")["pooling"].nunique().eq(4).all()


@pytest.fixture
def small_grid():
    """Show objects in nine cells instead of 25."""
    with settings.overridden(grid_size=3):
        yield


@pytest.mark.usefixtures("small_grid")
def test_what_is_done_is_not_done_again_and_what_was_killed_goes_on(tmp_path, monkeypatch):
    first, second = trial(), trial("max")
    done = experiments.run([first], tmp_path, progress=False)
    real, trained = train.train, []

    def killed(recipe, *arguments, **options):
        trained.append(recipe)
        if len(trained) == 1:
            raise KeyboardInterrupt
        return real(recipe, *arguments, **options)

    monkeypatch.setattr(train, "train", killed)
    with pytest.raises(KeyboardInterrupt):
        experiments.run([first, second], tmp_path, progress=False)
    table = experiments.run([first, second], tmp_path, progress=False)
    assert trained == [second.recipe] * 2
    pd.testing.assert_frame_equal(table[table["model"] == first.name].reset_index(drop=True), done)


def test_a_folder_of_another_recipe_is_refused(done, tmp_path):
    shutil.copytree(done, tmp_path / "copy")
    other = replace(trial(), recipe=replace(QUICK, steps=3))
    with pytest.raises(InputError, match="another recipe; give another folder"):
        experiments.run([other], tmp_path / "copy", progress=False)


def test_trials_of_an_experiment_differ_in_what_it_is_about_alone():
    pooling = [each.recipe for each in experiments.find_trials("pooling")]
    assert {replace(each, pooling="max", positions="uniform", seed=0) for each in pooling} == {
        replace(experiments.POOLING_RECIPE, pooling="max", positions="uniform")
    }
    assert len(set(pooling)) == len(pooling) == 10
    origins = experiments.find_trials("origins")
    assert {replace(each.recipe, positions="uniform", seed=0) for each in origins} == {
        replace(experiments.ORIGINS_RECIPE, positions="uniform")
    }
    spread = [each.recipe.positions for each in origins if each.about["varied"] == "spread"]
    naming = [each.recipe.positions for each in origins if each.about["varied"] == "naming"]
    assert {(dose.central_naming_probability, dose.n_objects) for dose in spread} == {(0, 1)}
    assert {(dose.spread, dose.n_objects) for dose in naming} == {(inf, 3)}
    assert all(sum(dose == end for dose in spread) == 2 for end in (spread[0], spread[4]))
    clutter = [each.recipe.positions for each in origins if each.about["varied"] == "clutter"]
    assert sorted(clutter) == ["centered"] * 2 + ["centered, all named"] * 2
    assert all(sum(dose == end for dose in naming) == 2 for end in (naming[0], naming[4]))


def test_unknown_experiment_is_told_the_nearest():
    with pytest.raises(InputError, match="did you mean 'origins'"):
        experiments.find_trials("origin")


@pytest.mark.parametrize("experiment", experiments.EXPERIMENTS)
def test_the_tables_of_the_repository_are_those_of_the_trials(experiment):
    table = pd.read_csv(
        experiments.results_of(experiment), dtype={"correct": "boolean"}, keep_default_na=False
    )
    trials = {each.name: each for each in experiments.find_trials(experiment)}
    assert set(table["model"]) == set(trials)
    assert (table[list(COLUMNS)].astype(str) != "").all(axis=None)
    assert table["correct"].notna().all()
    assert table.groupby("model")["image"].nunique().nunique() == 1
    for name, rows in table.groupby("model"):
        recipe, about = trials[name].recipe, trials[name].about
        expected = about | {
            "steps": recipe.steps,
            "n_objects": recipe.n_objects,
            "architecture": recipe.architecture,
        }
        assert {key: rows[key].iloc[0] for key in expected} == expected
        assert rows["object"].nunique() == recipe.n_objects


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """A folder with one finished trial, measured on a small grid."""
    folder = tmp_path_factory.mktemp("done")
    with settings.overridden(grid_size=3):
        experiments.run([trial()], folder, progress=False)
    return folder


@pytest.mark.usefixtures("small_grid")
@pytest.mark.parametrize(
    "damage",
    [
        "cut",
        "one column",
        "another model",
        "other weights",
        "another version",
        "no version",
        "pipe",
        "missing",
    ],
)
def test_answers_that_are_not_whole_are_measured_anew_without_training(done, tmp_path, monkeypatch, damage):
    whole = experiments.run([trial()], done, progress=False)
    shutil.copytree(done, tmp_path / "copy")
    (answers,) = (tmp_path / "copy").rglob("answers.csv")
    lines = answers.read_text().splitlines(keepends=True)
    answers.unlink()
    match damage:
        case "cut":
            answers.write_text("".join(lines[:14]))
        case "one column":
            answers.write_text("".join(line.split(",")[0] + "\n" for line in lines))
        case "another model":
            answers.write_text("".join(lines).replace("class token, uniform", "max, uniform"))
        case "other weights":
            answers.write_text("".join(lines).replace(whole["weights"].iloc[0], "0123abcd"))
        case "another version":
            write_table(whole.assign(protocol_version=PROTOCOL_VERSION - 1), answers)
        case "no version":
            write_table(whole.drop(columns="protocol_version"), answers)
        case "pipe":
            os.mkfifo(answers)
    monkeypatch.setattr(train, "world_of", lambda _: pytest.fail("trained again"))
    table = experiments.run([trial()], tmp_path / "copy", progress=False)
    pd.testing.assert_frame_equal(table.drop(columns="date"), whole.drop(columns="date"))


@pytest.mark.usefixtures("small_grid")
def test_weights_without_their_recipe_are_not_the_trials(done, tmp_path):
    shutil.copytree(done, tmp_path / "copy")
    next((tmp_path / "copy").rglob("recipe.json")).unlink()
    with pytest.raises(InputError, match=r"without its recipe"):
        experiments.run([trial()], tmp_path / "copy", progress=False)


@functools.cache
def kept_answers():
    """The repository's table, which takes long to read."""
    return experiments.read_answers("origins")


@functools.cache
def some_answers():
    """Two answers of each model of the repository's table about each object."""
    return kept_answers().groupby(["model", "protocol", "object"]).head(1)


def test_answers_of_an_experiment_are_read_by_protocol(tmp_path):
    file = tmp_path / "mine.csv"
    assert experiments.read_answers("origins", file) is None
    write_table(some_answers(), file)
    everything = experiments.read_answers("origins", file)
    assert everything["correct"].dtype == "boolean"
    pd.testing.assert_frame_equal(everything, some_answers().reset_index(drop=True))
    assert len(experiments.read_answers("origins", file, protocol="pair")) == len(everything) / 2
    assert len(kept_answers()) == len(pd.read_csv(experiments.results_of("origins"), usecols=["protocol"]))


@pytest.mark.parametrize(
    "damage", ["cut", "cut file", "a model less", "twice", "odd value", "other experiment"]
)
def test_a_table_of_an_experiment_that_is_not_whole_is_made_anew(tmp_path, damage):
    file = tmp_path / "mine.csv.gz"
    table = some_answers()
    if damage == "other experiment":
        file = experiments.results_of("pooling")
    else:
        changes = {"cut": table[:-1], "twice": table.iloc[[0, *range(len(table))]]}
        changes["a model less"] = table[table["model"] != table["model"].iloc[0]]
        changes["odd value"] = table.assign(steps="many")
        write_table(changes.get(damage, table), file)
    if damage == "cut file":
        file.write_bytes(file.read_bytes()[:-20])
    with pytest.raises(InputError, match="crosseyed experiment origins"):
        experiments.read_answers("origins", file)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda table: {"spread": table["spread"].replace(0.03, 0.2)},
            "another spread for 'spread 0.03, seed 0'",
        ),
        (lambda table: {"spread": np.nan}, "another spread"),
        (lambda table: {"varied": "naming"}, "another varied for 'spread 0.03, seed 0'"),
        (lambda table: {"seed": 1}, "another seed"),
        (lambda table: {"n_objects": 0}, "another n_objects"),
        (lambda table: {"model": table["model"].mask(table["model"] == "naming 1, seed 0")}, "all models"),
        (lambda table: {"image": table["image"].where(table.index != 7, "other")}, "to all images"),
        (lambda table: {"object": "$x$"}, "not about 32 objects"),
        (lambda table: {"center": pd.NA}, "at the center or off-center"),
        (lambda table: {"center": True}, "at the center or off-center"),
        (lambda table: {"eccentricity": np.inf}, "eccentricities"),
        (lambda table: {"eccentricity": np.nan}, "eccentricities"),
        (lambda table: {"protocol": table["protocol"].replace("pair", "pairs")}, "other protocols"),
        (lambda table: {"protocol": "grid"}, "other protocols"),
        (lambda table: {"choice": table["choice"].replace("object2", "second")}, "not to choose from"),
        (lambda table: {"choice": pd.NA}, "not to choose from"),
        (lambda table: {"relation": table["relation"].replace("on", "onto")}, "at the center or off-center"),
        (lambda table: {"correct": True}, "called right or wrong by mistake"),
        (lambda table: {"correct": pd.NA}, "called right or wrong by mistake"),
        (lambda table: {"protocol_version": 1 + table.index % 2}, "several versions of the protocol"),
    ],
)
def test_answers_that_cannot_be_are_refused_by_name(tmp_path, damage, message):
    table = some_answers().reset_index(drop=True)
    write_table(table.assign(**damage(table)), tmp_path / "mine.csv")
    with pytest.raises(InputError, match=rf"mine\.csv' .*{message}.*'crosseyed experiment origins'"):
        experiments.read_answers("origins", tmp_path / "mine.csv")


def test_answers_to_images_that_could_not_be_read_are_none(tmp_path):
    table = some_answers().reset_index(drop=True)
    unread = table["object"] == "dog"
    write_table(
        table.assign(
            choice=table["choice"].mask(unread, "unreadable"), correct=table["correct"].mask(unread)
        ),
        tmp_path / "mine.csv",
    )
    assert experiments.read_answers("origins", tmp_path / "mine.csv")["correct"].isna().sum() == unread.sum()


@pytest.mark.parametrize("version", [PROTOCOL_VERSION - 1, PROTOCOL_VERSION, PROTOCOL_VERSION + 1])
def test_answers_of_another_version_of_the_protocol_are_said_to_be(tmp_path, version):
    write_table(some_answers().assign(protocol_version=version), tmp_path / "mine.csv")
    note = experiments.version_note(experiments.read_answers("origins", tmp_path / "mine.csv"))
    if version == PROTOCOL_VERSION:
        assert note == ""
    else:
        assert (
            f"under version {version} of the protocol, this edition under version {PROTOCOL_VERSION}" in note
        )


def test_answers_that_state_no_version_are_of_the_first(tmp_path):
    write_table(some_answers().drop(columns="protocol_version"), tmp_path / "mine.csv")
    assert set(experiments.read_answers("origins", tmp_path / "mine.csv")["protocol_version"]) == {1}
