"""What the page can show: one object at every place, and two objects in What'sUp's relations.

Unlike the scenes of the chapters, these have no random shift, and all objects stand on the same backgrounds: a reader
puts an object where it is, and changes one thing at a time.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

from crosseyed.data import layouts
from crosseyed.data.backgrounds import Background
from crosseyed.data.cutouts import Cutout, some_objects
from crosseyed.data.scenes import Placement, Scene, is_central
from crosseyed.explorer.format import places


def everywhere(
    cutouts: Sequence[Cutout], background: Background, sizes: Sequence[float], n_places: int
) -> list[Scene]:
    """Show every object alone on a background, in every size, at every place.

    Parameters
    ----------
    cutouts : sequence of Cutout
    background : Background
    sizes : sequence of float
        Longer side of the object over the side of the image.
    n_places : int
        Places along each side (`crosseyed.explorer.format.places`).

    Returns
    -------
    list of Scene
        By object, size, row and column, the last fastest.
    """
    scenes = []
    for cutout, size in product(cutouts, sizes):
        along = places(size, n_places)
        for (row, y), (col, x) in product(enumerate(along), repeat=2):
            placement = Placement(cutout, x, y, size, row=row, col=col)
            name = f"{cutout.object}_{background.kind}_{size:g}_row{row}_col{col}"
            scenes.append(Scene(name, background, (placement,), is_central(x, y)))
    return scenes


def in_twos(catalogue: Sequence[Cutout], n_objects: int, seed: int) -> list[tuple[Cutout, Cutout]]:
    """Divide the objects of `crosseyed.data.cutouts.some_objects` into twos, each in both orders.

    Those of fewer objects are among those of more; of an odd number one is left out. `catalogue` has one cut-out of
    each object.
    """
    twos, before = [], set()
    for n in range(2, n_objects + 1, 2):
        drawn = some_objects(catalogue, n, seed)
        first, second = (each for each in drawn if each not in before)
        twos += [(first, second), (second, first)]
        before = set(drawn)
    return twos


def arranged(twos: Sequence[tuple[Cutout, Cutout]], backgrounds: Sequence[Background]) -> list[Scene]:
    """Show two objects in What'sUp's relations, and in the same ones with places exchanged (`layouts.pair`).

    Returns
    -------
    list of Scene
        By pair, background and arrangement, the last fastest. The arrangements are the same for all, first the
        relations of `layouts.RELATIONS` as they are, then moved.
    """
    ways = list(product((False, True), layouts.RELATIONS))
    return [
        replace(layouts.pair(two, relation, moved=moved, jitter=0.0)[0], background=background)
        for two, background, (moved, relation) in product(twos, backgrounds, ways)
    ]
