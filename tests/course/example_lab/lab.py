# ---
# jupyter:
#   jupytext:
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---
# %% [raw]
# # ASSIGNMENT CONFIG
# name: counting
# crosseyed:
#   title: Count answers
#   version: 3
#   chapter: 01_center_bias
#   minutes: 10
#   data: [counting/answers.csv]
#   models: []
# %% [markdown]
# # Example lab: Count answers
#
# A lab with one question of each kind.
# %%
import pandas as pd

answers = pd.read_csv("data/answers.csv")
answers


# %% [markdown]
# ## Accuracy
# %% [raw]
# # BEGIN QUESTION
# name: q1
# points: 3
# %% [markdown]
# **Question 1.** Write `accuracy(table)`: the share of rows of `table` whose `correct` is true, from 0 to 1.
# %% [raw]
# # BEGIN SOLUTION
# %%
def accuracy(table):
    """Return the share of correct answers."""
    # BEGIN SOLUTION NO PROMPT
    return float(table["correct"].mean())
    # END SOLUTION
    """ # BEGIN PROMPT
    ...
    """  # END PROMPT


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert abs(accuracy(answers) - 4 / 6) < 1e-9, "four of the six answers are correct"
# %% [raw]
# # END TESTS
# %% tags=["hidden"]
import numpy as np
import pandas as pd


@hidden_check("q1", points=2, says="counts in a table it has not seen")
def unseen_table(student, rng):
    table = pd.DataFrame({"correct": rng.random(200) < 0.3})
    assert np.isclose(student.call("accuracy", table), table["correct"].mean())


@hidden_check("q1", points=1, says="counts, and leaves the table as it is")
def table_unchanged(student, rng):
    table = pd.DataFrame({"correct": rng.random(20) < 0.5})
    share, after = student.run("share = accuracy(table); result = [share, table]", table=table)
    assert np.isclose(share, table["correct"].mean())
    assert after.equals(table)


# %% [raw]
# # END QUESTION
# %% [markdown]
# ## By eccentricity
# %% [raw]
# # BEGIN QUESTION
# name: q2
# points: 2
# %% [markdown]
# **Question 2.** Predict first: set `expected` to `"lower"`, `"equal"` or `"higher"`, for accuracy off-center against
# that at the center. Then write `gap(table, limit)`, accuracy at the center (eccentricity of at most `limit`) minus
# accuracy off-center, in percentage points.
# %% [raw]
# # BEGIN SOLUTION
# %%
expected = "lower"  # SOLUTION


def gap(table, limit):
    """Return the center-bias gap, in percentage points."""
    # BEGIN SOLUTION
    center = table["eccentricity"] <= limit
    return 100 * (accuracy(table[center]) - accuracy(table[~center]))
    # END SOLUTION


# %% [raw]
# # END SOLUTION
# %% [raw]
# # BEGIN TESTS
# %%
assert expected in ("lower", "equal", "higher"), "give one of the three words"
# %%
assert abs(gap(answers, 1 / 7) - 200 / 3) < 1e-9


# %% [raw]
# # END TESTS
# %% tags=["hidden"]
@hidden_check("q2", points=1, says="a prediction is given")
def prediction(student, rng):
    assert student.value("expected") in ("lower", "equal", "higher")


@hidden_check("q2", points=1, says="center minus off-center, in percentage points")
def unseen_gap(student, rng):
    import numpy as np
    import pandas as pd

    table = pd.DataFrame({"eccentricity": rng.random(100), "correct": rng.random(100) < 0.6})
    near = table["eccentricity"] <= 0.4
    wanted = 100 * (table["correct"][near].mean() - table["correct"][~near].mean())
    assert np.isclose(student.call("gap", table, 0.4), wanted)


# %% [raw]
# # END QUESTION
# %% tags=["long"]
# long: skipped in grading, kept result in data/answers.csv
resampled = [accuracy(answers.sample(len(answers), replace=True, random_state=seed)) for seed in range(1000)]
# %%
if "resampled" not in globals():
    resampled = list(answers["correct"].astype(float))
print(f"{min(resampled):.2f} to {max(resampled):.2f}")
# %% [raw]
# # BEGIN QUESTION
# name: q3
# points: 4
# manual: true
# %% [markdown]
# **Question 3.** Why do six answers about three objects tell less than six answers about six objects?
# %% [raw]
# # BEGIN SOLUTION
# %% [markdown]
# Answers about one object are alike, so the three objects are what was sampled: marmalade-colored reasoning.
# %% [raw]
# # END SOLUTION
# %% [markdown] tags=["rubric"]
# - 2 points: names the object as the unit that was sampled.
# - 2 points: says that answers about one object are correlated.
# %% [raw]
# # END QUESTION
