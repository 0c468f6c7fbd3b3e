"""Names are text: how to write one where its characters would mean something.

Matplotlib has no place here: figures draw every text as it is (`crosseyed.report.figures.lettering`). In HTML the
standard library's `html.escape` does it, and in shell commands Snakemake's ``{name:q}``.
"""

import re

# the first character too, unless it is a letter or a digit: it may begin a list, a rule or a heading
_MEANS_SOMETHING = re.compile(r"[\\`*_{}\[\]<>#|$~^@&]|^[^\w\s]|^\d+[.)]")

# not those that are white space
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f]")


def markdown(text: object) -> str:
    """Return MyST Markdown that shows a text as it is, also in a cell of a table and in a substitution."""
    line = one_line(text)
    return _MEANS_SOMETHING.sub(lambda found: "".join(f"&#{ord(each)};" for each in found[0]), line)


def printable(text: str) -> str:
    r"""Return a text that every file can hold: halves of characters become ``\udc80``, control characters ``\x1b``."""
    whole = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", whole)


def one_line(text: object) -> str:
    """Return a text on one line that a terminal and a file can hold, see `printable`."""
    return " ".join(printable(str(text)).split())


def for_spreadsheets(text: object) -> str:
    """Return a text on one line that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line
