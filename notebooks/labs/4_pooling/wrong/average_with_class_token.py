"""The class token is one of the tokens, so it is averaged too.

Question: q1
Points: 1
"""


def average(tokens):
    return tokens.mean(axis=1)


def maximum(tokens):
    return tokens[:, 1:].max(axis=1)
