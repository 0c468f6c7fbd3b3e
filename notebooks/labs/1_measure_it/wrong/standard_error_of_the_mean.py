"""Divides the spread of the draws by the root of their number, so that more draws shrink the interval.

Question: q5
Points: 0
"""


def t_interval(observed, draws, n_units, confidence=0.95):
    quantile = stats.t.ppf((1 + confidence) / 2, n_units - 1)
    reach = (
        quantile
        * np.sqrt(n_units / (n_units - 1))
        * np.std(draws, ddof=1)
        / np.sqrt(len(draws))
    )
    return observed - reach, observed + reach
