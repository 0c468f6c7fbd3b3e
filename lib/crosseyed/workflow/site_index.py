"""What a published site holds beside its editions: the page that lists them, and what crawlers and hosts look for."""

import html
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote
from xml.sax.saxutils import escape

from crosseyed.workflow.addresses import Addresses

_FROM_SPHINX = {"genindex.html", "py-modindex.html", "search.html", "index.html"}
"""Pages of an edition that lead to others alone; the last one forwards to the introduction."""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>Is CLIP cross-eyed? All editions</title>
<meta name="description" content="Center bias of CLIP models: one executed book for each model."/>
{canonical}<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.05rem/1.55 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }}
h1 {{ font-size: 1.8rem; line-height: 1.2; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .55rem .7rem; text-align: right; border-bottom: 1px solid #8886; vertical-align: top; }}
th:first-child, td:first-child {{ text-align: left; min-width: 12rem; }}
td:nth-child(2) {{ white-space: nowrap; }}
small {{ opacity: .75; display: block; }}
a {{ color: light-dark(#0b57b0, #8ab8ff); overflow-wrap: anywhere; }}
</style>
</head>
<body>
<main>
<h1>Is CLIP cross-eyed?</h1>
<p>Models such as CLIP recognise an object in the middle of an image better than the same object near its border. Each
edition below is the whole study, executed for one model. The gap is the accuracy at the center minus the accuracy
off-center, in percentage points, with its interval in brackets; the editions stand in the order of their gaps.</p>
<div class="scroll" tabindex="0" role="region" aria-label="All editions">
<table>
<thead><tr><th scope="col">Edition</th><th scope="col">Gap, points</th><th scope="col">At the center, %</th>
<th scope="col">Off-center, %</th><th scope="col">Objects</th></tr></thead>
<tbody>
{rows}
</tbody>
</table>
</div>
<p><small>The address of an edition stays: it names the model, its weights and its size.</small></p>
</main>
</body>
</html>
"""

_ROW = """\
<tr><td><a href="{link}">{edition}</a><small>{about}</small></td>
<td><b>{gap}</b> {interval}<small>{confidence:g}&nbsp;% interval</small></td>
<td>{center:.0f}</td><td>{off_center:.0f}</td><td>{n_objects}</td></tr>"""


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
    low: float
    high: float
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
        Those editions.
    addresses : Addresses
        Where the site will be served. Without that, the sitemap is relative and ``robots.txt`` does not name it.
    """
    (site / "index.html").write_text(page(rows, addresses.site), encoding="utf-8")
    (site / "sitemap.xml").write_text(sitemap(site, addresses.site), encoding="utf-8")
    (site / "robots.txt").write_text(robots(addresses.site), encoding="utf-8")
    (site / ".nojekyll").touch()  # GitHub Pages would leave out every folder whose name begins with _


def page(rows: list[Row], address: str = "") -> str:
    """Return the HTML of the page that lists editions, the largest gap first."""
    listed = "\n".join(map(_row, sorted(rows, key=lambda row: -row.gap)))
    canonical = f'<link rel="canonical" href="{html.escape(address)}/"/>\n' if address else ""
    return _PAGE.format(rows=listed, canonical=canonical)


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


def _row(row: Row) -> str:
    return _ROW.format(
        link=html.escape(quote(f"editions/{row.edition}/intro.html")),
        edition=html.escape(row.edition),
        about=html.escape(f"{row.model}, weights {row.pretrained} ({row.weights}), size {row.size}"),
        gap=f"{row.gap:.0f}",
        interval=f"[{row.low:.0f}, {row.high:.0f}]",
        confidence=100 * row.confidence,
        center=row.center,
        off_center=row.off_center,
        n_objects=row.n_objects,
    )
