"""What the notebook shows in the place of the explorer: its data, its scripts, and what stands there without them."""

from collections.abc import Sequence
from html import escape

import pandas as pd
from IPython.display import HTML
from matplotlib.figure import Figure

from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import Cutout
from crosseyed.explorer import pictures
from crosseyed.explorer.answers import describe
from crosseyed.explorer.format import (
    SCRIPT,
    Explorer,
    Mitigations,
    Pairs,
    Picture,
    Single,
    places,
)
from crosseyed.models.clip import ClipModel
from crosseyed.report import notices
from crosseyed.report.figures import style
from crosseyed.report.verdicts.words import named_span

CODE = ("explorer-view.js", "explorer-lookup.js", "explorer.js")
"""Classic scripts of the page, in their order."""

STYLE = "explorer.css"

_LONGEST = 96  # pixels of a cut-out's longer side


def data(
    encoders: Sequence[ClipModel],
    labels: Sequence[str],
    shown: tuple[Sequence[Cutout], Sequence[Background], Sequence[float], Sequence[int]],
    single: Sequence[Single],
    pairs: Pairs | None,
    mitigations: Mitigations,
) -> Explorer:
    """Put together all that the page shows.

    Parameters
    ----------
    encoders : sequence of ClipModel
        The models, that of the edition first.
    labels : sequence of str
        The candidate names.
    shown : tuple
        The objects, the backgrounds, the sizes, and for each background its number of places, of
        `crosseyed.explorer.scenes.everywhere`.
    single, pairs, mitigations
        From `crosseyed.explorer.answers`, `single` for each background.
    """
    cutouts, backgrounds, sizes, n_places = shown
    title, text = notices.about(encoders[0])
    return Explorer(
        edition=encoders[0].name,
        banner=f"{title}. {text}",
        models=describe(encoders),
        names=labels,
        objects=[
            Picture(each.object, style.data_uri(pictures.WEBP, pictures.of_cutout(each, _LONGEST)))
            for each in cutouts
        ],
        backgrounds=[
            Picture(each.kind, style.data_uri(pictures.WEBP, pictures.of_background(each)))
            for each in backgrounds
        ],
        sizes=sizes,
        places=[[places(size, each) for size in sizes] for each in n_places],
        single=single,
        pairs=pairs,
        mitigations=mitigations,
    )


def finding(name: str, bias: pd.Series) -> str:
    """Say in a sentence how the place of an object changes the answers of a model; plain text.

    Parameters
    ----------
    name : str
        Name of the model.
    bias : pandas.Series
        A row of `crosseyed.measure.bootstrap.center_bias`, with the kind of its `background`.
    """
    return (
        f"On the {bias['background']} background {name} names {bias['center_accuracy']:.0f} % of {bias['n_objects']} "
        f"objects correctly at the center of the image ({bias['n_center']:,} images) and "
        f"{bias['off_center_accuracy']:.0f} % at all other places ({bias['n_off_center']:,} images): "
        f"a gap of {bias['gap']:.0f} percentage points ({named_span(bias, 'gap')})."
    )


def container(figure: Figure, sentence: str) -> HTML:
    """Return the place of the explorer, which its scripts fill, with a figure and a sentence for who has none.

    Paths are those from a chapter of the rendered book. In Jupyter nothing lies there, and figure and sentence stay.
    """
    image = style.data_uri(*style.smaller(figure))
    scripts = [SCRIPT, *(f"_static/{name}" for name in CODE)]
    return HTML(
        f'<link rel="stylesheet" href="../_static/{STYLE}">'
        '<div id="explorer" class="explorer mathjax_ignore">'
        f'<img src="{image}" alt="{escape(style.describe(figure))}"><p>{escape(sentence)}</p></div>'
        + "".join(f'<script src="../{path}"></script>' for path in scripts)
    )
