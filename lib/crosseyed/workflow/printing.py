"""Print a page to PDF with a browser of the machine, if there is one."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from crosseyed.files import atomic_write

BROWSERS = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)
"""Names of programs that are Chromium, or paths of them."""

_LONGEST = 120  # seconds


def find_browser() -> str | None:
    """Return the path of the first of `BROWSERS` that is installed; None if there is none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


def print_page(page: Path, pdf: Path) -> str:
    """Print an HTML file, on the paper that its style asks for.

    Parameters
    ----------
    page, pdf : pathlib.Path
        The page, which the browser reads without a network, and the file to write.

    Returns
    -------
    str
        Why there is no PDF, a clause; empty if there is one.
    """
    browser = find_browser()
    if browser is None:
        return "no Chromium was found on this machine"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        printed = Path(folder, "printed.pdf")
        command = [
            *(browser, "--headless", "--disable-gpu", f"--user-data-dir={Path(folder, 'profile')}"),
            *("--no-pdf-header-footer", "--host-resolver-rules=MAP * ~NOTFOUND", "--disable-extensions"),
            # its sandbox refuses to run as root, as in a container; the page is our own and has no script
            *(["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []),
            *(f"--print-to-pdf={printed}", page.resolve().as_uri()),
        ]
        try:
            subprocess.run(
                command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_LONGEST, check=True
            )
            content = printed.read_bytes()
        except (subprocess.SubprocessError, OSError) as error:
            return f"{browser} did not print it ({type(error).__name__})"
    with atomic_write(pdf) as file:
        file.write_bytes(content)
    return ""
