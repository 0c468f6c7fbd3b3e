"""Which interval each kind of number has: one rule for a kind, wherever it is computed."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """How the interval of a kind of number is computed."""

    number: str
    """What it is the interval of, in words."""
    varies: str
    """What would be others if the study were made again."""
    interval: str
    """The rule, in words."""
    module: str
    """The module that says how, below `crosseyed`."""


RULES = {
    "share": Rule(
        "an accuracy, or another share",
        "objects",
        "Wilson's, with the clustered sample size, and Student's t where it is estimated",
        "measure.proportions",
    ),
    "gap": Rule(
        "a gap, and the index that is made of it",
        "objects",
        "recovered from those of both accuracies",
        "measure.recovery",
    ),
    "mean": Rule(
        "a mean; a change of an accuracy or gap",
        "objects; both sides of a change on the same images",
        "Student's t, with the standard error of a bootstrap of whole objects, and longer on the side to which it is "
        "skewed",
        "measure.resampling",
    ),
    "picked": Rule(
        "the change of the best of several candidates",
        "objects, others than those that picked it",
        "as of a change",
        "measure.resampling",
    ),
    "ratio": Rule(
        "a part of a whole",
        "objects",
        "Fieller's, from the t intervals of part and whole",
        "measure.shares",
    ),
    "auroc": Rule(
        "an AUROC",
        "objects",
        "Student's t on the logit scale; of a difference recovered from both",
        "measure.calibration",
    ),
    "pairs": Rule(
        "anything about images of two objects",
        "objects, in two roles",
        "as of accuracy and gap, with the dyadic variance",
        "measure.dyadic",
    ),
    "crossed": Rule(
        "a change that training makes",
        "training seeds and objects, crossed",
        "two-way variance, with a quantile of Student's t for seeds and one for objects",
        "measure.crossed",
    ),
    "slope": Rule(
        "an odds ratio of eccentricity",
        "objects",
        "Student's t, with the sandwich variance",
        "measure.regression",
    ),
    "photographs": Rule(
        "the same in photographs",
        "photographs and categories, crossed",
        "Student's t, with the sandwich variance of a mixed logit",
        "measure.mixed_logit",
    ),
    "models": Rule(
        "what published models have in common",
        "models",
        "Student's t; of a rank correlation Fisher's z",
        "report.comparison",
    ),
    "test": Rule(
        "a test (the share of cases without an effect that it does not reject at 5 %)",
        "objects",
        "permutations within objects, or sign flips of objects",
        "measure.permutation",
    ),
}
"""The rules by name; how often each interval contains the truth is in ``data/results/coverage.csv``."""
