"""Bad tables, records, descriptions, editions, lists of models, settings and parameters of notebooks."""

import gzip
import os
import shutil
from functools import partial

import pandas as pd
from faults.cases import Case
from small_results import collected, write_results

from crosseyed.editions import Description, Edition
from crosseyed.files import DATA
from crosseyed.report import kept_results, tables
from crosseyed.report.chapter import begin
from crosseyed.report.model_list import read_list
from crosseyed.settings import settings
from crosseyed.tables import write_table
from crosseyed.training.experiments import read_answers
from crosseyed.workflow.sweep import read_sweep

ANEW = "anew"


def kept(damage):
    """Prepare the kept result of one edition, damaged."""

    def prepare(folder):
        results = folder / "results"
        table = collected(write_results(folder / "made"))
        shutil.rmtree(folder / "made")
        write_table(table, results / "one.csv")
        damage(results / "one.csv")
        return partial(kept_results.read, results)

    return prepare


def edited(change):
    """Return a function that changes the text of a file."""
    return lambda path: path.write_text(change(path.read_text()))


def other_values(**columns):
    """Return a function that writes other values into a table."""

    def change(path):
        write_table(pd.read_csv(path, dtype=str, keep_default_na=False).assign(**columns), path)

    return change


def replaced_by(make):
    """Return a function that puts something else in the place of a file."""

    def change(path):
        path.unlink()
        make(path)

    return change


KEPT = [
    Case("kept results", name, kept(damage), words)
    for name, damage, words in [
        (
            "cut at half",
            lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
            (ANEW,),
        ),
        ("cut after a line", edited(lambda text: "".join(text.splitlines(True)[:2])), ("cut off", ANEW)),
        ("only a header", edited(lambda text: text.splitlines(True)[0]), ("one.csv", ANEW)),
        ("empty", edited(lambda text: ""), ("is empty", ANEW)),
        (
            "without a column",
            edited(lambda text: text.replace("bias_index_low", "bias_index_lo")),
            ("bias_index_low",),
        ),
        ("a column twice", edited(lambda text: text.replace("tower,", "edition,", 1)), ("one.csv", ANEW)),
        ("words as numbers", other_values(gap="much"), ("'gap'", "much", ANEW)),
        ("fractions as counts", other_values(n_objects="4.5"), ("'n_objects'", "4.5", ANEW)),
        ("intervals upside down", other_values(gap_low="99", gap_high="1"), ("gap", "upside down", ANEW)),
        ("infinite intervals", other_values(gap_high="inf"), ("gap", "infinite", ANEW)),
        (
            "a line too long",
            edited(lambda text: text.replace("\n", ",x\n").replace(",x", "", 1)),
            ("line 2", ANEW),
        ),
        ("another number of rows", other_values(rows="9"), ("cut off", ANEW)),
        (
            "Latin-1",
            lambda path: path.write_bytes(path.read_bytes().replace(b"ViT", b"V\xefT")),
            ("one.csv", ANEW),
        ),
        (
            "twice",
            lambda path: shutil.copy(path, path.with_name("two.csv")),
            ("more than one table", "ViT-B-32"),
        ),
    ]
]


def written(damage):
    """Prepare the tables of a first chapter, damaged."""

    def prepare(folder):
        results = write_results(folder / "results")
        damage(results / "01_center_bias")
        return partial(tables.read, results, "01_center_bias", "bias")

    return prepare


def asked_for(chapter, name):
    """Prepare whole tables of a first chapter, of which another is asked for."""
    return lambda folder: partial(tables.read, write_results(folder / "results"), chapter, name)


TABLES = [
    Case("tables of chapters", name, prepare, words)
    for name, prepare, words in [
        ("of no chapter", asked_for("01_centre_bias", "bias"), ("did you mean '01_center_bias'",)),
        ("not declared", asked_for("01_center_bias", "bais"), ("did you mean 'bias'",)),
        ("not made", asked_for("01_center_bias", "grid"), ("make book", "'grid'")),
        ("missing", written(lambda folder: (folder / "bias.csv").unlink()), ("make book", "'bias'")),
        (
            "cut",
            written(lambda folder: edited(lambda text: text[:-30])(folder / "bias.csv")),
            (ANEW, "make book"),
        ),
        (
            "a row less",
            written(
                lambda folder: edited(lambda text: "".join(text.splitlines(True)[:-1]))(folder / "bias.csv")
            ),
            ("cut off", ANEW),
        ),
        ("a pipe", written(lambda folder: replaced_by(os.mkfifo)(folder / "bias.csv")), ("is a pipe",)),
        (
            "a record cut off",
            written(lambda folder: edited(lambda text: text[:40])(folder / "tables.json")),
            ("tables.json", ANEW),
        ),
        (
            "a record of lists",
            written(lambda folder: edited(lambda text: "[]")(folder / "tables.json")),
            ("tables.json", ANEW),
        ),
        (
            "a record that is a pipe",
            written(lambda folder: replaced_by(os.mkfifo)(folder / "tables.json")),
            ("tables.json", "pipe"),
        ),
        ("no record", written(lambda folder: (folder / "tables.json").unlink()), ("make book",)),
    ]
]


def answered(damage):
    """Prepare the answers of an experiment, damaged."""

    def prepare(folder):
        path = folder / "origins.csv.gz"
        damage(path)
        return partial(read_answers, "origins", path)

    return prepare


def whole():
    """Return the text of the answers that the repository has."""
    return gzip.decompress((DATA / "results" / "origins.csv.gz").read_bytes())


ANSWERS = [
    Case("answers of experiments", name, answered(damage), ("crosseyed experiment origins", *words))
    for name, damage, words in [
        ("cut archive", lambda path: path.write_bytes(gzip.compress(whole())[:5000]), ()),
        ("cut text", lambda path: path.write_bytes(gzip.compress(whole()[: len(whole()) // 2])), ()),
        (
            "without some rows",
            lambda path: path.write_bytes(gzip.compress(b"\n".join(whole().split(b"\n")[:14]) + b"\n")),
            (),
        ),
        ("no archive", lambda path: path.write_bytes(whole()[:99]), ()),
        ("empty", lambda path: path.touch(), ()),
        ("of another experiment", lambda path: shutil.copy(DATA / "results" / "pooling.csv.gz", path), ()),
    ]
] + [
    Case(
        "answers of experiments",
        "of no experiment",
        lambda folder: partial(read_answers, "orgins"),
        ("did you mean 'origins'",),
    ),
]


def described(content):
    """Prepare the description of an edition."""

    def prepare(folder):
        (folder / "edition.json").write_text(content)
        return partial(Description.read, folder / "edition.json")

    return prepare


DESCRIPTIONS = [
    Case("descriptions", name, prepare, words)
    for name, prepare, words in [
        (
            "missing",
            lambda folder: partial(Description.read, folder / "edition.json"),
            ("There is no", "make book"),
        ),
        ("empty", described(""), ("edition.json", "make book")),
        ("cut", described('{"edition": {"model": "a"'), ("edition.json", "make book")),
        ("a list", described("[]"), ("edition.json", "make book")),
        ("null", described("null"), ("edition.json", "make book")),
        ("of an older version", described('{"edition": {"model": "a"}, "model": "a"}'), ("delete it",)),
        ("an edition that is text", described('{"edition": "a"}'), ("edition.json",)),
    ]
]


def edition(**given):
    """Prepare a configuration of an edition."""
    return lambda folder: lambda: Edition.from_mapping(given).name


EDITIONS = [
    Case("editions", name, prepare, words)
    for name, prepare, words in [
        ("misspelt key", edition(modle="a"), ("'modle'", "did you mean 'model'")),
        ("a model that is a number", edition(model=7), ("model", "7")),
        ("a model that is a list", edition(model=["a"]), ("model", "['a']")),
        ("a model of dots", edition(model="..."), ("names no model",)),
        ("a model of slashes", edition(model="/"), ("names no model",)),
        ("an empty repository", edition(model="hf-hub:"), ("names no model",)),
        ("a folder that is not there", edition(model="local-dir:nowhere"), ("nowhere", "folder")),
        (
            "a folder that is a pipe",
            lambda folder: (os.mkfifo(folder / "a"), edition(model=f"local-dir:{folder}/a")(folder))[1],
            ("pipe",),
        ),
        ("a checkpoint that is not there", edition(model="a", checkpoint="no.pt"), ("no.pt", "checkpoint")),
        (
            "a checkpoint that is a pipe",
            lambda folder: (
                os.mkfifo(folder / "a.pt"),
                edition(model="a", checkpoint=str(folder / "a.pt"))(folder),
            )[1],
            ("pipe",),
        ),
        ("a seed of words", edition(seed="three"), ("seed", "three")),
        ("a negative seed", edition(seed=-1), ("seed", "-1")),
        ("a seed too large", edition(seed=2**32), ("seed", str(2**32))),
        ("half a seed", edition(seed=1.5), ("seed", "1.5")),
        ("a seed that is a truth", edition(seed=True), ("seed", "True")),
    ]
]


def listed(content):
    """Prepare a list of models for a sweep."""

    def prepare(folder):
        raw = content if isinstance(content, bytes) else content.encode()
        (folder / "models.yml").write_bytes(raw)
        return partial(read_sweep, folder / "models.yml", ["01_center_bias", "07_origins"])

    return prepare


def instead(make):
    """Prepare something else in the place of a list of models."""

    def prepare(folder):
        make(folder / "models.yml")
        return partial(read_list, folder / "models.yml")

    return prepare


MULTIPLYING = "a0: &a0 [x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)
ONE = "models: [{model: a}]\n"

LISTS = [
    Case("lists of models", name, prepare, ("models.yml", *words))
    for name, prepare, words in [
        ("missing", instead(lambda path: None), ("There is no",)),
        ("a folder", instead(lambda path: path.mkdir()), ("is a folder",)),
        ("a pipe", instead(os.mkfifo), ("is a pipe",)),
        ("a device", instead(lambda path: path.symlink_to("/dev/zero")), ("is a device",)),
        ("empty", listed(""), ("names no models",)),
        ("only comments", listed("# models\n"), ("names no models",)),
        ("a text", listed("ViT-B-32"), ("names no models",)),
        ("a list", listed("- {model: a}"), ("names no models",)),
        ("no models", listed("models: []"), ("names no models",)),
        ("tabs", listed("models:\n\t- {model: a}\n"), ("tabs",)),
        ("an open bracket", listed("models: [{model: a"), ("line",)),
        ("a key twice", listed(f"{ONE}{ONE}"), ("models", "twice")),
        ("aliases that multiply", listed(f"{MULTIPLYING}{ONE}"), ("multiply",)),
        ("an alias of itself", listed("models: &a [*a]"), ("multiply",)),
        ("endless nesting", listed("models: " + "[" * 5000), ("models.yml",)),
        ("an object of Python", listed("models: !!python/object/apply:os.mkdir [x]"), ("models.yml",)),
        ("two documents", listed(f"{ONE}---\n{ONE}"), ("models.yml",)),
        ("NUL", listed("models: [{model: a\0}]"), ("NUL",)),
        ("Latin-1", listed("models: [{model: é}]".encode("latin-1")), ("not text in UTF-8",)),
        ("larger than a list can be", listed("# " + "x" * 2**21), ("MB",)),
        ("an unknown key", listed(f"{ONE}sedes: 1"), ("'sedes'", "did you mean 'seeds'")),
        (
            "an unknown key of a model",
            listed("models: [{model: a, pretrain: b}]"),
            ("did you mean 'pretrained'",),
        ),
        ("a model without a name", listed("models: [{pretrained: b}]"), ("model",)),
        ("a model that is text", listed("models: [a]"), ("mapping", "'a'")),
        ("names in brackets", listed("models: [{model: [a, b]}]"), ("model", "['a', 'b']", "valid string")),
        ("a seed of words", listed(f"{ONE}seeds: many"), ("seed", "many")),
        ("a negative seed", listed(f"{ONE}seeds: [0, -1]"), ("seed", "-1")),
        ("half a seed", listed(f"{ONE}seeds: 1.5"), ("seed", "1.5")),
        ("a seed too large", listed(f"{ONE}seeds: 4294967296"), ("seed", "4294967296")),
        (
            "an unknown notebook",
            listed(f"{ONE}notebooks: 01_centre_bias"),
            ("did you mean '01_center_bias'",),
        ),
        ("a model twice", listed("models: [{model: a}, {model: a}]"), ("more than once",)),
    ]
]

SETTINGS = [
    Case("settings", name, lambda folder, given=given: partial(settings.override, given), words)
    for name, given, words in [
        ("misspelt", {"confidense": 0.9}, ("confidense", "did you mean 'confidence'")),
        ("confidence of percent", {"confidence": 95}, ("confidence", "95")),
        ("confidence of words", {"confidence": "high"}, ("confidence", "high")),
        ("confidence of NaN", {"confidence": float("nan")}, ("confidence", "nan")),
        ("no resamples", {"resamples": 0}, ("resamples", "0")),
        ("half a resample", {"resamples": 10.5}, ("resamples", "10.5")),
        ("resamples without end", {"resamples": 10**12}, ("resamples",)),
        ("no center", {"center_limit": 0}, ("center_limit", "0")),
        ("an even grid", {"grid_size": 4}, ("grid_size", "4", "odd")),
        ("a grid of text", {"grid_size": "5"}, ("grid_size", "5")),
        ("an unknown language", {"language": "eo"}, ("language", "eo")),
    ]
]

PARAMETERS = {
    "model": "pocketclip-centered",
    "pretrained": None,
    "checkpoint": None,
    "references": ["pocketclip-uniform"],
    "n_objects": 8,
    "n_control_objects": 4,
    "styles": ["fluent"],
    "object_size": 0.3,
    "cutout_folder": None,
    "whatsup_folder": None,
    "precision": "fp32",
    "seed": 0,
    "device": "cpu",
    "settings": {},
}


def given(**change):
    """Prepare the first chapter with other parameters."""

    def prepare(folder):
        values = {**PARAMETERS, "output": str(folder / "results"), **change}
        return partial(begin, "01_center_bias", values)

    return prepare


NOTEBOOKS = [
    Case("parameters of notebooks", name, given(**change), words)
    for name, change, words in [
        ("misspelt", {"n_objekts": 3}, ("n_objekts", "did you mean 'n_objects'")),
        ("a count of words", {"n_objects": "twelve"}, ("n_objects", "twelve")),
        ("half a count", {"n_objects": 12.5}, ("n_objects", "12.5")),
        ("a negative count", {"n_control_objects": -1}, ("n_control_objects", "-1")),
        ("a count of nothing", {"n_objects": None}, ("n_objects", "None")),
        ("a style for a list", {"styles": "fluent"}, ("styles", "fluent")),
        ("no styles", {"styles": []}, ("styles",)),
        ("a misspelt style", {"styles": ["fluint"]}, ("did you mean 'fluent'",)),
        ("an object larger than the image", {"object_size": 30}, ("object_size", "30")),
        ("an object of no size", {"object_size": 0}, ("object_size", "0")),
        ("a seed too large", {"seed": 2**32}, ("seed", str(2**32))),
        ("a seed of words", {"seed": "three"}, ("seed", "three")),
        ("an empty model", {"model": ""}, ("model",)),
        ("a model that is a number", {"model": 7}, ("model", "7")),
        ("a reference for a list", {"references": "pocketclip-uniform"}, ("references",)),
        ("an unknown precision", {"precision": "bf61"}, ("did you mean 'bf16'",)),
        ("an unknown device", {"device": "gpu"}, ("'gpu' is not available",)),
        ("a misspelt setting", {"settings": {"confidense": 0.9}}, ("did you mean 'confidence'",)),
        ("settings as text", {"settings": "{confidence: 0.9}"}, ("settings",)),
        ("a folder that is not there", {"cutout_folder": "nowhere"}, ("nowhere",)),
        ("an output that cannot be", {"output": "/dev/null/results"}, ("Cannot write",)),
        ("an output with NUL", {"output": "a\0b"}, ("Cannot write",)),
    ]
]

CASES = KEPT + TABLES + ANSWERS + DESCRIPTIONS + EDITIONS + LISTS + SETTINGS + NOTEBOOKS
