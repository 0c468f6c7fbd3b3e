"""The course is made whole or not at all; students get no solution; what they get works where it is unpacked."""

import json
import os
import re
import shutil
import subprocess
import sysconfig
import venv
import zipfile
from pathlib import Path

import nbformat
import pytest

from crosseyed.course import archives, bundle, instructor, projects, source, student
from crosseyed.errors import CrosseyedError, InputError

HERE = Path(__file__).parent
REPOSITORY = HERE.parents[1]
DATA = HERE / "example_data"
EXAMPLE = "example_lab"


def quiet(_):
    pass


def built(folder, labs, kept):
    return bundle.build(labs, folder, repository=REPOSITORY, kept=kept, say=quiet)


@pytest.fixture(scope="module")
def labs():
    return source.read_all(HERE, [EXAMPLE], DATA)


@pytest.fixture(scope="module")
def course(tmp_path_factory, labs):
    place = tmp_path_factory.mktemp("made")
    before = os.getcwd()
    os.chdir(place)  # locks lie below the working folder
    try:
        return built(place / "course", labs, place / "kept")
    finally:
        os.chdir(before)


def test_a_misspelt_lab_is_answered_with_the_nearest():
    with pytest.raises(InputError, match=r"'countin'.*'counting'"):
        source.read_all(HERE, ["countin"], DATA)


def test_a_folder_without_labs_is_named(tmp_path):
    with pytest.raises(InputError, match=r"lab\.py"):
        source.read_all(tmp_path)


def test_a_folder_of_somebody_elses_is_left_alone(tmp_path, monkeypatch, labs):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "all.txt").write_text("all of it")
    with pytest.raises(InputError, match="did not make"):
        built(tmp_path / "thesis", labs, tmp_path / "kept")
    assert [path.name for path in (tmp_path / "thesis").iterdir()] == ["all.txt"]


def everything_in(folder):
    """All names and contents below a folder, also inside zips and the wheel in them, as bytes."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()
            if zipfile.is_zipfile(path):
                yield from _inside(path)


def _inside(archive):
    with zipfile.ZipFile(archive) as opened:
        for name in opened.namelist():
            yield name, opened.read(name)
            if name.endswith(".whl"):
                with opened.open(name) as inner:
                    yield from _inside(inner)


def lines_of(cell):
    """Lines of the code of an answer, and whether each belongs to the solution."""
    solution = False
    for line in cell.source.splitlines():
        solution = (solution or "BEGIN SOLUTION" in line) and "END SOLUTION" not in line
        yield line, (solution and "BEGIN SOLUTION" not in line) or line.rstrip().endswith("# SOLUTION")


def starter_of(lab):
    """Lines of answers that students get."""
    for cell in lab.cells:
        if cell.role == "answer" and cell.kind == "code":
            yield from (line for line, solution in lines_of(cell) if not solution)


def secrets_of(lab):
    """Lines of a lab that students must not see: solutions, hidden checks, rubrics."""
    for cell in lab.cells:
        if cell.role in ("hidden", "rubric") or (cell.role == "answer" and cell.kind == "markdown"):
            yield from cell.source.splitlines()
        elif cell.role == "answer":
            yield from (line for line, solution in lines_of(cell) if solution)


def long_enough(line):
    """Whether a line is so special that its being elsewhere cannot be chance."""
    return len(re.sub(r"\W", "", line)) >= 16 and not line.strip().startswith(("import ", "from ", "#"))


def assert_no_secret(folder, labs):
    shown = [cell.source for lab in labs for cell in lab.cells if cell.role in ("text", "code", "test")]
    shown += [line for lab in labs for line in starter_of(lab)]
    public = "\n".join(shown)
    secrets = {line.strip() for lab in labs for line in secrets_of(lab) if long_enough(line)}
    secrets = {line for line in secrets if line not in public}
    assert secrets
    for name, content in everything_in(folder):
        assert "lab.py" not in name and "/wrong/" not in name
        if name.startswith("crosseyed/"):
            continue  # the library, in its wheel, which lines of a solution may equal by chance
        if not name.endswith((".ipynb", ".md", ".csv", ".json", ".txt", ".py", ".yml")):
            continue
        text = content.decode("utf-8", "replace")
        if name.endswith(".ipynb"):
            text = "\n".join(strings_in(json.loads(text)))
        found = [line for line in secrets if line in text]
        assert not found, f"{name} holds {found[0]!r}"


def strings_in(tree):
    """All strings of a JSON tree, keys and metadata included."""
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield name
            yield from strings_in(value)
    elif isinstance(tree, list):
        yield "".join(each for each in tree if isinstance(each, str))
        for each in tree:
            yield from strings_in(each)
    elif isinstance(tree, str):
        yield tree


@pytest.mark.slow
def test_students_get_no_solution_hidden_check_or_rubric(course, labs):
    assert_no_secret(course.folder / "student", labs)


@pytest.mark.slow
def test_teachers_and_graders_get_what_students_do_not(course, labs):
    for part in ("instructor", "autograder"):
        with pytest.raises(AssertionError):
            assert_no_secret(course.folder / part, labs)


@pytest.mark.slow
def test_a_second_build_is_equal_byte_by_byte(course, labs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    again = built(tmp_path / "course", labs, course.folder.with_name("kept"))
    for path in sorted(again.folder.rglob("*")):
        if path.is_file():
            assert path.read_bytes() == (course.folder / path.relative_to(again.folder)).read_bytes(), path


@pytest.mark.slow
def test_solutions_are_pages_that_need_no_network(course):
    page = (course.folder / "instructor" / f"{EXAMPLE}.html").read_text()
    assert not re.findall(r"<(?:script|link|img)[^>]*(?:src|href)=\"https?:", page)
    assert "marmalade" in page and "Rubric" in page and "0.00 to 1.00" in page
    assert len(re.findall(r"q[12]</pre></strong> passed", page)) == 2


@pytest.mark.slow
def test_a_build_that_fails_leaves_the_older_course(course, labs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = Path(shutil.copytree(HERE / EXAMPLE, tmp_path / "labs" / EXAMPLE))
    text = (folder / "lab.py").read_text()
    (folder / "lab.py").write_text(text.replace('expected = "lower"  # SOLUTION', "1 / 0  # SOLUTION"))
    old = Path(shutil.copytree(course.folder, tmp_path / "course"))
    before = {path: path.read_bytes() for path in old.rglob("*") if path.is_file()}
    with pytest.raises(CrosseyedError, match="'counting' fails: ZeroDivisionError"):
        built(old, [source.read(folder, DATA)], tmp_path / "kept")
    assert {path: path.read_bytes() for path in old.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_the_zip_works_in_an_empty_folder_without_the_repository(course, tmp_path):
    """The library comes from the wheel alone. Not shown: that pip finds the packages it needs, which are borrowed."""
    with zipfile.ZipFile(course.archive) as opened:
        opened.extractall(tmp_path)
    unpacked = tmp_path / "crosseyed-course"
    place = tmp_path / "venv"
    venv.create(place, with_pip=True)
    python = place / "bin" / "python"
    if not python.exists():
        pytest.skip("virtual environments have another layout here")
    own = Path(
        subprocess.check_output(
            [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], text=True
        ).strip()
    )
    (own / "borrowed.pth").write_text(
        sysconfig.get_path("purelib") + "\n"
    )  # after the environment's own packages
    (wheel,) = (unpacked / "install").glob("*.whl")
    variables = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "CROSSEYED_DATA") and not name.startswith(("PIP_", "JUPYTER"))
    }

    def run(*command):
        subprocess.run(
            [python, *command],
            cwd=unpacked / "labs" / EXAMPLE,
            env=variables,
            check=True,
            capture_output=True,
        )

    run("-m", "pip", "install", "--no-index", "--no-deps", str(wheel))
    where = (
        "import crosseyed\nfrom crosseyed.data.cutouts import read_catalogue\n"
        "from crosseyed.files import DATA\nprint(crosseyed.__file__, DATA, len(read_catalogue()), sep='\\n')"
    )
    notebook = unpacked / "labs" / EXAMPLE / "counting.ipynb"
    opened = nbformat.read(notebook, as_version=4)
    opened.cells.append(nbformat.v4.new_code_cell(where, id="where"))
    for cell in opened.cells:
        if "long" in cell.metadata.get("tags", ()):
            cell.source = "pass"
    nbformat.write(opened, notebook)
    run("-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(notebook))
    done = nbformat.read(notebook, as_version=4)
    library, data, number = done.cells[-1].outputs[0].text.split()
    assert Path(library).is_relative_to(place)
    assert Path(data) == unpacked / "data"
    assert int(number) > 100
    results = "\n".join(
        output.data["text/plain"]
        for cell in done.cells
        for output in cell.get("outputs", ())
        if "data" in output
    )
    assert "q1 results" in results


@pytest.mark.slow
def test_a_figure_says_in_words_what_it_is_about(tmp_path):
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.title('Rings')\nplt.xlabel('eccentricity')"
                "\nplt.show()"
            )
        ],
        metadata={"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    )
    instructor.run(notebook, tmp_path, "a notebook")
    page = instructor.page(notebook, "Figures")
    assert 'alt="panels: Rings. horizontal axis: eccentricity."' in page


@pytest.mark.slow
def test_no_lab_of_the_course_gives_away_a_solution(tmp_path):
    labs = source.read_all(REPOSITORY / source.LABS)
    project = REPOSITORY / source.LABS / student.PROJECT
    wheel = archives.build_wheel(REPOSITORY, tmp_path / "wheel")
    archive = student.write(tmp_path / "student", labs, REPOSITORY, wheel, project)
    assert_no_secret(tmp_path / "student", labs)
    models = {model for lab in labs for model in lab.models}
    names = zipfile.ZipFile(archive).namelist()
    assert all(
        f"crosseyed-course/data/models/{model}/open_clip_model.safetensors" in names for model in models
    )


@pytest.mark.slow
def test_the_project_has_a_template_and_an_example_that_ran(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    projects.write(tmp_path / "project", REPOSITORY / source.LABS / student.PROJECT)
    report = nbformat.read(tmp_path / "project" / "report.ipynb", as_version=4)
    example = nbformat.read(tmp_path / "project" / "example.ipynb", as_version=4)

    def headings(notebook):
        return re.findall(r"^## .*", "\n".join(cell.source for cell in notebook.cells), re.MULTILINE)

    assert headings(report) == headings(example)
    assert not any(cell.get("outputs") for cell in report.cells)
    assert "In words: pocketclip-centered" in json.dumps(example)
    assert "Rubric" in (tmp_path / "project" / "README.md").read_text()
