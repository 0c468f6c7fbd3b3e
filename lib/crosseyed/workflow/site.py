"""Prepare a folder for any static host: every edition that is whole and current, under an address that stays."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from crosseyed.editions import BUILD, Description, Edition
from crosseyed.errors import CrosseyedError, InputError
from crosseyed.files import exchange
from crosseyed.report import tables
from crosseyed.workflow import links, processes, site_index, stamps
from crosseyed.workflow.addresses import Addresses
from crosseyed.workflow.results import CHAPTER, own_rows

EDITIONS = "editions"
"""Folder of the editions in a site: ``editions/<name>/`` is the permanent link of an edition."""

FOLDER = BUILD / "site"
"""Where the site is made, relative to the repository."""

_LOCK = ".site"  # no edition has such a name

_MOST_NAMED = 30  # broken links

Due = Callable[[list[Edition], str], set[Path]]
"""What of editions, whose pages show their code ``"folded"`` or ``"shown"``, would be made if they were made now."""


class BrokenLinksError(CrosseyedError):
    """Links between the pages of a site lead nowhere."""


@dataclass(frozen=True)
class Published:
    """A site as it was made."""

    folder: Path
    sizes: dict[str, int]
    """Bytes of each edition."""
    left_out: dict[str, str]
    """Why each other edition is not in it."""
    size: int
    """Bytes of all."""
    address: str
    """Where it will be served; empty if `_config.yml` does not say."""

    def __str__(self) -> str:
        """Say what was made, how large it is, and what is missing."""
        lines = [f"  {name}: {size / 1e6:.1f} MB" for name, size in self.sizes.items()]
        lines += [f"  left out {name}: {why}" for name, why in self.left_out.items()]
        if not self.address:
            lines.append(
                "  sitemap.xml holds relative addresses, which search engines do not take: set `baseurl` of `html` in "
                "_config.yml to the site's address"
            )
        return "\n".join([f"the site is {self.folder}: {self.size / 1e6:.1f} MB, every link checked", *lines])


def publish(folder: Path, addresses: Addresses, due: Due) -> Published:
    """Make the site of all editions that are whole and current, whole or not at all.

    Parameters
    ----------
    folder : path
        Where it goes; an older one is replaced when the new one is whole.
    addresses : Addresses
        Where it will be served.
    due : callable
        Tells what of editions is not whole or not current (`crosseyed.workflow.snakemake.unfinished`).

    Raises
    ------
    InputError
        No edition is whole and current, the folder cannot be written to, or another process is publishing.
    BrokenLinksError
        A link between the pages leads nowhere; the message names page and link. The older site stays.
    """
    with processes.only_run(_LOCK, "Another run is publishing; wait for it.", wait=0):
        left_out: dict[str, str] = {}
        new = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(new, ignore_errors=True)
        rows = _copy_editions(new / EDITIONS, left_out, due)
        site_index.write(new, rows, addresses)
        _check_links(new)
        sizes = {row.edition: _size(new / EDITIONS / row.edition) for row in rows}
        published = Published(folder, sizes, left_out, _size(new), addresses.site)
        exchange(new, folder)
    return published


def _copy_editions(folder: Path, left_out: dict[str, str], due: Due) -> list[site_index.Row]:
    """Copy the pages of all editions that are whole and current; return what is said of each, and note the others."""
    with ExitStack() as locks:
        found = _unlocked(_described(left_out), left_out, locks)
        chosen = _current(found, left_out, due)
        if not chosen:
            reasons = "".join(f"\n  {name}: {why}" for name, why in left_out.items())
            raise InputError(f"There is no edition to publish; make one with make book.{reasons}")
        for model in chosen:
            shutil.copytree(model.edition.folder / "html", folder / model.edition.name)
        return [_headline(model) for model in chosen]


def _check_links(new: Path) -> None:
    """Raise BrokenLinksError for a site with links that lead nowhere, and remove it."""
    if broken := links.broken(new):
        shutil.rmtree(new)
        named = "\n".join(map(str, broken[:_MOST_NAMED]))
        more = f"\nand {len(broken) - _MOST_NAMED} more" if len(broken) > _MOST_NAMED else ""
        raise BrokenLinksError(f"{len(broken)} links of the pages lead nowhere:\n{named}{more}")


def _described(left_out: dict[str, str]) -> Iterator[Description]:
    """Yield the description of each edition that can still be made as it was; note why of the others."""
    folders = {folder.name for folder in (BUILD / "editions").glob("[!.]*") if folder.is_dir()}
    for name in sorted(folders):
        file = BUILD / "models" / f"{name}.json"
        if not file.is_file():
            left_out[name] = "its model was not loaded to the end; make it again"
            continue
        try:
            model = Description.read(file)
            now = Edition.from_mapping(model.edition.configuration).name
        except InputError as error:
            left_out[name] = str(error)
            continue
        if now != name:
            left_out[name] = f"its weights have changed, and would make the edition {now}"
        else:
            yield model


def _unlocked(models: Iterator[Description], left_out: dict[str, str], locks: ExitStack) -> list[Description]:
    """Hold the lock of each edition; leave out those that another run is working on."""
    held = []
    for model in models:
        try:
            locks.enter_context(processes.only_writer(model.edition.name, wait=0))
        except InputError as error:
            left_out[model.edition.name] = str(error)
        else:
            held.append(model)
    return held


def _current(models: list[Description], left_out: dict[str, str], due: Due) -> list[Description]:
    """Return those whose every notebook, table and page is there and made from what there is now."""
    chosen = []
    by_code: dict[str, list[Description]] = {}
    for model in models:
        folder = model.edition.folder
        if not (folder / "html" / "index.html").is_file():
            left_out[model.edition.name] = "it has no pages yet"
            continue
        code = (stamps.made_from(folder / "done" / "book") or "").rpartition("-")[2]
        by_code.setdefault("shown" if code == "shown" else "folded", []).append(model)
    for code, alike in by_code.items():
        waiting = due([model.edition for model in alike], code)
        for model in alike:
            names = sorted(each.name for each in waiting if each.parent == model.edition.folder / "done")
            if any(each.parent == BUILD / "models" and each.stem == model.edition.name for each in waiting):
                names = ["the model", *names]
            if names:
                left_out[model.edition.name] = (
                    f"it is not whole or not current ({', '.join(names)} due); make it again"
                )
            else:
                chosen.append(model)
    return sorted(chosen, key=lambda model: model.edition.name)


def _headline(model: Description) -> site_index.Row:
    bias = own_rows(tables.read(model.edition.folder / "results", CHAPTER, "bias"), model).iloc[0]
    return site_index.Row(
        edition=model.edition.name,
        model=model.model,
        pretrained=model.pretrained,
        size=model.edition.size,
        weights=model.weights,
        center=float(bias["center_accuracy"]),
        off_center=float(bias["off_center_accuracy"]),
        gap=float(bias["gap"]),
        gap_low=float(bias["gap_low"]),
        gap_high=float(bias["gap_high"]),
        confidence=float(bias["confidence"]),
        n_objects=int(bias["n_objects"]),
    )


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
