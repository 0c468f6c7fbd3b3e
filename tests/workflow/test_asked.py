"""What the notebooks of a sweep ask for: worked by hand from costs and shapes that are made up."""

import json

import pytest
from small_notebooks import write_notebook

from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.workflow import asked, costs, shortages
from crosseyed.workflow.costs import Cost
from crosseyed.workflow.plan import Speed
from crosseyed.workflow.requests import LEAST, Limits, Place, Request, from_configuration

SMALL, LARGE = Edition("ViT-B-32", "openai"), Edition("ViT-L-14", "openai")
COSTS = {
    "01_center_bias": Cost(7_000, 3_000, 4_000, 10, 1_400, 0.005),
    "05_mitigations": Cost(8_000, 8_000, 0, 20, 1_300, 0.005),
}
COUNTED, TABLES, OWN = "01_center_bias", "07_origins", "10_own"
NOTEBOOKS = [COUNTED, TABLES, OWN]
ANYWHERE = Place("the partition short", False, Limits(), frozenset(), "Set something.")


def speed(edition, *, gpu):
    seconds = {SMALL.model: 0.2, LARGE.model: 4.0}[edition.model] * (0.01 if gpu else 1)
    return Speed(
        device="cuda" if gpu else "cpu",
        threads=1,
        pass_seconds=seconds,
        shipped_seconds=0.01,
        start_seconds=60,
        memory_mb={SMALL.model: 1_600, LARGE.model: 9_600}[edition.model],
        weights_mb=600,
        dimensions=512,
    )


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(costs, "of", lambda _: COSTS)
    monkeypatch.setattr(asked, "estimate", speed)
    for name in NOTEBOOKS:
        write_notebook(tmp_path / "notebooks" / f"{name}.ipynb")
    own = tmp_path / "notebooks" / f"{OWN}.ipynb"
    content = json.loads(own.read_text())
    content["metadata"]["crosseyed"] = {"loads_model": True}
    own.write_text(json.dumps(content))
    return tmp_path


def place(**changes):
    return Place(**({each: getattr(ANYWHERE, each) for each in ANYWHERE.__dataclass_fields__} | changes))


def test_a_request_is_made_from_passes_speed_and_memory():
    got = asked.of([SMALL], [COUNTED], ANYWHERE)[SMALL.name, COUNTED]
    seconds = 60 + 3_000 * 0.2 / (1 + 3 * 0.75) + 4_000 * 0.01 + 2 * 10  # on four cores
    assert got == Request(threads=4, mem_mb=4_500, runtime=LEAST["runtime"], gpu=0)
    assert 2 * seconds / 60 < LEAST["runtime"] and 1.5 * 3_000 == 4_500


def test_a_larger_model_asks_for_more_of_everything():
    got = asked.of([SMALL, LARGE], ["05_mitigations"], ANYWHERE)
    small, large = (got[edition.name, "05_mitigations"] for edition in (SMALL, LARGE))
    assert large.mem_mb > small.mem_mb and large.runtime > small.runtime
    # 8,000 passes take 2.7 hours on four cores
    assert large == Request(threads=4, mem_mb=16_500, runtime=335, gpu=0)


def test_what_takes_long_gets_more_cores_as_far_as_there_are(monkeypatch):
    monkeypatch.setattr(asked, "_SHORT", 3_600)
    named = LARGE.name, "05_mitigations"
    assert asked.of([LARGE], ["05_mitigations"], ANYWHERE)[named].threads == 16
    few = asked.of([LARGE], ["05_mitigations"], place(limits=Limits(threads=6)))[named]
    assert few.threads == 6
    assert asked.of([LARGE], ["05_mitigations"], place(limits=Limits(threads=2)))[named].threads == 2


def test_on_gpus_a_notebook_gets_one_if_it_loads_a_model():
    got = asked.of([SMALL], NOTEBOOKS, place(gpus=True))
    assert {name: each.gpu for (_, name), each in got.items()} == {COUNTED: 1, TABLES: 0, OWN: 1}
    assert got[SMALL.name, TABLES] == Request(threads=1, gpu=0, **LEAST)


def test_a_notebook_that_nobody_has_counted_asks_for_as_much_as_the_most_demanding():
    got = asked.of([LARGE], [*NOTEBOOKS, "05_mitigations"], ANYWHERE)
    own, counted, longest = (got[LARGE.name, name] for name in (OWN, COUNTED, "05_mitigations"))
    assert own.runtime == longest.runtime
    assert own.mem_mb == counted.mem_mb > longest.mem_mb - 500


def test_a_speed_that_was_measured_on_such_a_device_is_taken(project):
    (project / "_build" / "models").mkdir(parents=True)
    named, fast = (
        (LARGE.name, "05_mitigations"),
        speed(LARGE, gpu=False).model_copy(update={"pass_seconds": 0.5}),
    )
    before = asked.of([LARGE], ["05_mitigations"], ANYWHERE)[named]
    fast.model_copy(update={"device": "cuda"}).write(LARGE)
    assert asked.of([LARGE], ["05_mitigations"], ANYWHERE)[named] == before
    fast.model_copy(update={"memory_mb": 10}).write(LARGE)
    after = asked.of([LARGE], ["05_mitigations"], ANYWHERE)[named]
    assert after.runtime < before.runtime / 4 and after.mem_mb == before.mem_mb


def test_what_was_too_little_is_asked_for_twice():
    before = asked.of([SMALL], NOTEBOOKS, ANYWHERE)
    shortages.note(SMALL.folder, COUNTED, "runtime", before[SMALL.name, COUNTED].runtime)
    after = asked.of([SMALL], NOTEBOOKS, ANYWHERE)
    assert after[SMALL.name, COUNTED].runtime == 2 * before[SMALL.name, COUNTED].runtime
    assert after[SMALL.name, COUNTED].mem_mb == before[SMALL.name, COUNTED].mem_mb
    assert after[SMALL.name, OWN] == before[SMALL.name, OWN]


def test_a_limit_that_is_too_low_names_notebook_figure_and_advice():
    low = place(limits=Limits(mem_mb=8_000))
    with pytest.raises(InputError) as raised:
        asked.of([SMALL, LARGE], [COUNTED], low)
    assert str(raised.value) == (
        f"01_center_bias of {LARGE.name} needs about 11.0 GB of memory, and the partition short gives one job 8.0 GB: "
        "Set something. Or take a smaller size, such as SIZE=quick."
    )
    with pytest.raises(InputError, match=r"needs about 2\.\d hours of time \(1 other notebook as well\)"):
        asked.of([LARGE], [COUNTED, "05_mitigations"], place(limits=Limits(runtime=5)))


def test_what_is_done_or_set_by_hand_is_not_refused():
    low = place(limits=Limits(mem_mb=8_000))
    assert asked.of([LARGE], [COUNTED], place(limits=low.limits, fixed=frozenset({"mem_mb"})))
    (LARGE.folder / "done").mkdir(parents=True)
    (LARGE.folder / "done" / COUNTED).touch()
    assert asked.of([LARGE], [COUNTED], low)[LARGE.name, COUNTED].mem_mb == 8_000


def test_more_than_the_partition_has_was_too_little():
    shortages.note(SMALL.folder, COUNTED, "runtime", 60)
    with pytest.raises(
        InputError, match="needs about 61 minutes of time, and the partition short gives one job 60"
    ):
        asked.of([SMALL], [COUNTED], place(limits=Limits(runtime=60)))


def test_a_model_that_cannot_be_had_stops_no_other(monkeypatch):
    def refuse(edition, *, gpu):
        if edition == LARGE:
            raise InputError("no such model")
        return speed(edition, gpu=gpu)

    monkeypatch.setattr(asked, "estimate", refuse)
    got = asked.of([SMALL, LARGE], [COUNTED], ANYWHERE)
    assert got[LARGE.name, COUNTED] == Request(threads=1, **LEAST)
    assert got[SMALL.name, COUNTED].mem_mb > LEAST["mem_mb"]


def test_what_is_said_and_handed_on_are_the_same():
    said = []
    handed_on = asked.announce([SMALL], [COUNTED], ANYWHERE, said.append)
    assert from_configuration(handed_on) == asked.of([SMALL], [COUNTED], ANYWHERE)
    assert said == [
        "a notebook asks for 4 cores, 4.5 GB of memory and 20 minutes, by what it is planned to take"
    ]


def test_a_line_tells_the_range():
    got = asked.of([SMALL, LARGE], ["05_mitigations"], ANYWHERE)
    assert asked.describe(got) == (
        "a notebook asks for 4 cores, 4.5 GB to 16.5 GB of memory and 20 minutes to 5.6 hours, "
        "by what it is planned to take"
    )
