"""What the notebooks of a sweep ask a cluster for: the plan of each edition, and what was too little before."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from crosseyed.editions import SIZES, Edition
from crosseyed.errors import CrosseyedError, InputError
from crosseyed.progress import bar
from crosseyed.workflow import costs, shortages
from crosseyed.workflow import plan as plans
from crosseyed.workflow.estimate import estimate, on_threads
from crosseyed.workflow.notebooks import FOLDER, loads_model
from crosseyed.workflow.plan import Chapter, Speed
from crosseyed.workflow.requests import Place, Request, exceeding, needed, request, to_configuration

_CORES = (4, 8, 16)  # that a notebook without a GPU gets: as many as make it short
_SHORT = 4 * 3600  # seconds
_UNITS = {"mem_mb": "memory", "runtime": "time"}


def of(editions: Sequence[Edition], notebooks: Sequence[str], place: Place) -> dict[tuple[str, str], Request]:
    """Return what each notebook of each edition asks for, by their names.

    A notebook that loads a model and whose costs nobody has counted asks for as much as the most demanding one that
    was counted. Where the speed of a model was measured on the same kind of device, the plan is made from that, else
    from an estimate.

    Raises
    ------
    InputError
        A notebook that is not done needs more than one job can have. Or the costs of chapters are not known.
    """
    asked, refused = {}, []
    for edition in bar(editions, unit="edition"):
        for name, (chapter, threads) in _chapters(edition, notebooks, place).items():
            needs_model = chapter.passes > 0
            planned = {"mem_mb": chapter.memory_mb, "runtime": chapter.seconds / 60}
            before = shortages.read(edition, name)
            asked[edition.name, name] = request(
                planned, before, place.limits, threads=threads, gpu=int(place.gpus and needs_model)
            )
            if not (edition.folder / "done" / name).exists():
                needs = needed(planned, before)
                low = exceeding({key: needs[key] for key in needs.keys() - place.fixed}, place.limits)
                refused += [(edition.name, name, key, needs[key], limit) for key, limit in low.items()]
    if refused:
        raise InputError(_refusal(refused, place))
    return asked


def announce(
    editions: Sequence[Edition], notebooks: Sequence[str], place: Place, say: Callable[[str], object]
) -> dict[str, dict[str, dict[str, int]]]:
    """Say what the notebooks of a sweep ask for, and return it for Snakemake; given and raised is as of `of`."""
    asked = of(editions, notebooks, place)
    say(describe(asked))
    return to_configuration(asked)


def describe(asked: Mapping[tuple[str, str], Request]) -> str:
    """Say in a line what the notebooks of a sweep ask for."""
    each = asked.values()
    memory, time, cores = (
        sorted({getattr(one, key) for one in each}) for key in ("mem_mb", "runtime", "threads")
    )
    return (
        f"a notebook asks for {_range([str(one) for one in cores])} core{'s' if cores[-1] > 1 else ''}, "
        f"{_range([plans.size(one) for one in memory])} of memory and {_range([plans.minutes(one) for one in time])}, "
        "by what it is planned to take"
    )


def _chapters(edition: Edition, notebooks: Sequence[str], place: Place) -> dict[str, tuple[Chapter, int]]:
    """Plan the notebooks of an edition, each on the cores that it gets."""
    known = costs.of(edition)
    counted = [name for name in notebooks if name in known]
    uncounted = [name for name in notebooks if name not in known and loads_model(FOLDER / f"{name}.ipynb")]
    try:
        speed = _speed(edition, place)
    except CrosseyedError:  # no job of it will run: loading the model fails, and says why
        counted, uncounted = [], []
    nothing = {name: (Chapter(name, 0, 0, 0, 0), 1) for name in notebooks}
    if not counted and not uncounted:
        return nothing
    every = {name: _on_cores(edition, name, speed, place) for name in known}
    longest, threads = max(every.values(), key=lambda one: one[0].seconds)
    largest = max(one.memory_mb for one, _ in every.values())
    most = replace(longest, memory_mb=largest), threads
    return nothing | {name: every[name] for name in counted} | dict.fromkeys(uncounted, most)


def _on_cores(edition: Edition, name: str, speed: Speed, place: Place) -> tuple[Chapter, int]:
    most = place.limits.threads or _CORES[-1]
    for threads in dict.fromkeys(min(each, most) for each in (_CORES[:1] if place.gpus else _CORES)):
        (chapter,) = plans.make(edition, [name], on_threads(speed, threads), 1).chapters
        if chapter.seconds <= _SHORT:
            break
    return chapter, threads


def _speed(edition: Edition, place: Place) -> Speed:
    """Return the speed as it was measured on this kind of device, else the estimate; memory is always estimated."""
    estimated, measured = estimate(edition, gpu=place.gpus), Speed.read(edition)
    if measured is None or measured.device != estimated.device:
        return estimated
    return measured.model_copy(update={"memory_mb": max(measured.memory_mb, estimated.memory_mb)})


def _refusal(refused: Sequence[tuple[str, str, str, float, int]], place: Place) -> str:
    edition, name, key, need, limit = max(refused, key=lambda each: each[3] / each[4])
    tell = plans.size if key == "mem_mb" else plans.minutes
    others = len({each[:2] for each in refused} - {(edition, name)})
    more = f" ({others} other notebook{'s' if others > 1 else ''} as well)" if others else ""
    return (
        f"{name} of {edition} needs about {tell(need)} of {_UNITS[key]}{more}, and {place.name} gives one job "
        f"{tell(limit)}: {place.advice} Or take a smaller size, such as SIZE={SIZES[0]}."
    )


def _range(words: Sequence[str]) -> str:
    return words[0] if words[0] == words[-1] else f"{words[0]} to {words[-1]}"
