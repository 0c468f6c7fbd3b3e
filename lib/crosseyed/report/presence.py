"""Is an object off-center present in its own tokens, and lost on the way to the embedding? The conditions of the claim.

They were stated before a probe was fitted:

- *present*: off-center, a probe of the object's own tokens tells the object more often than both controls of
  `crosseyed.internals.layer_answers.CONTROLS`;
- *lost*: off-center, it tells the object more often than the same probe of the embedding.

The claim is *supported* where the intervals of all three differences lie above zero, so that the weakest of them
decides (an intersection–union test, which needs no correction; Berger, *Technometrics* 24, 1982). It is *contradicted*
where the embedding certainly tells the object more often than its tokens do. Otherwise it is *not supported*. Tokens
that do not tell more than a control speak neither for nor against it, as a probe is no ceiling.
"""

import pandas as pd

from crosseyed.internals.layer_answers import CONTROLS, READERS
from crosseyed.measure import bootstrap

PROBE = READERS[0]
"""The probe that the claim is judged by."""

AGAINST = (*CONTROLS, "embedding")
"""What the object's tokens are compared with: presence by the controls, loss by the embedding."""


def conditions(answers: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Compare what probes find off-center in the object's tokens with what they find elsewhere.

    Parameters
    ----------
    answers : pandas.DataFrame
        Of `crosseyed.internals.layer_answers.end_answers` for one model, with random weights.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    pandas.DataFrame
        For each reader and each of `AGAINST` a row of `crosseyed.measure.bootstrap.paired_difference`, in percentage
        points of the off-center images, with `reader` and `against`.
    """
    off_center = answers[~answers["center"].astype(bool)]
    return pd.concat(
        [
            bootstrap.paired_difference(rows, "source", ("object", other), seed=seed).assign(
                reader=reader, against=other
            )
            for reader, rows in off_center.groupby("reader", sort=False)
            for other in AGAINST
        ],
        ignore_index=True,
    )
