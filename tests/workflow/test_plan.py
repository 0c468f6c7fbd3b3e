"""What an edition will take: worked by hand from costs and speeds."""

import shutil
from collections import namedtuple

import pytest

from crosseyed.editions import Edition
from crosseyed.errors import InputError
from crosseyed.workflow import costs, plan
from crosseyed.workflow.costs import Cost
from crosseyed.workflow.plan import Speed

SPEED = Speed(
    device="cpu",
    threads=1,
    pass_seconds=0.5,
    shipped_seconds=0.01,
    start_seconds=10,
    memory_mb=600,
    weights_mb=605.2,
    download=True,
    dimensions=512,
)
KNOWN = {
    "05_mitigations": Cost(400, 300, 100, 40, 1000, 0.005),
    "01_center_bias": Cost(200, 100, 0, 20, 900, 0.005),
}
NOTEBOOKS = ["01_center_bias", "05_mitigations", "06_model_family"]
EDITION = Edition("ViT-B-32", "openai", size="quick")


@pytest.fixture
def known(monkeypatch, tmp_path):
    (tmp_path / "costs.csv").touch()
    monkeypatch.setattr(costs, "TABLE", tmp_path / "costs.csv")
    monkeypatch.setattr(costs, "of", lambda _: KNOWN)


def test_a_chapter_takes_its_start_its_passes_and_the_rest_on_a_machine_that_is_half_as_fast(known):
    made = plan.make(EDITION, NOTEBOOKS, SPEED, cores=2)
    first, fifth, sixth = made.chapters
    assert fifth.seconds == pytest.approx(10 + 300 * 0.5 + 100 * 0.01 + 2 * 40)
    assert first.seconds == pytest.approx(10 + 100 * 0.5 + 2 * 20)
    assert sixth.seconds == 10
    assert fifth.passes == 400
    assert fifth.memory_mb == 1600


def test_the_longest_begins_and_pages_come_at_the_end(known):
    made = plan.make(EDITION, NOTEBOOKS, SPEED, cores=2)
    pages = plan.PAGES_SECONDS * 0.01 / plan.PAGES_UNIT
    assert made.minutes * 60 == pytest.approx(241 + pages)  # beside the fifth, the others take 100 + 10
    alone = plan.make(EDITION, NOTEBOOKS, SPEED, cores=1)
    assert alone.minutes * 60 == pytest.approx(241 + 100 + 10 + pages)


def test_chapters_share_a_gpu(known):
    speed = SPEED.model_copy(update={"device": "cuda", "pass_seconds": 1.0})
    made = plan.make(EDITION, NOTEBOOKS, speed, cores=8)
    assert made.minutes * 60 == pytest.approx(300 + 100 + 1 + plan.PAGES_SECONDS)


def test_memory_disk_and_download(known):
    made = plan.make(EDITION, NOTEBOOKS, SPEED, cores=2)
    assert made.memory_mb == 1600 + 1500
    assert made.disk_mb == pytest.approx(plan.EDITION_MB + 600 * 512 * 4 / 1e6)
    assert made.download_mb == 605.2
    here = SPEED.model_copy(update={"download": False})
    assert plan.make(EDITION, NOTEBOOKS, here, cores=2).download_mb == 0


@pytest.mark.parametrize(
    ("seconds", "workers", "end"),
    [([], 2, 0), ([4, 3, 2, 1], 1, 10), ([4, 3, 2, 1], 2, 5), ([1, 1, 9], 2, 10), ([5, 1], 7, 5)],
)
def test_jobs_begin_in_order_as_workers_become_free(seconds, workers, end):
    assert plan.schedule(seconds, workers) == end


def test_a_plan_is_told_with_other_sizes_and_a_gpu_that_makes_the_largest_cheap(known):
    made = plan.make(EDITION, NOTEBOOKS, SPEED, cores=2)
    told = plan.describe(made, SPEED, 2, others={"standard": 40.2, "full": 200.0})
    assert told.startswith("ViT-B-32--openai--quick, size quick: about ")
    assert "2 images/s on 1 thread)" in told
    lines = {line.split()[0]: line.split()[1:] for line in told.splitlines()}
    assert lines["05_mitigations"] == ["400", "400", "4.0", "1.6", "GB"]
    assert lines["06_model_family"] == ["–", "–", "0.2", "–"]
    assert "download: 605 MB" in told
    assert "standard about 40 minutes, full about 3.3 hours" in told
    assert "SIZE=full" not in told
    gpu = SPEED.model_copy(update={"device": "cuda"})
    assert "SIZE=full" in plan.describe(made, gpu, 2, others={"full": 12.0})


def test_a_disk_that_is_too_small_is_said_before_anything_starts(known, monkeypatch, tmp_path):
    made = plan.make(EDITION, NOTEBOOKS, SPEED, cores=2)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 100e6))
    with pytest.raises(InputError, match=r"100 MB free.*needs about 151 MB.*SIZE=quick"):
        plan.require_disk(made, tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 1e12))
    plan.require_disk(made, tmp_path)


def test_an_edition_that_was_begun_is_not_refused_for_its_disk(known, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(0, 0, 100e6))
    said = []
    plan.announce(EDITION, 2, said.append)
    assert said == []  # nothing is known
    SPEED.write(EDITION)
    with pytest.raises(InputError, match="needs about"):
        plan.announce(EDITION, 2, said.append)
    EDITION.folder.mkdir(parents=True)
    plan.announce(EDITION, 2, said.append)
    assert len(said) == 2 and said[0] == said[1]


def test_a_speed_is_kept_for_an_edition_and_a_damaged_one_counts_as_none(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert Speed.read(EDITION) is None
    SPEED.write(EDITION)
    assert Speed.read(EDITION) == SPEED
    next((tmp_path / "_build" / "models").iterdir()).write_text('{"device": "cpu", "pass_seconds": -1}')
    assert Speed.read(EDITION) is None
