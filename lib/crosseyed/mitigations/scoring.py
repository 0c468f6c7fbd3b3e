"""Score every candidate on the same images, sharing runs of the tower.

Throughout, `model` is left as it is; `candidates` are mitigations, models from `crosseyed.mitigations.pooling.pool`, or
names of poolings with their defaults. InputError is raised for a candidate that is something else, occurs twice, or
cannot be applied to the tower.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from crosseyed.data.images import ImageSource
from crosseyed.errors import InputError
from crosseyed.mitigations.adaptvis import AdaptVis
from crosseyed.mitigations.base import Location, Mitigation
from crosseyed.mitigations.composition import Composed
from crosseyed.mitigations.mitigated import mitigate
from crosseyed.mitigations.pooling import PooledModel, pool
from crosseyed.mitigations.sharing import (
    Counting,
    OfRun,
    Remembering,
    SharedRun,
    SharedViews,
    depth_in_common,
    maker_of_views,
)
from crosseyed.mitigations.tasks import Task
from crosseyed.mitigations.views import Gated
from crosseyed.mitigations.visual_prompts import Prompted, ProposedPrompts
from crosseyed.models.cache import cached
from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import Encoder, Scorer, ScorerWrapper
from crosseyed.progress import bar
from crosseyed.settings import settings

BASELINE = "none"


def score_all(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    data: Sequence[Task],
    *,
    progress: bool = True,
) -> pd.DataFrame:
    """Score the plain model and every candidate on every image.

    What candidates have in common is computed once for each task: the run of the plain tower with all poolings and what
    changes only the last blocks, views that are equal, and the views that settings of a mitigation only combine
    differently (`crosseyed.mitigations.sharing`).

    Parameters
    ----------
    model, candidates
        See the module.
    data : sequence of Task
        From `crosseyed.mitigations.tasks`; oracles are left out of tasks without locations.
    progress : bool
        Show a progress bar of the candidates where somebody watches (`crosseyed.progress.bar`).

    Returns
    -------
    pandas.DataFrame
        One row per candidate and image, the plain model (`BASELINE`) first, with the columns of the protocols and
        `candidate` (name), `family` (what it is a setting of), `kind` (``"mitigation"``, ``"pooling"`` or `BASELINE`),
        `oracle` (whether it is told where the object is), `passes` (that the candidate would make alone) and `computed`
        (those that it added here to what others before it had computed). Both are passes of the whole image tower for
        one image, in which what runs only the last m of L blocks counts m / L, averaged over the protocol.
    """
    entries = _entries(model, candidates)
    reads = _reads(model, entries)
    members = {name: member for found in reads.values() for name, member in found.items()}
    kept, read, answers = cached(model), {}, []
    with bar(total=len(entries) * len(data), unit="candidate", shown=progress) as scored:
        for task in data:
            plain, apart = Remembering(model, read, kept=kept), Counting(model, read)
            possible = [entry for entry in entries if task.locations is not None or not entry.oracle]
            shown = [maker_of_views(entry.mitigation) for entry in possible if entry.only_views]
            run, views = SharedRun(plain, members), SharedViews(plain, shown, task.locations)
            scored.update(len(entries) - len(possible))
            for entry in possible:
                scored.update()
                before = plain.passes + apart.passes
                if reads[entry.name]:
                    scorer = _of_run(run, entry)
                elif entry.only_views:
                    scorer = _Shown(views, entry.mitigation)
                else:
                    scorer = entry.scorer(apart if entry.mitigation else plain, task.locations)
                rows = task.score(scorer)
                added = (
                    views.bill(entry.mitigation) if entry.only_views else plain.passes + apart.passes - before
                )
                passes, computed = _cost(entry, run, reads[entry.name], added / len(rows))
                answers.append(rows.assign(**entry.about, passes=passes, computed=computed))
    return pd.concat(answers, ignore_index=True)


def measure_cost(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    task: Task,
    *,
    n_images: int = 4,
    rounds: int = 2,
) -> pd.DataFrame:
    """Measure the time of each candidate, run alone, relative to the plain model.

    Parameters
    ----------
    model, candidates
        See the module.
    task : Task
        Images to time, with locations if there are oracles among the candidates.
    n_images : int
        Number of images, spread over the task.
    rounds : int
        Each round times every candidate beside the plain model, so that a busy machine slows both.

    Returns
    -------
    pandas.DataFrame
        One row each, plain model included: `candidate`, `cost` (median over rounds of the time relative to the plain
        model, which has 1) and `seconds` (per image, median).
    """
    entries = _entries(model, candidates)
    shown = np.linspace(0, len(task.images) - 1, min(n_images, len(task.images))).astype(int)
    images = [task.images[place] for place in shown]
    locations = None if task.locations is None else [task.locations[place] for place in shown]
    texts = [settings.caption(label) for label in task.table["object"].unique()[:8]]
    scorers = [entry.scorer(model, locations) for entry in entries]
    plain = [entry.name for entry in entries].index(BASELINE)
    scorers[plain].similarities(images, texts, progress=False)  # warms up
    seconds = np.empty((rounds, len(entries)))
    for timed in seconds:
        for place, scorer in enumerate(scorers):
            start = time.perf_counter()
            scorer.similarities(images, texts, progress=False)
            timed[place] = time.perf_counter() - start
    return pd.DataFrame(
        {
            "candidate": [entry.name for entry in entries],
            "cost": np.median(seconds / seconds[:, [plain]], axis=0),
            "seconds": np.median(seconds, axis=0) / len(images),
        }
    )


def name_of(candidate: Mitigation | PooledModel) -> str:
    """Return the name of a candidate in tables: the mitigation's, or ``"pooling: "`` and the pooling."""
    return f"pooling: {candidate.pooling}" if isinstance(candidate, PooledModel) else candidate.name


def family_of(mitigation: Mitigation) -> str:
    """Return the family of a mitigation, e.g. ``"visual prompt: circle"``.

    It is the label, with the kind of a visual prompt; gated or composed ones name the families of their parts.
    """
    if isinstance(mitigation, Composed):
        return " + ".join(family_of(part) for part in mitigation.parts)
    if isinstance(mitigation, Gated):
        return f"{mitigation.label} {family_of(mitigation.ensemble)}"
    if isinstance(mitigation, Prompted | ProposedPrompts):
        return f"{mitigation.label}: {mitigation.kind}"
    return mitigation.label


@dataclass(frozen=True, eq=False)
class _Entry:
    """A candidate in the tables: a mitigation, a re-pooled model, or neither for the plain model."""

    name: str
    family: str
    kind: str
    mitigation: Mitigation | None = None
    pooled: PooledModel | None = None

    @property
    def oracle(self) -> bool:
        return is_told(self.mitigation)

    @property
    def only_views(self) -> bool:
        return self.mitigation is not None and self.mitigation.only_views

    @property
    def passes(self) -> int:
        return 1 if self.mitigation is None else self.mitigation.passes

    @property
    def about(self) -> dict[str, object]:
        return {"candidate": self.name, "family": self.family, "kind": self.kind, "oracle": self.oracle}

    def scorer(self, model: Encoder, locations: Sequence[Location] | None) -> Scorer:
        if self.pooled is not None:
            return self.pooled
        if self.mitigation is not None:
            return mitigate(model, self.mitigation, locations if self.oracle else None)
        return model


def _entries(model: ClipModel, candidates: Sequence[Mitigation | PooledModel | str]) -> list[_Entry]:
    entries = [_Entry(BASELINE, BASELINE, BASELINE)]
    for candidate in candidates:
        if isinstance(candidate, str):
            candidate = pool(model, candidate)
        if isinstance(candidate, Mitigation):
            candidate.check(model)
            entries.append(
                _Entry(name_of(candidate), family_of(candidate), "mitigation", mitigation=candidate)
            )
        elif isinstance(candidate, PooledModel) and candidate.clip_model is model:
            family = f"pooling: {candidate.method.name}"
            entries.append(_Entry(name_of(candidate), family, "pooling", pooled=candidate))
        else:
            raise InputError(
                f"A candidate is a mitigation, the name of a pooling or {model.name} with another pooling, not "
                f"{candidate!r}."
            )
    names = [entry.name for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"The candidate {name!r} is given more than once; give every candidate once.")
    return entries


Members = dict[str, ClipModel | PooledModel | Mitigation]


def _reads(model: ClipModel, entries: Sequence[_Entry]) -> dict[str, Members]:
    """Return by candidate which members of a shared run it reads, by their names; none, if it has to run apart."""
    reads = {entry.name: _members_for(model, entry) for entry in entries}
    if any(reads.values()):
        reads[BASELINE] = {BASELINE: model}
    return reads


def _members_for(model: ClipModel, entry: _Entry) -> Members:
    if entry.pooled is not None:
        return {entry.name: entry.pooled}
    if entry.mitigation is None or entry.only_views:
        return {}
    parts = [entry.mitigation]
    if isinstance(entry.mitigation, AdaptVis):  # several of which choose between the same
        parts = [part for part in entry.mitigation.scalings if not part.neutral]
    shares = all(depth_in_common(model, part) is not None for part in parts)
    return {name_of(part): part for part in parts} if shares else {}


def _of_run(run: SharedRun, entry: _Entry) -> Scorer:
    return (
        _Chosen(run, entry.mitigation) if isinstance(entry.mitigation, AdaptVis) else OfRun(run, entry.name)
    )


def _cost(entry: _Entry, run: SharedRun, reads: Members, counted: float) -> tuple[float, float]:
    """Return the passes that a candidate would make alone, and those that it added, from those counted apart."""
    if not reads and (entry.mitigation is None or entry.only_views):
        return float(entry.passes), counted
    if not reads:  # nothing is counted where the mitigation asks the tower itself
        return (counted or float(entry.passes),) * 2
    alone = run.alone(entry.name) if entry.name in reads else 1 + max(run.repeated[name] for name in reads)
    return alone, counted + run.bill(reads)


def is_told(candidate: object) -> bool:
    """Return whether a candidate is an oracle."""
    return isinstance(candidate, Mitigation) and candidate.needs_location


@dataclass(frozen=True, eq=False)
class _Shown(ScorerWrapper):
    """A mitigation that changes only the image, among those that share their views."""

    views: SharedViews
    mitigation: Mitigation

    @property
    def name(self) -> str:
        return f"{self.views.plain.name}, {self.mitigation.name}"

    @property
    def inner(self) -> Scorer:
        return self.views.plain

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        return self.views.similarities(self.mitigation, images, texts)


@dataclass(frozen=True, eq=False)
class _Chosen(ScorerWrapper):
    """An `AdaptVis`, which chooses between the plain model and its two scalings, all members of a shared run."""

    run: SharedRun
    mitigation: AdaptVis

    @property
    def name(self) -> str:
        return f"{self.run.plain.name}, {self.mitigation.name}"

    @property
    def inner(self) -> Scorer:
        return self.run.plain

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        plain = self.run.similarities(BASELINE, images, texts)
        found = plain.copy()
        groups = self.mitigation.groups(plain, self.logit_scale)
        for group, by in zip(groups, self.mitigation.scalings, strict=True):
            if not by.neutral:
                found[group] = self.run.similarities(name_of(by), images, texts)[group]
        return found
