"""Rebuild the further renderings of the catalogue's objects, which only training reads, and their catalogue.

Run ``python data/renderings/build.py`` where ``npm`` is available; it needs Pillow and ``resvg-py`` besides. The
packages are fetched by name and version and compared with a pinned SHA-256, so that the same cut-outs come out
wherever it runs.

For every class in ``data/objects/classes.csv`` and each rendering that has it, the script writes
``<style>/<object>.webp``, trimmed and scaled as by ``data/objects/build.py``, and one row in ``catalogue.csv``.
"""

import csv
import hashlib
import io
import json
import os
import runpy
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable
from pathlib import Path

import resvg_py
from PIL import Image

HERE = Path(__file__).parent
OBJECTS = HERE.parent / "objects"
RASTER = 256
QUALITY = {"quality": 85, "method": 6, "alpha_quality": 95}

# Iconify's packages: every icon as SVG in one file, by its name.
PACKAGES = {
    "emojione": (
        "@iconify-json/emojione@1.2.3",
        "26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
    ),
    "fluent_flat": (
        "@iconify-json/fluent-emoji-flat@1.2.6",
        "7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
    ),
    "fxemoji": (
        "@iconify-json/fxemoji@1.2.2",
        "f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
    ),
    "openmoji": (
        "@iconify-json/openmoji@1.2.29",
        "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5",
    ),
}

# Names of the icons of a package that has no table of code points; without an entry it is the object's, joined.
JOINED = {"emojione": "-", "fxemoji": ""}
NAMES = {
    "emojione": {
        "whale": "spouting-whale",
        "bee": "honeybee",
        "ladybug": "lady-beetle",
        "tree": "deciduous-tree",
        "apple": "red-apple",
        "orange": "tangerine",
        "chili pepper": "hot-pepper",
        "donut": "doughnut",
        "ice cream": "soft-ice-cream",
        "car": "automobile",
        "hourglass": "hourglass-done",
        "gift": "wrapped-gift",
        "padlock": "locked",
        "shirt": "t-shirt",
        "tie": "necktie",
        "backpack": "school-backpack",
        "sheep": "ewe",
        "boot": "womans-boot",
        "die": "game-die",
    },
    "fxemoji": {
        "dog": "dogside",
        "cat": "catside",
        "pig": "pigside",
        "rabbit": "bunnyside",
        "tiger": "tigerside",
        "whale": "spurtingwhale",
        "bee": "honeybee",
        "ladybug": "ladybeetle",
        "camel": "dromedarycamel",
        "tree": "deciduoustree",
        "apple": "redapple",
        "orange": "tangerine",
        "pizza": "sliceofpizza",
        "donut": "doughnut",
        "ice cream": "softicecream",
        "car": "automobile",
        "gift": "present",
        "padlock": "lock",
        "backpack": "schoolsatchel",
        "basketball": "basketballandhoop",
        "die": "gamedie",
        "house": "housebuilding",
        "castle": "europeancastle",
        "shirt": "mansshirt",
    },
}

# Left out after a look at all of them: a domino tile for a die, and drawings that fill a square with a landscape.
LEFT_OUT = {
    "emojione": ("tent",),
    "fxemoji": ("die", "ferris wheel", "fountain", "sailboat", "tent"),
}


def fetch(style: str, folder: Path) -> Path:
    """Download the package of a rendering into a folder and compare its SHA-256 with the pinned one."""
    package, digest = PACKAGES[style]
    command = ["npm", "pack", "--silent", package]
    name = subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.split()[-1]
    found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(
            f"{name}: SHA-256 is {found}, expected {digest}; the package is not the one this set was made from"
        )
    return folder / name


def renderer(style: str, package: Path) -> Callable[[dict[str, str]], Image.Image | None]:
    """Give a function from a row of the classes to its drawing, or None where the package has none."""
    with tarfile.open(package) as archive:
        icons, names = (json.load(archive.extractfile(f"package/{file}.json")) for file in ("icons", "chars"))

    def render(row: dict[str, str]) -> Image.Image | None:
        if style in NAMES:
            name = NAMES[style].get(row["object"], row["object"].replace(" ", JOINED[style]))
        else:
            name = names.get(row["codepoint"]) or names.get(f"{row['codepoint']}-fe0f", "")
        icon = icons["icons"].get(icons.get("aliases", {}).get(name, {}).get("parent", name))
        if icon is None:
            return None
        width, height = (icon.get(side, icons.get(side, 16)) for side in ("width", "height"))
        left, top = icon.get("left", 0), icon.get("top", 0)
        svg = (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
        )
        return Image.open(io.BytesIO(bytes(resvg_py.svg_to_bytes(svg_string=svg, width=RASTER))))

    return render


def main() -> None:
    """Rebuild every cut-out, then replace the old set as a whole."""
    trim = runpy.run_path(str(OBJECTS / "build.py"))["trim"]
    with (OBJECTS / "classes.csv").open(newline="") as file:
        classes = list(csv.DictReader(file))
    rows = []
    with tempfile.TemporaryDirectory(dir=HERE) as temporary:
        output = Path(temporary)
        for style in PACKAGES:
            render = renderer(style, fetch(style, output))
            (output / style).mkdir()
            for row in classes:
                drawing = None if row["object"] in LEFT_OUT.get(style, ()) else render(row)
                if drawing is None:
                    print(f"{style} has no {row['object']}")
                    continue
                file = f"{style}/{row['object'].replace(' ', '_')}.webp"
                trim(drawing).save(output / file, **QUALITY)
                rows.append({**row, "style": style, "file": file})
        with (output / "catalogue.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        for style in PACKAGES:
            shutil.rmtree(HERE / style, ignore_errors=True)
            os.replace(output / style, HERE / style)
        os.replace(output / "catalogue.csv", HERE / "catalogue.csv")
    print(f"wrote {len(rows)} cut-outs of {len(classes)} classes")


if __name__ == "__main__":
    main()
