"""Boxes that a notebook shows a reader, styled by the book and readable in Jupyter."""

from collections.abc import Sequence
from html import escape

from IPython.display import HTML

from crosseyed.models.clip import ClipModel
from crosseyed.models.scorer import RANDOM, SHIPPED, Encoder
from crosseyed.models.towers.base import CAPABILITIES
from crosseyed.models.towers.registry import adapter_of


def weights(encoder: Encoder) -> HTML:
    """Return a box that names the model of the numbers, and warns if the weights of the edition's model are random."""
    kind = "warning" if encoder.pretrained == RANDOM else "note"
    return _box(kind, *map(escape, about(encoder)))


def about(encoder: Encoder) -> tuple[str, str]:
    """Return a title that names the model of the edition, and what its numbers are worth, in words."""
    if encoder.pretrained == RANDOM:
        return (
            "Random weights",
            f"{encoder.name} was initialised at random and has learned nothing. The numbers on this page show that the "
            "code runs; they say nothing about any published model.",
        )
    title = f"Model of this edition: {encoder.name}"
    if encoder.pretrained == SHIPPED:
        return (
            title,
            "A small CLIP that this project trained itself, on drawn objects. Its numbers say nothing about a "
            "published CLIP.",
        )
    return title, "All numbers below are about this model, unless a row says otherwise."


def left_out(model: ClipModel, reasons: Sequence[str], instead: ClipModel | None = None) -> HTML | None:
    """Return a box that says why something is left out for a model; None without reasons.

    Parameters
    ----------
    model : ClipModel
        The model of the edition.
    reasons : sequence of str
        Clauses such as "its tower has no class token".
    instead : ClipModel, optional
        The model that is shown in its place.
    """
    sentences = [f"{reason[0].upper()}{reason[1:]}." for reason in reasons]
    if not sentences:
        return None
    if instead not in (None, model):
        sentences.append(f"{instead.name} is shown instead.")
    return _box("note", f"Left out for {escape(model.name)}", escape(" ".join(sentences)))


def reasons(model: ClipModel, *needed: str) -> list[str]:
    """Return a clause for each thing that is needed and that the tower of a model does not support.

    What is needed are some of `crosseyed.models.towers.base.CAPABILITIES`.
    """
    missing = adapter_of(model).unsupported
    return [
        f"its tower does not offer {CAPABILITIES[name]}, because {missing[name]}"
        for name in needed
        if name in missing
    ]


def _box(kind: str, title: str, text: str) -> HTML:
    return HTML(f'<div class="admonition {kind}"><p class="admonition-title">{title}</p><p>{text}</p></div>')
