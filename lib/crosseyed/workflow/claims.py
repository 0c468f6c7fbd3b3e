"""The claims that the study tests, as data: who makes each and where, and the rule that decides about it.

Of {cite:t}`chew2026crosseyed` and of {cite:t}`li2022eclip` only the abstracts were at hand when the claims were written
down; what stands there is said to be *made* there. What only follows from it, in our reading, is called an inference of
ours, so that no paper answers for it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from crosseyed.editions import Description
from crosseyed.report import tables
from crosseyed.workflow import evidence
from crosseyed.workflow.evidence import Evidence
from crosseyed.workflow.results import own_rows


@dataclass(frozen=True)
class Claim:
    """One claim, in our words, and its test."""

    statement: str
    source: str
    """Citation key of the paper."""
    made: str
    """Where the paper makes it, or in what sense it does."""
    quantity: str
    """What is measured."""
    rule: str
    """When it is supported; fixed before the tables were looked at."""
    would_change: str
    """What would change the verdict."""
    chapter: str
    section: str
    """Heading of the chapter under which the figure stands."""
    table: str
    """Table of the chapter, by its name in `crosseyed.report.tables.TABLES`."""
    function: str
    """The function that measures it, such as ``"measure.bootstrap.center_bias"``."""
    test: Callable[[pd.DataFrame], Evidence]
    every_model: bool = False
    """Whether the test is about all models of the table, not only that of the edition."""
    unpublished: str = ""
    """What of the method the paper does not publish; then the study tries methods of its own and judges no claim."""

    def evidence(self, folder: Path, model: Description) -> Evidence:
        """Test the claim with the tables of an edition.

        Raises
        ------
        UnavailableTableError
            It cannot be tested; the message is the reason.
        """
        table = tables.read(folder, self.chapter, self.table)
        return self.test(table if self.every_model else own_rows(table, model))


_ABOVE_ZERO = (
    "Supported if the interval lies above zero, contradicted if below, not supported if it contains zero."
)
_ON_OTHERS = (
    "Settings are chosen on validation objects, and the one best candidate too; its change on the test objects counts. "
    + _ABOVE_ZERO
)
_BACK = "change of the accuracy off-center, candidate minus unchanged model, on the same images (points)"

CLAIMS = (
    Claim(
        statement="An object off-center is recognised less often than the same object at the center.",
        source="chew2026crosseyed",
        made="abstract",
        quantity="center-bias gap of single objects on a grid (points)",
        rule=_ABOVE_ZERO,
        would_change="A gap that other objects, backgrounds, sizes or renderings do not show.",
        chapter="01_center_bias",
        section="Accuracy over the grid",
        table="bias",
        function="measure.bootstrap.center_bias",
        test=evidence.gap,
    ),
    Claim(
        statement="Of two objects, the one off-center is left out of the caption that fits best (composed scenes).",
        source="chew2026crosseyed",
        made="in general in the abstract; the test with four captions in the authors' public script",
        quantity="images in which the object off-center is left out minus those in which its partner is (points)",
        rule=_ABOVE_ZERO,
        would_change="Scenes in which the partner is left out as often.",
        chapter="01_center_bias",
        section="Two objects, four captions",
        table="pair_left_out",
        function="measure.dyadic.left_out",
        test=evidence.left_out,
    ),
    Claim(
        statement="The same holds for What'sUp's photographs.",
        source="chew2026crosseyed",
        made="the authors' public script; the photographs are those of Kamath, Hessel and Chang",
        quantity="as in composed scenes (points)",
        rule=_ABOVE_ZERO,
        would_change="The photographs: without them it is not tested.",
        chapter="01_center_bias",
        section="What'sUp's photographs",
        table="whatsup_left_out",
        function="measure.dyadic.left_out",
        test=evidence.left_out,
    ),
    Claim(
        statement="The object off-center is present in the tokens and lost on the way to the embedding.",
        source="chew2026crosseyed",
        made="abstract, of concepts that vanish in the aggregation of tokens",
        quantity="how often a linear probe, learned in the same cell, finds the object off-center in its own tokens, "
        "minus in the embedding; and minus with random weights, and with shuffled names (points)",
        rule="Supported if the intervals of all three lie above zero, contradicted if that of the first lies below, "
        "otherwise not supported. The two controls say whether the object is present at all, and contradict nothing.",
        would_change="A probe that reads the tokens better: none is a ceiling.",
        chapter="02_embedding_decomposition",
        section="Is it lost on the way?",
        table="lost",
        function="report.presence.conditions",
        test=evidence.lost_on_the_way,
    ),
    Claim(
        statement="The pooled token attends less to an object off-center.",
        source="chew2026crosseyed",
        made="abstract, of a focus on the central region that attention maps show",
        quantity="attention that the object adds to its place, over its area, center minus off-center",
        rule=_ABOVE_ZERO,
        would_change="Another measure of attention than that of the last layer.",
        chapter="03_attention_maps",
        section="On the object",
        table="found",
        function="measure.bootstrap.center_difference",
        test=evidence.overlooked,
    ),
    Claim(
        statement="Tokens of the background are more similar to the caption than those of the object.",
        source="li2022eclip",
        made="abstract",
        quantity="mean similarity elsewhere minus on the object, before pooling, in the map as it is (from 0 to 1)",
        rule=_ABOVE_ZERO,
        would_change="Photographs instead of composed scenes, whose background holds no other objects.",
        chapter="03_attention_maps",
        section="Is the background preferred?",
        table="contrast",
        function="internals.explain.itsm",
        test=evidence.background,
    ),
    Claim(
        statement="A head with masked max pooling moves the similarity map onto the object.",
        source="li2022eclip",
        made="abstract",
        quantity=(
            "AUROC that the object adds to the map of the trained head, beside what its place has without it, minus "
            "the same of the unchanged model"
        ),
        rule="Supported if this interval and that of what the object adds to the map of the trained head lie above "
        "zero, contradicted if the first lies below, not supported otherwise.",
        would_change="Training of the size that the authors used; the head here sees some hundred drawings.",
        chapter="04_pooling_ablation",
        section="Maps before and after masked max pooling",
        table="masked_max",
        function="mitigations.head_training.train_heads",
        test=evidence.masked_max,
    ),
    Claim(
        statement="Another pooling of the same tokens, without training, brings objects off-center back.",
        source="chew2026crosseyed",
        made="not made there: an inference of ours from the abstract, which holds the reliance on pooling responsible",
        quantity=_BACK,
        rule=_ON_OTHERS,
        would_change="A pooling that is not among those tried.",
        chapter="04_pooling_ablation",
        section="Accuracy from center to corner",
        table="poolings",
        function="mitigations.evaluation.compare",
        test=evidence.picked_change,
    ),
    Claim(
        statement="A visual prompt at the object (a mark, or less of everything else) brings objects off-center back.",
        source="chew2026crosseyed",
        made="abstract, of visual prompting in general",
        quantity=_BACK,
        rule=_ON_OTHERS,
        would_change="The authors' prompts, once they are published.",
        chapter="05_mitigations",
        section="What is gained, and what it costs",
        table="visual_prompts",
        function="mitigations.evaluation.compare",
        test=evidence.picked_change,
        unpublished="which prompts, in which places",
    ),
    Claim(
        statement="Zooming in, by a crop around the object, brings objects off-center back.",
        source="subramanian2022reclip",
        made="not made there: the crop is theirs, for referring expressions; that it helps off-center is ours",
        quantity=_BACK,
        rule=_ON_OTHERS,
        would_change="Objects so large that a crop around them changes little.",
        chapter="05_mitigations",
        section="What is gained, and what it costs",
        table="zoom",
        function="mitigations.evaluation.compare",
        test=evidence.picked_change,
    ),
    Claim(
        statement="Redistributing attention brings objects off-center back.",
        source="chew2026crosseyed",
        made="abstract, of attention redistribution in general",
        quantity=_BACK,
        rule=_ON_OTHERS,
        would_change="The authors' redistribution, once it is published.",
        chapter="05_mitigations",
        section="What is gained, and what it costs",
        table="attention_changes",
        function="mitigations.evaluation.compare",
        test=evidence.picked_change,
        unpublished="which attention is redistributed, by how much, in which layers",
    ),
    Claim(
        statement="Center bias persists in recent models of the family.",
        source="chew2026crosseyed",
        made="abstract",
        quantity="smallest center-bias gap of the recent models that have been measured (points)",
        rule="Supported if the interval of every recent model lies above zero, contradicted if one lies below.",
        would_change="A recent model without a gap.",
        chapter="06_model_family",
        section="Gap and index of every model",
        table="recent",
        function="report.comparison.recent",
        test=evidence.smallest_gap,
        every_model=True,
    ),
)
"""The claims, in the order of the chapters that test them."""
