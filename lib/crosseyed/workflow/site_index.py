"""What a published site holds beside its editions: the page that lists them, and what crawlers and hosts look for."""

from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from crosseyed.report.reading import estimate
from crosseyed.workflow.addresses import Addresses
from crosseyed.workflow.standalone import write_page

_FROM_SPHINX = {"genindex.html", "py-modindex.html", "search.html", "index.html"}
"""Pages of an edition that lead to others alone; the last one forwards to the introduction."""


@dataclass(frozen=True)
class Row:
    """An edition and its headline figures, from the table ``bias`` of its first chapter; accuracies in percent."""

    edition: str
    model: str
    pretrained: str
    size: str
    weights: str
    center: float
    off_center: float
    gap: float
    gap_low: float
    gap_high: float
    confidence: float
    """Level of the interval, between 0 and 1."""
    n_objects: int


def write(site: Path, rows: list[Row], addresses: Addresses) -> None:
    """Write ``index.html``, ``sitemap.xml``, ``robots.txt`` and ``.nojekyll`` into the folder of a site.

    Parameters
    ----------
    site : path
        Holds the editions in ``editions``.
    rows : list of Row
        Those editions; the page lists the one with the largest gap first.
    addresses : Addresses
        Where the site will be served. Without that, the sitemap is relative and ``robots.txt`` does not name it.
    """
    listed = [_listed(row) for row in sorted(rows, key=lambda row: -row.gap)]
    write_page(site / "index.html", "site.html", editions=listed, address=addresses.site)
    (site / "sitemap.xml").write_text(sitemap(site, addresses.site), encoding="utf-8")
    (site / "robots.txt").write_text(robots(addresses.site), encoding="utf-8")
    (site / ".nojekyll").touch()  # GitHub Pages would leave out every folder whose name begins with _


def sitemap(site: Path, address: str = "") -> str:
    """Return the sitemap of all pages of a site that are worth finding."""
    names = sorted(file.relative_to(site).as_posix() for file in (site / "editions").glob("*/**/*.html"))
    # in an edition, after editions/<name>/: not what Sphinx makes by itself, nor parts of its theme
    kept = [name for name in names if _is_worth_finding(name.split("/")[2:])]
    places = [f"{address}/" if address else "index.html"]
    places += [f"{address}/{quote(name)}" if address else quote(name) for name in kept]
    lines = [f"<url><loc>{escape(place)}</loc></url>" for place in places]
    opening = '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    return "\n".join(['<?xml version="1.0" encoding="UTF-8"?>', opening, *lines, "</urlset>", ""])


def robots(address: str = "") -> str:
    """Return what crawlers are told: they may read all; and where the sitemap is, which must be a whole address."""
    return "User-agent: *\nAllow: /\n" + (f"Sitemap: {address}/sitemap.xml\n" if address else "")


def _is_worth_finding(parts: list[str]) -> bool:
    return not parts[0].startswith("_") and not (len(parts) == 1 and parts[0] in _FROM_SPHINX)


def _listed(row: Row) -> dict[str, object]:
    """Return what the page says of an edition."""
    return {
        "name": row.edition,
        "link": quote(f"editions/{row.edition}/intro.html"),
        "about": f"{row.model}, weights {row.pretrained} ({row.weights}), size {row.size}",
        "gap": estimate(asdict(row), "gap", digits=0),
        "interval": f"{100 * row.confidence:g}\N{NO-BREAK SPACE}% interval",
        "center": f"{row.center:.0f}",
        "off_center": f"{row.off_center:.0f}",
        "n_objects": row.n_objects,
    }
