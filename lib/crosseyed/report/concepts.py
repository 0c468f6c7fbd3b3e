"""Which concepts appear in the sums of more or fewer images when the object moves away from the center."""

import pandas as pd

from crosseyed.measure.multiplicity import correct
from crosseyed.measure.permutation import sign_flip_test


def changes(sparse: pd.DataFrame, about: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare how often each concept, other than the object's own name, is used at the center and off-center.

    All concepts that occur are looked at, so the comparison is exploratory, and its p-values are corrected for their
    number (Holm).

    Parameters
    ----------
    sparse : pandas.DataFrame
        Of `crosseyed.internals.splice.splice`, images by number.
    about : pandas.DataFrame
        One row per image, numbered from 0, with `object` and `center`; each object has images at both places.
    seed : int
        Seed of the sign flips, which flip the differences of objects (`crosseyed.measure.permutation.sign_flip_test`).

    Returns
    -------
    pandas.DataFrame
        One row per concept: `concept`, `center` and `off_center` (percent of an object's images whose sum uses it, mean
        over the objects that are not called so), `difference` (off-center minus center), `n_objects` and the corrected
        `p_value`; those that change most first. Without rows if no concept other than the names is used.
    """
    used = sparse[["image", "concept"]].join(about[["object", "center"]], on="image")
    counts = used.groupby(["object", "center", "concept"]).size().unstack("concept", fill_value=0)
    images = about.groupby(["object", "center"]).size()
    rates = (100 * counts.reindex(images.index, fill_value=0)).div(images, axis=0)
    sides = {name: rates.xs(side, level="center") for name, side in (("center", True), ("off_center", False))}
    rows = pd.DataFrame({name: side.stack() for name, side in sides.items()}).reset_index()
    rows = rows[rows["object"] != rows["concept"]]
    rows["difference"] = rows["off_center"] - rows["center"]
    columns = ["concept", "center", "off_center", "difference", "n_objects", "p_value"]
    if rows.empty:
        return pd.DataFrame(columns=columns)
    tested = sign_flip_test(rows, "difference", "concept", seed=seed)
    means = rows.groupby("concept", as_index=False)[["center", "off_center", "difference"]].mean()
    table = means.merge(tested[["concept", "n_objects", "p_value"]], on="concept")
    table["p_value"] = correct(table["p_value"])
    return table.sort_values("difference", key=abs, ascending=False, ignore_index=True)[columns]
