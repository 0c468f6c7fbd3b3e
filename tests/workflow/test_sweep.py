from pathlib import Path

import pytest

from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.files import DATA, content_digest
from crosseyed.workflow import failures
from crosseyed.workflow.sweep import (
    Sweep,
    explorers,
    is_done,
    measuring,
    other_sizes,
    publish,
    read_sweep,
    refusal,
    summarize,
)

NOTEBOOKS = ["01_center_bias", "02_embedding_decomposition"]


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def write(text):
        (tmp_path / "models.yml").write_text(text)
        return "models.yml"

    return write


def test_a_sweep_is_models_times_seeds(write):
    sweep = read_sweep(
        write("models: [{model: RN50, pretrained: openai}, {model: a}]\nseeds: [0, 3]"), NOTEBOOKS
    )
    assert sweep.editions == (
        Edition("RN50", "openai", seed=0),
        Edition("RN50", "openai", seed=3),
        Edition("a", seed=0),
        Edition("a", seed=3),
    )
    assert [edition.name for edition in sweep.editions][1::2] == ["RN50--openai--seed3", "a--seed3"]
    assert sweep.notebooks == tuple(NOTEBOOKS)
    assert sweep.missing == ()


def test_a_sweep_has_one_size_but_for_entries_with_their_own_and_each_entry_a_precision(write):
    file = write("models: [{model: a}, {model: b, size: full}, {model: pocketclip-uniform}]")
    names = [edition.name for edition in read_sweep(file, NOTEBOOKS, "quick").editions]
    assert names == ["a--quick", "b--full", "pocketclip-uniform--quick"]
    names = [edition.name for edition in read_sweep(file, NOTEBOOKS, "").editions]
    assert names == ["a", "b--full", "pocketclip-uniform"]
    file = write("models: [{model: a}, {model: a, precision: bf16}]")
    assert [edition.name for edition in read_sweep(file, NOTEBOOKS, "").editions] == ["a", "a--bf16"]
    with pytest.raises(InputError, match="Unknown size 'fill'; did you mean 'full'"):
        read_sweep(file, NOTEBOOKS, "fill")


def test_results_of_another_size_are_told_and_stay_beside_those_of_a_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    kept = tmp_path / "kept"
    kept.mkdir()
    for name in ("a", "a--full", "b--quick"):
        (kept / f"{name}.csv").write_text(f"of {name}")
    sweep = Sweep((Edition("a", size="quick"), Edition("b", size="quick")), tuple(NOTEBOOKS), ())
    assert "other sizes: a (standard), a--full (full). They stay" in other_sizes(sweep, kept)
    for edition in sweep.editions:
        (edition.folder / "done").mkdir(parents=True)
        (edition.folder / "done" / "result").touch()
        (edition.folder / "result.csv").write_text(f"new of {edition.name}")
    publish(sweep, kept)
    assert {path.stem: path.read_text() for path in kept.iterdir()} == {
        "a": "of a",
        "a--full": "of a--full",
        "a--quick": "new of a--quick",
        "b--quick": "new of b--quick",
    }
    assert other_sizes(Sweep((Edition("b", size="quick"),), (), ()), kept) == ""


def test_a_model_without_its_file_is_missing_and_the_others_stay(write, tmp_path):
    file = write(
        "models: [{model: a, checkpoint: one.pt}, {model: b, checkpoint: two.pt}, {model: 'local-dir:nowhere'}]"
    )
    (tmp_path / "two.pt").touch()
    sweep = read_sweep(file, NOTEBOOKS)
    assert [edition.name for edition in sweep.editions] == [f"b--two-{content_digest([tmp_path / 'two.pt'])}"]
    assert [words.split(".")[0] for words in sweep.missing] == [
        "a: There is no 'one",
        "local-dir:nowhere: There is no 'nowhere'",
    ]


def test_a_checkpoint_may_be_a_folder_or_in_the_home(write, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for folder in ("parts", "home"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "model.safetensors").touch()
    text = "models: [{model: a, checkpoint: parts}, {model: b, checkpoint: ~/model.safetensors}]"
    assert [Path(each.checkpoint).parent.name for each in read_sweep(write(text), NOTEBOOKS).editions] == [
        "parts",
        "home",
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("models: [{model: a}, {model: a}]", "names a more than once"),
        (
            "models: [{model: a}]\nnotebooks: [01_centre_bias]",
            "'01_centre_bias'.*did you mean '01_center_bias'",
        ),
        ("models: []", "names no models"),
        ("models: [{model: a, size: qick}]", "did you mean 'quick'"),
        (f"models: [{{model: a}}]\nseeds: {'9' * 5000}", "seeds.0 .* should be a valid integer"),
    ],
)
def test_what_cannot_be_meant_is_refused(write, text, message):
    with pytest.raises(InputError, match=message):
        read_sweep(write(text), NOTEBOOKS)


def test_what_compares_the_results_of_a_sweep_or_serves_a_page_is_not_part_of_it():
    names = measuring(DATA.parent / "notebooks")
    assert names[0] == "01_center_bias"
    assert "05_mitigations" in names
    assert "06_model_family" not in names
    assert "09_move_it_yourself" not in names


def test_the_explorer_is_part_of_a_sweep_only_where_its_file_says_so(write):
    folder = DATA.parent / "notebooks"
    usual, asked = measuring(folder), explorers(folder)
    assert asked == ["09_move_it_yourself"]
    assert not {*asked} & {*usual}
    plain = write("models: [{model: a}]")
    assert read_sweep(plain, usual, on_request=asked).notebooks == tuple(usual)
    named = write("models: [{model: a}]\nnotebooks: [09_move_it_yourself]")
    assert read_sweep(named, usual, on_request=asked).notebooks == tuple(asked)


def test_a_summary_shows_why_a_job_on_a_cluster_failed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    left, failed = editions = (Edition("left"), Edition("failed"))
    (failed.folder / "failed").mkdir(parents=True)
    (failed.folder / "failed" / "01_a.ipynb").touch()
    end = "For further error details see the cluster/cloud log and so on"
    for edition, notebook in ((left, "02_b"), (failed, "01_a")):
        failures.note_job([str(edition.folder / "done" / notebook)], f"Job 7 was cancelled. {end}", ["7.log"])
    lines = summarize(Sweep(editions, ("01_a", "02_b"), ()), "again").splitlines()
    assert lines[1:-1] == [
        "  left: not run: 01_a, 02_b",
        "      02_b: Job 7 was cancelled.",
        "      log: 7.log",
        "      | (there is no such file)",
        f"  failed: failed in 01_a (as far as they ran: {failed.folder / 'failed'})",
        "      01_a: Job 7 was cancelled.",
        "      log: 7.log",
        "      | (there is no such file)",
    ]


def test_a_summary_tells_what_is_done_from_notes_and_why_the_rest_is_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done, failed, refused, _ = editions = tuple(map(Edition, ("done", "failed", "refused", "left")))

    def write(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    write(done.folder / "done" / NOTEBOOKS[1])
    write(done.folder / "failed" / f"{NOTEBOOKS[1]}.ipynb")  # of an earlier run
    write(failed.folder / "failed" / f"{NOTEBOOKS[1]}.ipynb")
    write(refusal(refused))
    plan = Sweep(editions, (NOTEBOOKS[1],), ("gone: There is no 'gone'.",))
    first, *lines = summarize(plan, "make sweep MODELS=a.yml").splitlines()
    assert first == "1 of 5 editions are done:"
    assert lines[0] == "  done: done"
    assert lines[1].startswith(f"  failed: failed in {NOTEBOOKS[1]}")
    assert lines[2].startswith("  refused: its model could not be loaded")
    assert lines[3].startswith(f"  left: not run: {NOTEBOOKS[1]}")
    assert lines[4:] == [
        "  gone: There is no 'gone'.",
        "What is done is kept. When the causes are fixed, `make sweep MODELS=a.yml` continues with the rest.",
    ]
    assert not is_done(plan)
    assert is_done(Sweep((done,), plan.notebooks, ()))
    assert not is_done(Sweep((done,), plan.notebooks, ()), {done.folder / "done" / NOTEBOOKS[1]})
