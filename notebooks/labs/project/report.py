# ---
# jupyter:
#   jupytext: {text_representation: {extension: .py, format_name: percent}}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # Title: the question, as a question
#
# *Names. Date. Who helped, and with what.*
#
# ## Question
#
# One sentence. Which number answers it? Why does the study leave it open?
#
# ## Prediction
#
# Written before anything was measured: what do you expect, how large, and why?

# %%
from crosseyed.measure import bootstrap, protocols
from crosseyed.models.loading import load

# %% [markdown]
# ## Data
#
# What is shown, where it comes from and under which license, how many objects. Show some of it.

# %%


# %% [markdown]
# ## Design
#
# What is varied? What stays the same? What is the control, and what should come out there?

# %%


# %% [markdown]
# ## Result
#
# The number, with its interval over objects and the accuracy at the center beside it. One figure, and the figure in words.

# %%


# %% [markdown]
# ## What it shows, and what it does not
#
# Compare with the prediction. Name one measurement that would decide what is left open.
