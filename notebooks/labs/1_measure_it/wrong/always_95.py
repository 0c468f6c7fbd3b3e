"""Copies the quantile of the example and ignores the confidence that is asked for.

Question: q5
Points: 1
"""


def t_interval(observed, draws, n_units, confidence=0.95):
    reach = (
        stats.t.ppf(0.975, n_units - 1)
        * np.sqrt(n_units / (n_units - 1))
        * np.std(draws, ddof=1)
    )
    return observed - reach, observed + reach
