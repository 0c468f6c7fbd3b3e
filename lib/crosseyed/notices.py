"""Boxes that a notebook shows a reader, styled by the book and readable in Jupyter."""

from html import escape

from IPython.display import HTML

from crosseyed.encoder import Encoder


def weights(encoder: Encoder) -> HTML:
    """Say which model the numbers below belong to, and warn if its weights are random.

    Parameters
    ----------
    encoder : Encoder
        The model of the edition.

    Returns
    -------
    IPython.display.HTML
        A box: a warning for random weights, a note otherwise.
    """
    name = escape(encoder.name)
    if encoder.pretrained == "random":
        return _box(
            "warning",
            "Random weights",
            f"{name} was initialised at random and has learned nothing. The numbers on this page show that the code "
            "runs; they say nothing about any published model.",
        )
    if encoder.model.startswith("pocketclip"):
        return _box(
            "note",
            f"Model of this edition: {name}",
            "A small CLIP that this project trained itself, on drawn objects. Its numbers are its own and are not "
            "those of a published CLIP.",
        )
    return _box(
        "note",
        f"Model of this edition: {name}",
        "All numbers below are this model's, unless a row says otherwise.",
    )


def _box(kind: str, title: str, text: str) -> HTML:
    return HTML(f'<div class="admonition {kind}"><p class="admonition-title">{title}</p><p>{text}</p></div>')
