"""Which cure helps, at what price, and how sure are we: compare mitigations and poolings on the same pictures.

The study has two steps, on pictures of different objects. On the *validation* split every candidate is asked, and
of each family, such as cyclic shifts with any number of steps, the best setting is chosen. On the *test* split
only the chosen ones are asked, and what they change is reported: paired with the plain model picture by picture, with
intervals that resample objects, and with p-values that are corrected for the number of candidates.

    data = make_split(cutouts, labels, seed=1)
    table = evaluate(model, candidates, data)
    chosen = choose(table)

Candidates share what they can. Poolings that differ only after the tower share its run; settings of a mitigation that
show the same views and combine them in different ways share these, so that three ways to combine nine views cost nine
passes, not twenty-seven. The passes that are *counted* are those that a candidate would make alone.
"""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import ClassVar

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests
from tqdm import tqdm

from crosseyed import metrics, protocols, stimuli
from crosseyed.encoder import Around, Encoder, Scorer
from crosseyed.errors import InputError, suggest
from crosseyed.images import ImageSource
from crosseyed.mitigate import Composed, Ensemble, Location, Mitigation, mitigate
from crosseyed.models import ClipModel
from crosseyed.pooling import PooledModel, pool, pool_together
from crosseyed.prompting import Prompted, ProposedPrompts
from crosseyed.stimuli import Cutout, Scene
from crosseyed.views import Gated

BASELINE = "none"
"""Name of the plain model among the candidates."""

FATES = (
    "recognised before and after",
    "repaired",
    "broken",
    "in the object's tokens, yet lost",
    "not found in the tokens",
)
"""What can become of an object, in the order of `fates`."""

GRID_SIZE = 5
"""Cells along each side of the grid. Views lie on grids of three, so that most objects stand between theirs."""

_SIDES = ("", "_low", "_high")
_COLUMNS = (
    *("protocol", "candidate", "family", "kind", "oracle", "passes"),
    *(quantity + side for quantity in ("center", "off_center", "gap") for side in _SIDES),
    *(f"{quantity}_change{side}" for quantity in ("center", "off_center", "gap") for side in _SIDES),
    *("center_p", "off_center_p", "gap_p"),
    *("n_center", "n_off_center", "n_objects", "unreadable", "confidence"),
)


@dataclass(frozen=True, eq=False)
class Task:
    """Pictures, what they show, and the question that is asked about them.

    Attributes
    ----------
    protocol : str
        Name of the question: ``"grid"``, ``"pair"``, ``"control"`` or ``"whatsup"``.
    images : sequence of ImageSource
        Drawn once, asked many times.
    table : pandas.DataFrame
        One row for each image, with `image`, `object`, `center` and what the protocol needs.
    labels : sequence of str or None
        What the model chooses among; None for the four captions of What'sUp.
    locations : sequence of Location or None
        Where the object in question is; None if nobody knows.
    """

    protocol: str
    images: Sequence[ImageSource] = field(repr=False)
    table: pd.DataFrame = field(repr=False)
    labels: Sequence[str] | None = field(default=None, repr=False)
    locations: Sequence[Location] | None = field(default=None, repr=False)

    def ask(self, scorer: Scorer) -> pd.DataFrame:
        """Ask a model the question.

        Parameters
        ----------
        scorer : Scorer
            The model.

        Returns
        -------
        pandas.DataFrame
            What `crosseyed.protocols.zero_shot` or `four_captions` returns.
        """
        if self.labels is None:
            return protocols.four_captions(scorer, self.images, self.table, self.protocol)
        return protocols.zero_shot(scorer, self.images, self.table, self.labels, protocol=self.protocol)


def split_objects(cutouts: Sequence[Cutout], sizes: Sequence[int], seed: int = 0) -> list[list[Cutout]]:
    """Draw sets of cut-outs that have no object in common.

    Parameters
    ----------
    cutouts : sequence of Cutout
        What to draw from; all renderings of an object stay together.
    sizes : sequence of int
        Number of objects in each set, each at least 2.
    seed : int
        Decides which.

    Returns
    -------
    list of list of Cutout
        One set for each size, in the order of `cutouts`.

    Raises
    ------
    InputError
        A size is below 2, or they need more objects than there are.
    """
    objects = stimuli.objects_of(cutouts)
    if min(sizes) < 2 or sum(sizes) > len(objects):
        raise InputError(
            f"The splits have {', '.join(map(str, sizes))} objects; give each at least 2, together at most the "
            f"{len(objects)} that there are."
        )
    drawn = iter(np.random.default_rng(seed).permutation(objects))
    sets = [set(islice(drawn, size)) for size in sizes]
    return [[cutout for cutout in cutouts if cutout.object in kept] for kept in sets]


def make_split(
    cutouts: Sequence[Cutout],
    labels: Sequence[str],
    *,
    protocols: Sequence[str] = ("grid", "pair", "control"),
    cells: int = 2,
    size: float = 0.3,
    control_size: float = 0.45,
    side: int = 224,
    seed: int = 0,
) -> list[Task]:
    """Draw the pictures of a split.

    - ``"grid"``: each cut-out at the center of a 5 × 5 grid and in some of the other cells, drawn at random for each
      cut-out; which of all labels is it?
    - ``"pair"``: each object, in one of its renderings, with another one in each of What'sUp's four relations; which
      of four captions fits? The object in question is the first one, which all but ``"on"`` put at the border.
    - ``"control"``: each object, in one of its renderings, alone, at the center and larger than in the grid, as a
      photographer would show it: a cure should do no harm here.

    Parameters
    ----------
    cutouts : sequence of Cutout
        The objects of the split; at least two of each rendering.
    labels : sequence of str
        What the model chooses among in grid and control.
    protocols : sequence of str
        Which of the three.
    cells : int
        Cells beside the center in which a cut-out is shown, 1 to 24. More objects say more than more cells of the
        same objects.
    size, control_size : float
        Longer side of the objects of grid and control, as a fraction of the side of the picture.
    side : int
        Height and width of the pictures in pixels.
    seed : int
        Decides backgrounds, cells, partners and renderings.

    Returns
    -------
    list of Task
        One for each protocol.

    Raises
    ------
    InputError
        A protocol does not exist, or a number is out of range.
    """
    if not 1 <= cells < GRID_SIZE**2:
        raise InputError(f"cells is {cells}; expected 1 to {GRID_SIZE**2 - 1}, the cells beside the center.")
    square = {"height": side, "width": side, "seed": seed}
    rng = np.random.default_rng([seed, 3])
    once = _one_rendering(cutouts, rng)

    def control() -> list[Scene]:
        large = stimuli.grid(once, GRID_SIZE, size=control_size, **square)
        return [scene for scene in large if scene.center]

    layouts = {
        "grid": lambda: _some_cells(stimuli.grid(cutouts, GRID_SIZE, size=size, **square), cells, rng),
        "pair": lambda: [
            scene for relation in stimuli.RELATIONS for scene in stimuli.pair(once, relation, **square)
        ],
        "control": control,
    }
    for protocol in protocols:
        if protocol not in layouts:
            raise InputError(
                f"Unknown protocol {protocol!r}{suggest(protocol, layouts)} Choose from {', '.join(layouts)}."
            )
    return [_task(name, layouts[name](), None if name == "pair" else labels) for name in protocols]


def whatsup_task(table: pd.DataFrame) -> Task:
    """Make a task of What'sUp's photographs.

    Parameters
    ----------
    table : pandas.DataFrame
        What `crosseyed.datasets.read_whatsup` returned, or some of its rows.

    Returns
    -------
    Task
        Without locations: nobody has annotated them.
    """
    return Task("whatsup", list(table["path"]), table.drop(columns="path"))


def evaluate(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    data: Sequence[Task],
    *,
    n_timed: int = 8,
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Compare mitigations and poolings with the plain model, on the same pictures.

    Parameters
    ----------
    model : ClipModel
        The model; left as it was.
    candidates : sequence of Mitigation, PooledModel or str
        Mitigations, re-pooled models (`crosseyed.pooling.pool`), or names of poolings with their defaults.
    data : sequence of Task
        From `make_split`, or `whatsup_task`.
    n_timed : int
        Pictures on which the time of each candidate is taken; 0 to take none.
    confidence, resamples, seed
        As for `crosseyed.metrics.accuracy`.
    progress : bool
        Show a progress bar of the candidates if the standard error is a terminal.

    Returns
    -------
    pandas.DataFrame
        What `compare` returns for the answers of `ask_all`, and the column `cost` of `measure_cost` (NaN if no time
        was taken).

    Raises
    ------
    InputError
        A candidate is none, occurs twice, or cannot be done to this tower.
    """
    answers = ask_all(model, candidates, data, progress=progress)
    table = compare(answers, confidence=confidence, resamples=resamples, seed=seed)
    if not n_timed:
        return table.assign(cost=np.nan)
    timed = next((task for task in data if task.locations is not None), data[0])
    known = [each for each in candidates if timed.locations is not None or not _told(each)]
    cost = measure_cost(model, known, timed, n_images=n_timed)
    return table.merge(cost[["candidate", "cost"]], on="candidate", how="left")


def ask_all(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    data: Sequence[Task],
    *,
    progress: bool = True,
) -> pd.DataFrame:
    """Ask the plain model and every candidate about every picture.

    Parameters
    ----------
    model, candidates, data, progress
        As for `evaluate`.

    Returns
    -------
    pandas.DataFrame
        One row for each candidate and picture, the plain model (`BASELINE`) first: the columns of the protocols and

        - `candidate`: its name; `family`: what it is a setting of; `kind`: ``"mitigation"``, ``"pooling"`` or
          `BASELINE`; `oracle`: whether it is told where the object is;
        - `passes`: passes of the image tower for an image that the candidate would make alone, counted and averaged
          over the pictures of the protocol: adaptive candidates make more for some pictures than for others.

        An oracle is not asked where nobody knows the location.

    Raises
    ------
    InputError
        As for `evaluate`.
    """
    entries = _entries(model, candidates)
    pooled = [entry.pooled for entry in entries if entry.pooled is not None]
    read, answers = {}, []
    with tqdm(total=len(entries) * len(data), unit="candidate", disable=None if progress else True) as bar:
        for task in data:
            shown, together = {}, {}
            for entry in entries:
                bar.update()
                if entry.oracle and task.locations is None:
                    continue
                encoder = _Counting(model, read)
                if entry.pooled is not None:
                    scorer, passes = _Together(entry.pooled, pooled, together), 1.0
                elif entry.mitigation is not None and entry.mitigation.only_views:
                    scorer = _Shown(encoder, entry.mitigation, task.locations, shown)
                    passes = float(entry.mitigation.passes)
                else:
                    scorer, passes = entry.scorer(encoder, task.locations), None
                rows = task.ask(scorer)
                passes = encoder.passes[0] / len(rows) if passes is None else passes
                answers.append(rows.assign(**entry.about, passes=passes))
    return pd.concat(answers, ignore_index=True)


def compare(
    answers: pd.DataFrame, *, confidence: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Measure what each candidate changes against the plain model, on the same pictures.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `ask_all`.
    confidence, resamples, seed
        As for `crosseyed.metrics.accuracy`.

    Returns
    -------
    pandas.DataFrame
        One row for each protocol and candidate, in the order of the answers:

        - `protocol, candidate, family, kind, oracle, passes` as in the answers;
        - `center, off_center, gap`: accuracies in percent and their difference in percentage points, each with the
          ends of its interval in columns ending in ``_low`` and ``_high``;
        - `center_change, off_center_change, gap_change`: the same minus that of the plain model, in percentage
          points, with intervals, paired by picture and resampled by object;
        - `center_p, off_center_p, gap_p`: two-sided p-values of these changes (`crosseyed.metrics.sign_flip_test`),
          corrected by Holm's method (*Scandinavian Journal of Statistics* 6, 1979) for the number of candidates that
          the protocol compares; NaN for the plain model;
        - `n_center, n_off_center, n_objects, unreadable, confidence`.

        Columns about off-center and gap are NaN in a protocol without off-center pictures (the control).

    Raises
    ------
    InputError
        The answers lack the plain model, or a candidate was not asked about the same pictures.
    """
    parts = []
    for protocol, rows in answers.groupby("protocol", sort=False):
        paired = _with_change(rows, protocol)
        about = paired.drop_duplicates("candidate")[
            ["protocol", "candidate", "family", "kind", "oracle", "passes"]
        ]
        options = {"confidence": confidence, "resamples": resamples, "seed": seed}
        measured = _levels(paired, options).merge(_changes(paired, options), on="candidate")
        parts.append(about.merge(measured, on="candidate").reindex(columns=_COLUMNS))
    return pd.concat(parts, ignore_index=True)


def choose(table: pd.DataFrame, most_loss: float = 2.0, protocol: str = "grid") -> pd.DataFrame:
    """Choose the best setting of each family.

    Among the settings that cost the center at most `most_loss` points it is the one with the highest accuracy
    off-center; if all cost more, the one that costs least. Of equally good settings it is the one with fewer passes,
    then the first.

    Parameters
    ----------
    table : pandas.DataFrame
        From `evaluate`, on validation pictures.
    most_loss : float
        Percentage points that the center may lose.
    protocol : str
        The protocol to choose by.

    Returns
    -------
    pandas.DataFrame
        The chosen rows, one for each family but the plain model, and the columns `settings` (how many there were to
        choose from) and `harmless` (whether the loss is within `most_loss`).

    Raises
    ------
    InputError
        The table has no candidate for the protocol.
    """
    rows = table[(table["protocol"] == protocol) & (table["candidate"] != BASELINE)]
    if rows.empty:
        raise InputError(f"table has no candidate under the protocol {protocol!r}; evaluate some first")
    rows = rows.assign(harmless=rows["center_change"] >= -most_loss - 1e-9)
    rows = rows.assign(
        settings=rows.groupby("family")["candidate"].transform("size"),
        merit=rows["off_center"].where(rows["harmless"], rows["center_change"]),
    )
    best = rows.sort_values(["harmless", "merit", "passes"], ascending=[False, False, True], kind="stable")
    return best.drop_duplicates("family").sort_index().drop(columns="merit").reset_index(drop=True)


def fates(
    answers: pd.DataFrame,
    candidate: str,
    found: pd.DataFrame,
    *,
    protocol: str = "grid",
    confidence: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
) -> pd.DataFrame:
    """Say what became of each object: recognised, repaired, or lost, and whether it was there at all.

    An object that a candidate does not recognise can be lost for two reasons. If a probe finds it in the tokens under
    it (`crosseyed.probes.probe_layers`), it was lost on the way from there to the embedding, so another way might
    keep it; if not, the tokens say nothing that this probe could read, and no pooling helps. The probe was told where
    the object is and chooses among fewer names, so what it finds is a ceiling, and not a mitigation.

    Parameters
    ----------
    answers : pandas.DataFrame
        From `ask_all`.
    candidate : str
        The candidate in question.
    found : pandas.DataFrame
        With `image` and `correct`, whether the probe found the object: of every picture of the protocol, and maybe of
        others.
    protocol : str
        The protocol in question.
    confidence, resamples, seed
        As for `crosseyed.metrics.accuracy`.

    Returns
    -------
    pandas.DataFrame
        For the center (`center` is True) and then off-center one row for each of `FATES`: `center`, `fate`, `share` of
        the pictures in percent with `low` and `high`, `n` pictures and `confidence`. The shares of a place add up to
        100. Pictures that cannot be read are left out.

    Raises
    ------
    InputError
        The candidate was not asked, or a picture is missing in `found`.
    """
    asked = answers[answers["protocol"] == protocol]
    if candidate == BASELINE or candidate not in set(asked["candidate"]):
        near = suggest(candidate, asked["candidate"].unique()) or "."
        raise InputError(f"The candidate {candidate!r} was not asked under the protocol {protocol!r}{near}")
    before, after = (asked[asked["candidate"] == name].set_index("image") for name in (BASELINE, candidate))
    probed = found.set_index("image")["correct"].reindex(after.index)
    readable = before["correct"].notna() & after["correct"].notna()
    if probed[readable].isna().any():
        raise InputError(f"found lacks {probed[readable].isna().sum()} of the pictures of {protocol!r}")
    after = after[readable]
    was, is_, there = (
        column[readable].astype(bool) for column in (before["correct"], after["correct"], probed)
    )
    parts = [was & is_, ~was & is_, was & ~is_, ~was & ~is_ & there, ~was & ~is_ & ~there]
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    shares = [
        metrics.mean(after.assign(share=100.0 * part), "share", "center", **options).assign(fate=fate)
        for fate, part in zip(FATES, parts, strict=True)
    ]
    table = pd.concat(shares).rename(columns={"mean": "share"})
    table = table.sort_values("center", ascending=False, kind="stable", ignore_index=True)
    return table[["center", "fate", "share", "low", "high", "n", "confidence"]]


def measure_cost(
    model: ClipModel,
    candidates: Sequence[Mitigation | PooledModel | str],
    task: Task,
    *,
    n_images: int = 8,
    rounds: int = 2,
) -> pd.DataFrame:
    """Measure how long each candidate takes, alone, over the time of the plain model.

    Parameters
    ----------
    model, candidates
        As for `evaluate`.
    task : Task
        Pictures to take the time on, with locations if there are oracles among the candidates.
    n_images : int
        Number of pictures, spread over the task.
    rounds : int
        In each round every candidate has its turn beside the plain model, so that a busy machine slows both.

    Returns
    -------
    pandas.DataFrame
        One row for the plain model and each candidate: `candidate`, `cost` (the median over rounds of the time over
        that of the plain model on the same pictures, 1 for the plain model itself) and `seconds` (an image, median).

    Raises
    ------
    InputError
        As for `evaluate`.
    """
    entries = _entries(model, candidates)
    shown = np.linspace(0, len(task.images) - 1, min(n_images, len(task.images))).astype(int)
    images = [task.images[place] for place in shown]
    locations = None if task.locations is None else [task.locations[place] for place in shown]
    texts = [f"a photo of a {label}" for label in task.table["object"].unique()[:8]]
    scorers = [entry.scorer(model, locations) for entry in entries]
    seconds = np.empty((rounds + 1, len(entries)))
    for timed in seconds:
        for place, scorer in enumerate(scorers):
            start = time.perf_counter()
            scorer.similarities(images, texts, progress=False)
            timed[place] = time.perf_counter() - start
    seconds = seconds[1:]  # the first round warms up
    plain = [entry.name for entry in entries].index(BASELINE)
    return pd.DataFrame(
        {
            "candidate": [entry.name for entry in entries],
            "cost": np.median(seconds / seconds[:, [plain]], axis=0),
            "seconds": np.median(seconds, axis=0) / len(images),
        }
    )


def name_of(candidate: Mitigation | PooledModel) -> str:
    """Name a candidate as the tables do.

    Parameters
    ----------
    candidate : Mitigation or PooledModel
        Any.

    Returns
    -------
    str
        The mitigation's name; of a re-pooled model ``"pooling: "`` and its pooling.
    """
    return f"pooling: {candidate.pooling}" if isinstance(candidate, PooledModel) else candidate.name


def family_of(mitigation: Mitigation) -> str:
    """Name what a mitigation is a setting of.

    Parameters
    ----------
    mitigation : Mitigation
        Any.

    Returns
    -------
    str
        Its label, with the kind of a visual prompt, as in ``"visual prompt: circle"``; of a gated or composed one
        the families of what it consists of, as in ``"gated cyclic shifts"``.
    """
    if isinstance(mitigation, Composed):
        return " + ".join(family_of(part) for part in mitigation.parts)
    if isinstance(mitigation, Gated):
        return f"{mitigation.label} {family_of(mitigation.ensemble)}"
    if isinstance(mitigation, Prompted | ProposedPrompts):
        return f"{mitigation.label}: {mitigation.kind}"
    return mitigation.label


# --- candidates ---


@dataclass(frozen=True, eq=False)
class _Entry:
    """A candidate as the tables know it: a mitigation, a re-pooled model, or neither for the plain model."""

    name: str
    family: str
    kind: str
    mitigation: Mitigation | None = None
    pooled: PooledModel | None = None

    @property
    def oracle(self) -> bool:
        return _told(self.mitigation)

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


def _told(candidate: object) -> bool:
    """Whether a candidate is an oracle."""
    return isinstance(candidate, Mitigation) and candidate.needs_location


@dataclass(frozen=True, eq=False)
class _Counting(Around, Encoder):
    """A model that counts its passes, and reads every text once, as no candidate changes the text tower."""

    clip_model: ClipModel
    read: dict[str, np.ndarray] = field(repr=False)
    passes: list[int] = field(default_factory=lambda: [0])

    @property
    def name(self) -> str:
        return self.clip_model.name

    @property
    def inner(self) -> Scorer:
        return self.clip_model

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        new = [text for text in dict.fromkeys(texts) if text not in self.read]
        self.read.update(zip(new, self.clip_model.encode_texts(new), strict=True))
        return np.stack([self.read[text] for text in texts])

    def encode_images(self, images: Iterable[ImageSource], *, progress: bool = True) -> np.ndarray:
        vectors = self.clip_model.encode_images(images, progress=progress)
        self.passes[0] += len(vectors)
        return vectors


@dataclass(frozen=True, eq=False)
class _Views(Mitigation):
    """The views of a mitigation, not combined: their similarities one behind the other."""

    label: ClassVar[str] = "views"
    of: Mitigation

    @property
    def needs_location(self) -> bool:
        return self.of.needs_location

    @property
    def count(self) -> int:
        return self.of.count

    def views(self, image: np.ndarray, location: Location | None) -> list[np.ndarray]:
        return self.of.views(image, location)

    def combine(self, similarities: np.ndarray, logit_scale: float) -> np.ndarray:
        return similarities.reshape(len(similarities), -1)


@dataclass(frozen=True, eq=False)
class _Shown(Around):
    """A mitigation that changes only the picture: the first of those with the same views has them encoded."""

    encoder: Encoder
    mitigation: Mitigation
    locations: Sequence[Location] | None
    shown: dict[Mitigation, np.ndarray]

    @property
    def name(self) -> str:
        return f"{self.encoder.name}, {self.mitigation.name}"

    @property
    def inner(self) -> Scorer:
        return self.encoder

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        key = _maker_of_views(self.mitigation)
        if key not in self.shown:
            views = mitigate(self.encoder, _Views(key), self.locations if key.needs_location else None)
            self.shown[key] = views.similarities(images, texts, progress=False)
        similarities = self.shown[key].reshape(-1, key.count, len(texts))
        return self.mitigation.combine(similarities, self.logit_scale)


def _maker_of_views(mitigation: Mitigation) -> Mitigation:
    """Return one and the same mitigation for all that show the same views and combine them in different ways."""
    if isinstance(mitigation, Gated) and mitigation.count == mitigation.ensemble.count:
        return _maker_of_views(mitigation.ensemble)
    if isinstance(mitigation, Ensemble):
        return replace(mitigation, aggregate="max", temperature=1.0)
    return mitigation


@dataclass(frozen=True, eq=False)
class _Together(Around):
    """One of several re-pooled models of the same tower: the first that is asked answers for all of them."""

    pooled: PooledModel
    group: Sequence[PooledModel]
    answers: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return self.pooled.name

    @property
    def inner(self) -> Scorer:
        return self.pooled

    def similarities(
        self, images: Iterable[ImageSource], texts: Sequence[str], *, progress: bool = True
    ) -> np.ndarray:
        if not self.answers:
            every = pool_together(self.group, images, texts, progress=False)
            self.answers.update(zip([each.name for each in self.group], every, strict=True))
        return self.answers[self.pooled.name]


# --- pictures ---


def _task(protocol: str, scenes: Sequence[Scene], labels: Sequence[str] | None) -> Task:
    describe = stimuli.pair_table if protocol == "pair" else stimuli.scene_table
    first = [scene.placements[0] for scene in scenes]
    return Task(
        protocol,
        [scene.render() for scene in scenes],
        describe(scenes),
        labels,
        [Location(place.x, place.y, place.size) for place in first],
    )


def _one_rendering(cutouts: Sequence[Cutout], rng: np.random.Generator) -> list[Cutout]:
    """Keep one cut-out of each object, of so many renderings in turn that each has two objects, to make pairs of."""
    objects = stimuli.objects_of(cutouts)
    n_renderings = max(1, min(len({cutout.style for cutout in cutouts}), len(objects) // 2))
    turn = dict(zip(rng.permutation(objects), range(len(objects)), strict=True))
    kept = []
    for object_ in objects:
        renderings = [cutout for cutout in cutouts if cutout.object == object_]
        kept.append(renderings[turn[object_] % n_renderings % len(renderings)])
    return kept


def _some_cells(scenes: Sequence[Scene], cells: int, rng: np.random.Generator) -> list[Scene]:
    """Keep the center and some other cells of each cut-out; scenes come cut-out by cut-out."""
    kept, center = [], GRID_SIZE**2 // 2
    others = np.delete(np.arange(GRID_SIZE**2), center)
    for start in range(0, len(scenes), GRID_SIZE**2):
        places = sorted([center, *rng.choice(others, cells, replace=False)])
        kept += [scenes[start + place] for place in places]
    return kept


# --- numbers ---


def _with_change(rows: pd.DataFrame, protocol: str) -> pd.DataFrame:
    """Add `change`: 100, 0 or −100 points against the plain model on the same picture."""
    plain = rows[rows["candidate"] == BASELINE].set_index("image")["correct"]
    if plain.empty:
        raise InputError(f"the answers to {protocol!r} lack those of the plain model, {BASELINE!r}")
    for name, part in rows.groupby("candidate", sort=False):
        if not part["image"].is_unique or set(part["image"]) != set(plain.index):
            raise InputError(
                f"{name!r} was not asked once about each picture of the plain model in {protocol!r}"
            )
    correct, before = (
        values.to_numpy(dtype=float, na_value=np.nan)
        for values in (rows["correct"], rows["image"].map(plain))
    )
    return rows.assign(change=100 * (correct - before))


def _levels(paired: pd.DataFrame, options: dict[str, object]) -> pd.DataFrame:
    """Measure accuracies and gap of each candidate, with intervals."""
    if paired["center"].all():
        level = metrics.accuracy(paired, "candidate", **options).rename(
            columns={"accuracy": "center", "low": "center_low", "high": "center_high", "n": "n_center"}
        )
        return level.assign(n_off_center=0)
    level = metrics.center_bias(paired, "candidate", **options)
    return level.drop(columns=level.filter(like="bias_index").columns).rename(
        columns=lambda name: name.replace("_accuracy", "")
    )


def _changes(paired: pd.DataFrame, options: dict[str, object]) -> pd.DataFrame:
    """Measure the changes of each candidate, with intervals and corrected p-values."""
    if paired["center"].all():
        changes = metrics.mean(paired, "change", "candidate", **options).rename(
            columns={"mean": "center_change", "low": "center_change_low", "high": "center_change_high"}
        )
        changes = changes[["candidate", "center_change", "center_change_low", "center_change_high"]]
    else:
        changes = metrics.center_difference(paired, "change", "candidate", **options).rename(
            columns=lambda name: name.replace("_mean", "_change").replace("difference", "gap_change")
        )
        changes = changes.drop(columns="confidence")
    for quantity, contrast in _contrasts(paired).items():
        changes[f"{quantity}_p"] = changes["candidate"].map(_corrected(contrast, options))
    return changes


def _contrasts(paired: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Give rows whose mean `change` is that of the center, off-center and of the gap."""
    center = paired["center"].astype(bool)
    contrasts = {"center": paired[center]}
    if not center.all():
        n = paired.groupby("candidate")["change"].transform("count")
        n_side = paired.groupby(["candidate", "center"])["change"].transform("count")
        weight = np.where(center, 1, -1) * n / n_side
        contrasts |= {"off_center": paired[~center], "gap": paired.assign(change=paired["change"] * weight)}
    return contrasts


def _corrected(contrast: pd.DataFrame, options: dict[str, object]) -> pd.Series:
    """Test each candidate's mean change against zero; by candidate, corrected for their number."""
    flips = {"resamples": options["resamples"], "seed": options["seed"]}
    tested = metrics.sign_flip_test(contrast, "change", "candidate", **flips)
    p_values = tested.set_index("candidate")["p_value"].drop(BASELINE).dropna()
    if len(p_values):
        p_values[:] = multipletests(p_values, method="holm")[1]
    return p_values
