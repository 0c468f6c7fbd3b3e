"""Bad arguments of the commands of the course: labs, submissions, and folders that are none."""

import shutil
from pathlib import Path

from faults.bad_commands import called, repository
from faults.bad_data import mine
from faults.cases import Case, Refused

LABS = Path(__file__).parents[2] / "notebooks" / "labs"
LAB = LABS / "6_the_family"


def with_labs(*names):
    """Prepare a repository with some of the labs."""

    def make(folder):
        repository(folder)
        for name in names:
            shutil.copytree(LABS / name, folder / "notebooks" / "labs" / name)

    return make


def broken_lab(folder):
    """Write a lab whose question never ends, and a class."""
    text = (LAB / "lab.py").read_text(encoding="utf-8")
    (folder / "lab").mkdir()
    (folder / "lab" / "lab.py").write_text(text.replace("# # END QUESTION", "", 1), encoding="utf-8")
    handed_in(folder)


def handed_in(folder):
    """Write a class of one."""
    (folder / "class").mkdir()
    (folder / "class" / "Žofie.ipynb").write_text("{}")


def handed_in_beside_somebody(folder):
    """Write a class of one, and a folder of somebody else."""
    handed_in(folder)
    mine(folder / "results")


def handed_in_beside_a_file(folder):
    """Write a class of one, and a file where a folder is to be."""
    handed_in(folder)
    (folder / "a").touch()


def board(folder):
    """Write a class of one into a repository with the lab of the leaderboard."""
    with_labs("5_repair_it")(folder)
    handed_in(folder)


def beside_somebody(folder):
    """Write a folder of somebody else into a repository with a lab."""
    with_labs(LAB.name)(folder)
    mine(folder / "results")


GRADE = [
    ("no lab", ["grade", "class"], handed_in, ("Missing option", "--lab")),
    ("no class", ["grade", "--lab", LAB], None, ("Missing argument", "SUBMISSIONS")),
    ("negative seed", ["grade", "class", "--lab", LAB, "--seed", "-1"], handed_in, ("--seed",)),
    ("no cores", ["grade", "class", "--lab", LAB, "--cores", "0"], handed_in, ("--cores",)),
    (
        "a lab by name, outside the repository",
        ["grade", "class", "--lab", "the_family"],
        handed_in,
        ("error:", "no lab 'the_family'", "repository", "folder of a lab"),
    ),
    (
        "a misspelt lab",
        ["grade", "class", "--lab", "the_famly"],
        with_labs(LAB.name),
        ("error:", "did you mean 'the_family'"),
    ),
    (
        "a folder that is not a lab",
        ["grade", "class", "--lab", "class"],
        handed_in,
        ("error:", "lab.py"),
    ),
    ("a lab that never ends", ["grade", "class", "--lab", "lab"], broken_lab, ("error:", "inside")),
    ("a class that is not there", ["grade", "nowhere", "--lab", LAB], None, ("error:", "nowhere")),
    (
        "an empty class",
        ["grade", "class", "--lab", LAB],
        lambda folder: (folder / "class").mkdir(),
        ("error:", "no submission", "class"),
    ),
    (
        "a class that is not a zip",
        ["grade", "class.zip", "--lab", LAB],
        lambda folder: (folder / "class.zip").write_bytes(b"PK"),
        ("error:", "class.zip", "damaged"),
    ),
    (
        "grades among the submissions",
        ["grade", "class", "--lab", LAB, "--output", "class/grades"],
        handed_in,
        ("error:", "among the submissions", "--output"),
    ),
    (
        "grades into somebody's folder",
        ["grade", "class", "--lab", LAB, "--output", "results"],
        handed_in_beside_somebody,
        ("error:", "did not make", "results-grade"),
    ),
    (
        "grades below a file",
        ["grade", "class", "--lab", LAB, "--output", "a/b"],
        handed_in_beside_a_file,
        ("error:", "a/b"),
    ),
    (
        "Gradescope's results below a file",
        ["grade", "class", "--lab", LAB, "--output", "out", "--gradescope", "a/b"],
        handed_in_beside_a_file,
        ("error:", "folder 'a'", "may write to"),
    ),
    (
        "nobody's submission for Gradescope",
        ["grade", "nowhere", "--lab", LAB, "--gradescope", "results.json"],
        None,
        ("error:", "no 'nowhere'"),
    ),
]

LEADERBOARD = [
    ("outside the repository", ["leaderboard", "class"], handed_in, ("error:", "no Snakefile")),
    ("without its lab", ["leaderboard", "class"], with_labs(LAB.name), ("error:", "no lab 'repair_it'")),
    (
        "of a class that is not there",
        ["leaderboard", "nowhere"],
        board,
        ("error:", "nowhere"),
    ),
    (
        "among the submissions",
        ["leaderboard", "class", "--output", "class"],
        board,
        ("error:", "among the submissions"),
    ),
]

COURSE = [
    ("outside the repository", ["course"], None, ("error:", "no Snakefile")),
    ("without labs", ["course"], repository, ("error:", "has no lab", "lab.py")),
    (
        "a misspelt lab",
        ["course", "--lab", "the_famly"],
        with_labs(LAB.name),
        ("error:", "did you mean 'the_family'"),
    ),
    (
        "into somebody's folder",
        ["course", "--folder", "results"],
        beside_somebody,
        ("error:", "did not make", "results-course"),
    ),
]

CASES = [
    Case(kind, name, called(*arguments, make=make), words, Refused)
    for kind, table in (("grade", GRADE), ("leaderboard", LEADERBOARD), ("course", COURSE))
    for name, arguments, make, words in table
]
