"""Bad arguments of the command line."""

from functools import partial

import filelock
from faults.bad_data import annotated, document, mine
from faults.cases import Case, Refused, command


def called(*arguments, make=None):
    """Prepare a call of the command line."""

    def prepare(folder):
        if make:
            make(folder)
        return partial(command, *arguments)

    return prepare


def repository(folder):
    """Make what the command line takes for the repository, with a sweep without models."""
    (folder / "Snakefile").touch()
    (folder / "_config.yml").touch()
    (folder / "notebooks").mkdir()
    (folder / "models.yml").write_text("models: []\n")


def swept(folder):
    """Make a repository with a sweep of one model."""
    repository(folder)
    (folder / "models.yml").write_text("models: [{model: pocketclip-centered}]\n")


_HELD = []  # locks, which end with this process


def locked(folder):
    """Make a repository in which another run is at work."""
    repository(folder)
    lock = filelock.FileLock(folder / "_build" / "locks" / "pocketclip-centered")
    (folder / "_build" / "locks").mkdir(parents=True)
    lock.acquire()
    _HELD.append(lock)


def occupied(folder):
    """Write whole annotations, and an output folder of somebody else."""
    document()(folder)
    mine(folder / "results")


COMMANDS = [
    Case("commands", name, called(*arguments, make=make), words, Refused)
    for name, arguments, make, words in [
        ("unknown", ["bok"], None, ("No such command", "bok")),
        ("unknown option", ["book", "--modle", "a"], None, ("No such option", "--modle")),
        ("cores of words", ["book", "--cores", "all"], None, ("--cores", "integer")),
        ("no cores", ["book", "--cores", "0"], None, ("--cores", "or equal to 1")),
        ("negative GPUs", ["sweep", "models.yml", "--gpus", "-1"], None, ("--gpus", "or equal to 0")),
        ("not in the repository", ["book"], None, ("error:", "no Snakefile")),
        (
            "a model that make expanded to nothing",
            ["book", "--model", ""],
            repository,
            ("error:", "names no model", "MODEL="),
        ),
        ("a model of blanks", ["book", "--model", "  "], repository, ("error:", "names no model")),
        (
            "a folder that is not there",
            ["book", "--model", "local-dir:nowhere"],
            repository,
            ("error:", "nowhere"),
        ),
        (
            "a checkpoint that is not there",
            ["book", "--checkpoint", "no.pt"],
            repository,
            ("error:", "no.pt"),
        ),
        (
            "a sweep that is not there",
            ["sweep", "model.yml"],
            repository,
            ("error:", "did you mean 'models.yml'"),
        ),
        ("a sweep without models", ["sweep", "models.yml"], repository, ("error:", "names no models")),
        (
            "a profile that is not there",
            ["sweep", "models.yml", "--profile", "nowhere"],
            swept,
            ("error:", "nowhere", "profile"),
        ),
        (
            "an edition that another run works on",
            ["book"],
            locked,
            ("error:", "Another run", "pocketclip-centered"),
        ),
        ("a plan outside the repository", ["plan", "pocketclip-centered"], None, ("error:", "no Snakefile")),
        ("a plan of no model", ["plan", ""], repository, ("error:", "names no model")),
        (
            "a plan of a misspelt model",
            ["plan", "pocketclip-centred"],
            repository,
            ("error:", "did you mean 'pocketclip-centered'"),
        ),
        (
            "a plan of a misspelt tag",
            ["plan", "ViT-B-32", "--pretrained", "openia"],
            repository,
            ("error:", "openia", "openai"),
        ),
        (
            "a plan of a size that does not exist",
            ["plan", "pocketclip-centered", "--size", "small"],
            repository,
            ("error:", "small", "quick"),
        ),
        (
            "a book of a size that does not exist",
            ["book", "--size", "stnadard"],
            repository,
            ("error:", "size", "did you mean 'standard'"),
        ),
        (
            "a book of a precision that does not exist",
            ["book", "--precision", "bf61"],
            repository,
            ("error:", "precision", "did you mean 'bf16'"),
        ),
        (
            "a sweep of a size that does not exist",
            ["sweep", "models.yml", "--size", "large"],
            swept,
            ("error:", "size", "large", "quick"),
        ),
        (
            "a plan of a model whose weights are fetched by hand",
            ["plan", "NegCLIP"],
            repository,
            ("error:", "negclip.pth"),
        ),
        ("own data without images", ["own-data", "a.json"], None, ("Missing argument", "IMAGES")),
        (
            "own data that are not there",
            ["own-data", "a.json", "."],
            None,
            ("error:", "There is no", "a.json"),
        ),
        (
            "own data of fractions",
            ["own-data", "annotations.json", "images"],
            annotated(bbox=[0.1, 0.1, 0.2, 0.2]),
            ("error:", "fractions"),
        ),
        (
            "own data to somebody's folder",
            ["own-data", "annotations.json", "images", "--output", "results"],
            occupied,
            ("error:", "did not make", "results-own-data"),
        ),
        (
            "own data with a misspelt model",
            ["own-data", "annotations.json", "images", "--model", "pocketclip-centred", "--output", "new"],
            document(),
            ("error:", "did you mean 'pocketclip-centered'"),
        ),
        ("an unknown data set", ["download", "whatsap"], None, ("whatsap", "whatsup")),
        (
            "a download below a file",
            ["download", "whatsup", "--folder", "a/b"],
            lambda folder: (folder / "a").touch(),
            ("error:", "a/b"),
        ),
        ("a misspelt recipe", ["train", "unifrom"], None, ("error:", "did you mean 'uniform'")),
        (
            "a recipe and a name",
            ["train", "uniform", "--recipe", "my.yml"],
            None,
            ("error:", "--recipe; one of them"),
        ),
        (
            "a recipe with a misspelt habit",
            ["train", "--recipe", "my.yml"],
            lambda folder: (folder / "my.yml").write_text("positions: uniform\nphotographer: {shadow: 1}"),
            ("error:", "my.yml", "did you mean 'shadows'"),
        ),
        ("a recipe that is not there", ["train", "--recipe", "my.yml"], None, ("error:", "my.yml")),
        (
            "training on an unknown device",
            ["train", "uniform", "--device", "gpu"],
            None,
            ("error:", "'gpu' is not available"),
        ),
        (
            "training into somebody's folder",
            ["train", "uniform", "--folder", "mine"],
            lambda folder: mine(folder / "mine"),
            ("error:", "did not make"),
        ),
        ("a card of a misspelt recipe", ["card", "unifrom"], None, ("error:", "did you mean 'uniform'")),
        (
            "a card of no model",
            ["card", "uniform", "--folder", "nowhere"],
            None,
            ("error:", "There is no", "nowhere"),
        ),
        (
            "a benchmark of a misspelt mitigation",
            ["benchmark", "pocketclip-centered", "--mitigation", "paddin"],
            None,
            ("error:", "did you mean 'padding'", "file.py:Class"),
        ),
        (
            "a benchmark of a module that is not there",
            ["benchmark", "pocketclip-centered", "--mitigation", "nowhere:Mine"],
            None,
            ("error:", "no module 'nowhere'"),
        ),
        (
            "a benchmark of a model that is not there",
            ["benchmark", "pocketclip-centred", "--mitigation", "padding"],
            None,
            ("error:", "did you mean 'pocketclip-centered'"),
        ),
        (
            "a benchmark by a protocol that is not there",
            ["benchmark", "pocketclip-centered", "--mitigation", "padding", "--protocol", "no.yml"],
            None,
            ("error:", "no.yml"),
        ),
        (
            "a benchmark into a file of somebody else",
            ["benchmark", "pocketclip-centered", "--mitigation", "padding", "--output", "mine.csv"],
            lambda folder: (folder / "mine.csv").write_text("a,b\n1,2\n"),
            ("error:", "mine.csv", "did not make"),
        ),
        (
            "a benchmark of one mitigation twice",
            ["benchmark", "pocketclip-centered", *["--mitigation", "padding"] * 2],
            None,
            ("error:", "each once"),
        ),
        ("a benchmark of nothing", ["benchmark", "pocketclip-centered"], None, ("--mitigation",)),
        ("a misspelt experiment", ["experiment", "poling"], None, ("error:", "did you mean 'pooling'")),
    ]
]

CASES = COMMANDS
