"""Takes the quantile of the confidence itself, which leaves all of the missing coverage on one side.

Question: q5
Points: 0
"""


def t_interval(observed, draws, n_units, confidence=0.95):
    quantile = stats.t.ppf(confidence, n_units - 1)
    reach = quantile * np.sqrt(n_units / (n_units - 1)) * np.std(draws, ddof=1)
    return observed - reach, observed + reach
