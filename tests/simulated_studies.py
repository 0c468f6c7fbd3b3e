"""Simulated studies of which the truth is known, to see how often the intervals of the library contain it.

Every study has the objects, cells and renderings of a real one. Objects, their backgrounds and what place does to each
of them have random effects on the logit scale, with the spreads of the tables in ``data/results``. The truth is what
an interval is about: the value in the population that objects, backgrounds, photographs and training seeds are drawn
from, which differs from the value at a random effect of zero. It is integrated over the effects (Gauss-Hermite), or
known in closed form, or that of a population which is too large to matter; cells are fixed.

A study has `truths` by quantity; `draw` makes one data set, and `intervals` measures several, which share the draws of
the bootstrap: it returns both ends of each quantity for each (n, 2).
"""

import itertools
from dataclasses import dataclass
from functools import cache, cached_property

import numpy as np
import pandas as pd
from scipy import optimize, stats
from scipy.special import expit

from crosseyed.files import DATA
from crosseyed.measure import bootstrap, calibration, crossed, dyadic, permutation, shares
from crosseyed.measure.mixed_logit import mixed_slope
from crosseyed.measure.protocols import CHOICES
from crosseyed.measure.regression import eccentricity_slope
from crosseyed.report import comparison

RESAMPLES = 999
"""Draws of a bootstrap: fewer than in the study, so that many studies can be simulated."""

TILT = 1.5
"""Standard deviation between objects of the effect of eccentricity, from center to corner (logits)."""

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def expected(function, mean, sd):
    """Return the expectation of a function of a normal variable, for arrays of its mean and standard deviation."""
    mean, sd = np.broadcast_arrays(np.asarray(mean, float), np.asarray(sd, float))
    return function(mean[..., None] + sd[..., None] * _NODES) @ _WEIGHTS


@cache
def spreads():
    """Return the standard deviations (logits) between objects, and between the scenes of one, in the kept tables.

    The median over models, off-center. Two renderings of an object stand on two backgrounds, so their covariance is
    the variance between objects; what they do not share is the scene's own.
    """
    tables = [pd.read_csv(DATA / "results" / f"{name}.csv.gz") for name in ("origins", "pooling")]
    found = []
    for _, rows in itertools.chain(
        *(table[table["protocol"] == "grid"].groupby("model") for table in tables)
    ):
        by_scene = rows[~rows["center"]].groupby(["object", "style"])["correct"].mean().unstack()
        n = len(rows[~rows["center"]]) / by_scene.size
        share, (first, second) = by_scene.to_numpy().mean(), by_scene.to_numpy().T
        shared = np.cov(first, second)[0, 1]
        alone = (first.var(ddof=1) + second.var(ddof=1)) / 2 - share * (1 - share) / n
        found.append((_logit_sd(share, shared), _logit_sd(share, alone)))
    between, total = np.nanmedian(found, axis=0)
    return between, np.sqrt(total**2 - between**2)


def _logit_sd(share, variance):
    """Return the standard deviation of logits whose shares have this mean and variance; NaN if there is none."""

    def excess(sd):
        mean = centered(share, [0.0], [sd])
        return expected(lambda x: expit(x) ** 2, mean, sd) - share**2 - variance

    return optimize.brentq(excess, 0, 10) if 0 < variance < 0.95 * share * (1 - share) else np.nan


def centered(share, offsets, sds):
    """Return the logit at which the mean of ``expit(logit + offset + sd * normal)`` is a share."""
    offsets, sds = np.asarray(offsets), np.asarray(sds)
    return optimize.brentq(lambda level: expected(expit, level + offsets, sds).mean() - share, -60, 60)


def ends(table, name=None):
    """Return the ends of intervals (n, 2), those of the columns that begin with a name if there are several."""
    prefix = f"{name}_" if name else ""
    return table[[f"{prefix}low", f"{prefix}high"]].to_numpy(dtype=float)


def stacked(frame, columns):
    """Return the table of several studies, numbered in the column `study`; `columns` are lists of arrays by name."""
    n = len(next(iter(columns.values())))
    table = pd.concat([frame] * n, ignore_index=True)
    table["study"] = np.repeat(np.arange(n), len(frame))
    return table.assign(**{name: np.concatenate(values) for name, values in columns.items()})


@dataclass(frozen=True)
class Grid:
    """Single objects in the cells of a grid, seen by a model and by a mitigation of it."""

    together = 250  # studies that are measured in one go

    n_objects: int
    k: int
    center: float  # accuracy at the center
    off_center: float
    n_styles: int = 1
    photographs: int = 0  # so many fixed backgrounds that are dealt to the scenes; 0: each has its own
    gain: float = 0.05  # of the mitigation off-center

    @cached_property
    def cells(self):
        places = (np.arange(self.k) + 0.5) / self.k - 0.5
        return np.hypot(*np.meshgrid(places, places)).ravel() / np.sqrt(0.5)

    @cached_property
    def scenes(self):
        """Logits of the fixed backgrounds (n, 1), and the standard deviation of those that are not."""
        sd = spreads()[1]
        quantiles = stats.norm.ppf((np.arange(self.photographs) + 0.5) / max(self.photographs, 1))
        return (sd * quantiles[:, None], 0.0) if self.photographs else (np.zeros((1, 1)), sd)

    @cached_property
    def levels(self):
        """Logit at each cell of the model and of the mitigation, and the standard deviation there."""
        fixed, scene = self.scenes
        sd = np.sqrt(spreads()[0] ** 2 + scene**2 + (TILT * self.cells) ** 2)
        at_center, found = self.cells < 1 / 7, []
        for share in (self.off_center, min(self.off_center + self.gain, 0.99)):
            level = -self.cells.copy()
            level[~at_center] += centered(share, (level + fixed)[:, ~at_center], sd[~at_center])
            level[at_center] += centered(self.center, (level + fixed)[:, at_center], sd[at_center])
            found.append(level)
        return (*found, sd)

    @cached_property
    def frame(self):
        rows = itertools.product(range(self.n_objects), range(self.n_styles), range(self.k**2))
        table = pd.DataFrame(rows, columns=["object", "style", "cell"])
        table["eccentricity"] = self.cells[table["cell"]]
        return table.assign(center=table["eccentricity"] < 1 / 7)

    @cached_property
    def truths(self):
        (first, second, sd), center, fixed = self.levels, self.cells < 1 / 7, self.scenes[0]
        before, after = (expected(expit, level + fixed, sd).mean(axis=0) for level in (first, second))
        value, part = (
            expected(expit, (level + fixed) / 2, sd / 2).mean(axis=0) for level in (first, first - 1)
        )
        gap, mitigated = (shown[center].mean() - shown[~center].mean() for shown in (before, after))
        return {
            "cell": 100 * before[0],
            "center": 100 * before[center].mean(),
            "off_center": 100 * before[~center].mean(),
            "gap": 100 * gap,
            "index": gap / before[center].mean(),
            "change": 100 * (after[~center].mean() - before[~center].mean()),
            "gap_change": 100 * (mitigated - gap),
            "mean": value.mean(),
            "difference": value[center].mean() - value[~center].mean(),
            "share": part.mean() / value.mean(),
        }

    def draw(self, rng):
        fixed, scene = self.scenes
        shape = (self.n_objects, self.n_styles, len(self.cells))
        random = spreads()[0] * rng.normal(size=(shape[0], 1, 1))
        random = random + TILT * rng.normal(size=(shape[0], 1, 1)) * self.cells
        random = random + scene * rng.normal(size=(*shape[:2], 1)) + rng.choice(fixed[:, 0], (*shape[:2], 1))
        first, second, _ = self.levels
        luck = rng.random(shape)
        again = np.where(rng.random(shape) < 0.7, luck, rng.random(shape))
        before, after = luck < expit(random + first), again < expit(random + second)
        # any other quantity, and a part of it: shares that differ less between objects than answers do
        value, part = expit((random + first) / 2), expit((random + first - 1) / 2)
        return tuple(each.ravel() for each in (before, after, value, part))

    def intervals(self, studies, seed):
        before, after, value, part = zip(*studies, strict=True)
        table = stacked(self.frame, {"correct": before, "value": value, "part": part})
        table["change"] = 100.0 * (np.concatenate(after).astype(int) - table["correct"])
        options = {"by": "study", "resamples": RESAMPLES, "seed": seed}
        bias = bootstrap.center_bias(table, **options)
        changes = bootstrap.center_difference(table, "change", **options)
        return {
            "cell": ends(bootstrap.accuracy(table[table["cell"] == 0], "study")),
            "center": ends(bias, "center_accuracy"),
            "off_center": ends(bias, "off_center_accuracy"),
            "gap": ends(bias, "gap"),
            "index": ends(bias, "bias_index"),
            "change": ends(changes, "off_center_mean"),
            "gap_change": ends(changes, "difference"),
            "mean": ends(bootstrap.mean(table, "value", **options)),
            "difference": ends(bootstrap.center_difference(table, "value", **options), "difference"),
            "share": ends(shares.share(table, "part", "value", **options), "share"),
        }


@dataclass(frozen=True)
class Picked:
    """Candidates that change little off-center: some objects pick the best, and others say what it changes.

    Quantities are what the interval says minus the true change of the picked candidate, so the truth is zero.
    """

    together = 250

    k: int
    n_objects: int = 40
    n_validation: int = 56
    own: float = 0.7  # standard deviation of what a candidate changes for one object (logits)

    @cached_property
    def changed(self):
        """Shifts of the logits, and the accuracies off-center (points) that they make, beginning with none."""
        grid = Grid(self.n_objects, 3, 0.95, 0.6)
        level, sd = (each[grid.cells > 1 / 7] for each in (grid.levels[0], grid.levels[2]))
        shifts = np.linspace(-2, 2, 81)
        shares = expected(expit, level + shifts[:, None], np.hypot(sd, self.own)).mean(axis=1)
        return level, shifts, 100 * (shares - expected(expit, level, sd).mean())

    @property
    def truths(self):
        return {"change": 0.0}

    def _answers(self, rng, n, shifts):
        """Return answers without and with candidates (n, cells) and (candidates, n, cells)."""
        level = self.changed[0]
        logits = level + np.hypot(*spreads()) * rng.normal(size=(n, 1))
        luck = rng.random(logits.shape)
        shape = (len(shifts), n, 1)
        moved = logits + np.asarray(shifts)[:, None, None] + self.own * rng.normal(size=shape)
        return luck < expit(logits), luck < expit(moved)

    def draw(self, rng):
        """Return how much more than in truth the picked candidate changes for each new object (points)."""
        shifts = rng.normal(0, 0.2, self.k)
        best = self._answers(rng, self.n_validation, shifts)[1].mean(axis=(1, 2)).argmax()
        plain, moved = self._answers(rng, self.n_objects, shifts[[best]])
        _, at, change = self.changed
        return 100 * (moved[0].mean(axis=1) - plain.mean(axis=1)) - np.interp(shifts[best], at, change)

    def intervals(self, studies, seed):
        table = stacked(pd.DataFrame({"object": np.arange(self.n_objects)}), {"change": studies})
        options = {"by": "study", "resamples": RESAMPLES, "seed": seed}
        return {"change": ends(bootstrap.mean(table, "change", **options))}


@dataclass(frozen=True)
class Pairs:
    """Images of two objects, each named first in some and the partner in others, in four relations."""

    together = 20

    n_objects: int
    both: float  # how often the caption with both objects wins where they are together
    apart: float
    border: float = 0.75  # share of the images with one object left out in which it is the one at the border

    @cached_property
    def levels(self):
        """Logits together and apart of both objects, of the border's being left out, and two standard deviations."""
        between, scene = spreads()
        sd = np.sqrt(between**2 + scene**2)
        levels = [centered(share, [0.0], [sd]) for share in (self.both, self.apart)]
        return (*levels, centered(self.border, [0.0], [between]), between, scene)

    @cached_property
    def truths(self):
        gap = self.both - self.apart
        # who is left out does not depend on whether somebody is
        left = (1 - self.apart) * self.border, (1 - self.apart) * (1 - self.border)
        return {
            "together": 100 * self.both,
            "apart": 100 * self.apart,
            "gap": 100 * gap,
            "index": gap / self.both,
            "left_out": 100 * (left[0] - left[1]),
            "inner": 100 * left[1],
        }

    def draw(self, rng):
        """Return the table of a study: each object with a partner in two renderings and four relations."""
        together, apart, level, between, scene = self.levels
        objects = np.tile(np.arange(self.n_objects), 2)
        partners = rng.integers(self.n_objects - 1, size=len(objects))
        partners += partners >= objects
        half = between / np.sqrt(2)
        shared = half * (rng.normal(size=self.n_objects)[objects] + rng.normal(size=self.n_objects)[partners])
        logits = (
            shared[:, None] + scene * rng.normal(size=(len(objects), 4)) + [together, apart, apart, apart]
        )
        both = rng.random(logits.shape) < expit(logits)
        pull = half * (rng.normal(size=self.n_objects)[objects] - rng.normal(size=self.n_objects)[partners])
        border = rng.random(logits.shape) < expit(level + pull)[:, None]
        choice = np.where(both, CHOICES[0], np.where(border, "object2", "object"))
        return pd.DataFrame(
            {
                "object": np.repeat(objects, 4),
                "object2": np.repeat(partners, 4),
                "together": np.tile([True, False, False, False], len(objects)),
                "correct": both.ravel(),
                "choice": choice.ravel(),
            }
        )

    def intervals(self, studies, seed):
        table = pd.concat([each.assign(study=number) for number, each in enumerate(studies)])
        table = table.reset_index(drop=True)
        gaps, left = dyadic.together_gap(table, "study"), dyadic.left_out(table, "study")
        return {
            "together": ends(gaps, "together_accuracy"),
            "apart": ends(gaps, "apart_accuracy"),
            "gap": ends(gaps, "gap"),
            "index": ends(gaps, "bias_index"),
            "left_out": ends(left, "difference"),
            "inner": ends(left, "second"),
        }


@dataclass(frozen=True)
class Seeds:
    """The change of a gap that training makes: models of several seeds see the same objects."""

    together = 20

    n_seeds: int
    n_objects: int = 32
    of_object: float = 15.0  # standard deviations in points
    of_seed: float = 5.0
    of_both: float = 23.0

    @property
    def truths(self):
        return {"change": 0.0}

    def draw(self, rng):
        shape = (self.n_objects, self.n_seeds)
        values = self.of_object * rng.normal(size=(shape[0], 1)) + self.of_seed * rng.normal(size=shape[1])
        return (values + self.of_both * rng.normal(size=shape)).ravel()

    def intervals(self, studies, seed):
        rows = itertools.product(range(self.n_objects), range(self.n_seeds))
        frame = pd.DataFrame(rows, columns=["object", "seed"])
        table = stacked(frame.assign(image=frame["object"]), {"change": studies})
        return {"change": ends(crossed.mean(table, "change", by="study"))}


@dataclass(frozen=True)
class Slope:
    """Single objects in a grid, for each of which the odds change alike with eccentricity."""

    together = 20

    n_objects: int
    k: int
    slope: float = -0.2  # change of the log odds for each 0.1 of eccentricity

    @property
    def truths(self):
        return {"slope": np.exp(self.slope)}

    def draw(self, rng):
        logits = 1.5 + np.hypot(*spreads()) * rng.normal(size=(self.n_objects, 1))
        logits = logits + 10 * self.slope * (Grid(1, self.k, 0.5, 0.5).cells - 0.5)
        return (rng.random(logits.shape) < expit(logits)).ravel()

    def intervals(self, studies, seed):
        frame = Grid(self.n_objects, self.k, 0.5, 0.5).frame[["object", "eccentricity"]]
        return {"slope": ends(eccentricity_slope(stacked(frame, {"correct": studies}), "study"))}


@dataclass(frozen=True)
class Photographs:
    """One's own photographs: categories differ in their intercepts and slopes, and images in how hard they are.

    Effects of images have the bridge distribution, averaged over which a logistic regression stays one with all of its
    effects multiplied by `bridge` (Wang and Louis, *Biometrika* 90, 2003): so the truth over images is known.
    """

    together = 20

    n_images: int
    per_image: int  # objects in each, of different categories
    bridge: float
    n_categories: int = 15
    slope: float = -0.2
    spread: float = 0.15

    @property
    def truths(self):
        return {"slope": np.exp(self.slope)}

    def draw(self, rng):
        n = self.n_images * self.per_image
        order = rng.random((self.n_images, self.n_categories)).argsort(axis=1)
        category, image = (
            order[:, : self.per_image].ravel(),
            np.repeat(np.arange(self.n_images), self.per_image),
        )
        slopes = self.slope + self.spread * rng.normal(size=self.n_categories)
        distance = rng.beta(2, 3, n)
        area = np.exp(rng.normal(-3 - distance, 1))
        logits = rng.normal(size=self.n_categories)[category] + slopes[category] * 10 * (distance - 0.4)
        logits = (logits + 0.3 * (np.log2(area) + 4.5)) / self.bridge
        if self.bridge < 1:
            at = self.bridge * np.pi * rng.random(self.n_images)
            logits += (np.log(np.sin(at) / np.sin(self.bridge * np.pi - at)) / self.bridge)[image]
        correct = pd.array(rng.random(n) < expit(logits), dtype="boolean")
        columns = {"image": image, "object": category, "instances": 1, "correct": correct}
        return pd.DataFrame(columns | {"eccentricity": distance, "area": area})

    def intervals(self, studies, seed):
        found = [mixed_slope(each, ["area"]).effects.iloc[:1] for each in studies]
        return {"slope": ends(pd.concat(found))}


@dataclass(frozen=True)
class Confidence:
    """Answers with a confidence that knows something about them, at the center and off-center."""

    together = 20

    n_objects: int
    n_rows: int = 9  # the first is at the center

    def draw(self, rng, n_objects=None):
        between, scene = spreads()
        shape = (n_objects or self.n_objects, self.n_rows)
        logits = 0.5 + between * rng.normal(size=(shape[0], 1)) + scene * rng.normal(size=shape)
        logits[:, 0] += 1
        correct = rng.random(shape) < expit(logits)
        return correct, expit(0.3 + 0.4 * logits + 0.5 * rng.normal(size=shape))

    @cached_property
    def truths(self):
        correct, probability = self.draw(np.random.default_rng(0), 200_000)
        areas = []
        for part in (0, slice(1, None)):
            right, value = correct[:, part].ravel(), probability[:, part].ravel()
            ranks, n = stats.rankdata(value)[right], right.sum()
            areas.append((ranks.sum() - n * (n + 1) / 2) / (n * (len(right) - n)))
        return {"auroc": areas[1], "difference": areas[0] - areas[1]}

    def intervals(self, studies, seed):
        found = {name: [] for name in self.truths}
        options = {"resamples": RESAMPLES, "seed": seed}
        for correct, probability in studies:
            table = pd.DataFrame({"correct": correct.ravel(), "probability": probability.ravel()})
            table["object"] = np.repeat(np.arange(self.n_objects), self.n_rows)
            table["center"] = np.tile(np.arange(self.n_rows) == 0, self.n_objects)
            told = calibration.discrimination(table, **options)
            found["auroc"].append(ends(told, "off_center_auroc"))
            found["difference"].append(ends(told, "difference"))
        return {name: np.concatenate(each) for name, each in found.items()}


@dataclass(frozen=True)
class Models:
    """The gaps of published models, and a property that goes along with them."""

    together = 20

    n_models: int
    correlation: float = 0.6

    @property
    def truths(self):
        # Spearman's correlation of normal variables
        return {"rank": 6 / np.pi * np.arcsin(self.correlation / 2), "mean": 10.0}

    def draw(self, rng):
        gap, other = rng.normal(size=(2, self.n_models))
        own = self.correlation * gap + np.sqrt(1 - self.correlation**2) * other
        return pd.DataFrame({"gap": 10 + 5 * gap, "size": own, "family": "one"})

    def intervals(self, studies, seed):
        ranks = pd.concat(comparison.rank_correlation(each, ["size"]) for each in studies)
        return {
            "rank": ends(ranks),
            "mean": ends(pd.concat(comparison.group_means(each, "family") for each in studies)),
        }


@dataclass(frozen=True)
class Nothing:
    """Answers that neither place nor a mitigation changes: how often a test does not reject at 5 %.

    In place of an interval stands that of all p-values from which on it is not rejected, shifted by the p-value, so
    that it contains zero where the test is right.
    """

    together = 250

    n_objects: int
    k: int

    @property
    def truths(self):
        return {"permutation": 0.0, "sign_flip": 0.0}

    def draw(self, rng):
        logits = np.hypot(*spreads()) * rng.normal(size=(self.n_objects, 1)) + np.zeros(self.k**2)
        own = 0.7 * rng.normal(size=(2, self.n_objects, 1))
        return tuple((rng.random(logits.shape) < expit(logits + each)).ravel() for each in own)

    def intervals(self, studies, seed):
        before, after = zip(*studies, strict=True)
        frame = Grid(self.n_objects, self.k, 0.5, 0.5).frame
        table = stacked(frame, {"correct": before})
        table["change"] = np.concatenate(after).astype(float) - table["correct"]
        options = {"by": "study", "resamples": RESAMPLES, "seed": seed}
        found = {
            "permutation": permutation.permutation_test(table, **options),
            "sign_flip": permutation.sign_flip_test(table[~table["center"]], "change", **options),
        }
        return {
            name: np.stack([0.05 - tested["p_value"], 1 - tested["p_value"]], axis=1)
            for name, tested in found.items()
        }
