"""Composed scenes as files, in the form in which published photographs come."""

from pathlib import Path

from PIL import Image


def write_whatsup(scenes, folder):
    """Write pair scenes in What'sUp's naming and return the files in the order of the scenes."""
    paths = []
    for scene in scenes:
        first, second = (each.cutout.object.replace(" ", "-") for each in scene.placements)
        paths.append(Path(folder) / f"{first}_{scene.relation}_{second}.jpeg")
    assert len(set(paths)) == len(paths), "write one style and one seed to a folder"
    for scene, path in zip(scenes, paths, strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scene.render()).save(path, quality=95)
    return paths
