"""The verdict of the chapter on mitigations.

Throughout, a row or table is one of `crosseyed.mitigations.evaluation.compare`. Where one of several candidates is
named, the validation images picked it.
"""

import pandas as pd

from crosseyed.escapes import markdown
from crosseyed.mitigations.evaluation import acting, picked
from crosseyed.mitigations.marks import PROMPTS
from crosseyed.mitigations.outcomes import OUTCOMES
from crosseyed.mitigations.protocol import BenchmarkProtocol
from crosseyed.mitigations.scoring import BASELINE
from crosseyed.mitigations.visual_prompts import Prompted
from crosseyed.report.verdicts.words import p_text, span
from crosseyed.settings import SIGNIFICANCE

_CLAIMS = {
    "visual_prompts": tuple(f"{Prompted.label}: {kind}" for kind in PROMPTS if kind != "crop"),
    "zoom": (f"{Prompted.label}: crop",),
    "attention_changes": (
        *("radial attention", "uniform mix"),
        *("RF-CLIP", "ScalingVis", "AdaptVis", "Locate-Then-Correct"),
    ),
}


def by_claim(table: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the candidates of the grid that belong to each claim about mitigations, by the name of their table.

    One that changes no score of the model is neither for nor against a claim and is left out.
    """
    rows = acting(table[(table["protocol"] == "grid") & (table["candidate"] != BASELINE)])
    return {name: rows[rows["family"].str.startswith(families)] for name, families in _CLAIMS.items()}


def by_protocol(registered: BenchmarkProtocol, followed: BenchmarkProtocol) -> str:
    """Say whether a run follows the protocol that is registered, and if not, in what it differs."""
    changed = registered.differences(followed)
    if not changed:
        return (
            f"This run follows version {registered.version} of the protocol (digest `{registered.digest}`)."
        )
    return (
        f"**This run is not by the protocol** (version {registered.version}): {markdown(', '.join(changed))}. Its "
        "numbers are not comparable with those of runs that are."
    )


def summary(
    name: str,
    winner: pd.Series,
    settled: pd.DataFrame,
    became: pd.DataFrame | None,
    most_loss: float,
) -> str:
    """Say what to use for a model, what it costs, and what remains.

    Parameters
    ----------
    name : str
        The model.
    winner : pandas.Series
        The candidate that validation chose among those that are not told where the object is, with its `family`.
    settled : pandas.DataFrame
        The chosen candidate of each family, with measured `cost` and `validation_rank`, and the plain model.
    became : pandas.DataFrame or None
        Of `crosseyed.mitigations.outcomes.outcomes` for the winner; None for a tower whose tokens cannot be read.
    most_loss : float
        Percentage points that a harmless candidate may cost the center.
    """
    on_grid = settled[settled["protocol"] == "grid"].set_index("family", drop=False)
    plain, family = on_grid.loc[BASELINE], winner["family"]
    on_grid, idle = acting(on_grid), on_grid.drop(acting(on_grid).index)
    oracle = on_grid["oracle"].astype(bool)
    cheap = on_grid[(on_grid["kind"] == "mitigation") & ~oracle & (on_grid["passes"] <= 2)]
    paired = settled[(settled["family"] == family) & (settled["protocol"] == "pair")].iloc[0]
    lines = [
        _chosen(on_grid.loc[family], most_loss),
        *_picked("With at most two passes", cheap),
        *_picked("Told where the object is", on_grid[oracle]),
        f"In pairs, {family}: {change(paired)}.",
        *([] if became is None else [_remaining(family, became)]),
        f"What certainly harms large objects at the center: {_harmful(settled)}.",
        *([f"Not testable here, as it changes no score: {', '.join(idle['family'])}."] if len(idle) else []),
    ]
    return (
        f"For **{markdown(name)}**, whose gap is {plain['gap']:.1f} points ({plain['center']:.1f} % at the center, "
        f"{plain['off_center']:.1f} % off-center):\n\n" + "\n".join(f"- {line}" for line in lines)
    )


def work(answers: pd.DataFrame) -> str:
    """Say how much of the tower all candidates took together, and would take alone; from `score_all`."""
    computed, alone = answers["computed"].sum(), answers["passes"].sum()
    return (
        f"All these comparisons took {computed:,.0f} passes of the tower. If nothing were shared between candidates, "
        f"they would take {alone:,.0f}."
    )


def change(row: pd.Series) -> str:
    """Say what a candidate changes off-center, with interval and corrected p-value, and at the center."""
    return (
        f"{row['off_center_change']:+.1f} points off-center ({span(row, 'off_center_change')}, corrected "
        f"{p_text(row['off_center_p'])}), {row['center_change']:+.1f} at the center"
    )


def _chosen(row: pd.Series, most_loss: float) -> str:
    verdict = (
        f"The best that is not told, chosen on the validation images, is **{row['family']}**: {change(row)}, at "
        f"{row['passes']:.3g} passes ({row['cost']:.1f} times the time)."
    )
    if not row["off_center_change_low"] > 0:
        return f"{verdict} There is no certain gain: use the model without a mitigation."
    if row["center_change"] < -most_loss:
        return f"{verdict} The test images show a loss of more than {most_loss:g} points at the center."
    return verdict


def _picked(case: str, rows: pd.DataFrame) -> list[str]:
    """Say what the candidate changes that the validation images ranked first, if there is one."""
    return [f"{case}: {row['family']}, {change(row)}." for _, row in picked(rows).iterrows()]


def _remaining(family: str, became: pd.DataFrame) -> str:
    share = became[~became["center"]].set_index("outcome")["share"]
    repaired, lost, never = (share[OUTCOMES[place]] for place in (1, 3, 4))
    return (
        f"Of the off-center images, {family}: {repaired:.0f} % repaired; {lost:.0f} % still lost although a probe "
        f"finds the object in its tokens; {never:.0f} % lost and not found by the probe, which is no ceiling."
    )


def _harmful(settled: pd.DataFrame) -> str:
    control = settled[settled["protocol"] == "control"].sort_values("center_change")
    harm = control[(control["center_p"] < SIGNIFICANCE) & (control["center_change"] < 0)]
    return ", ".join(harm["family"]) or "none"
