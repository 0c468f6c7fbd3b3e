"""Where the repository and its published book are, as ``_config.yml`` states it: the one place for both."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from crosseyed.documents import read_yaml
from crosseyed.errors import InputError, shorten

CONFIGURATION = Path("_config.yml")
"""Configuration of the book, relative to the repository."""

_HOSTS = ("github.com", "gitlab.com")


@dataclass(frozen=True)
class Addresses:
    """The two addresses; an empty one is not set."""

    repository: str = ""
    """Address of the repository without a slash at its end, such as ``"https://github.com/OWNER/crosseyed"``."""
    branch: str = "main"
    """The branch whose notebooks are launched."""
    site: str = ""
    """Address at which the folder of ``make publish`` is served, without a slash at its end."""

    def of_edition(self, name: str) -> str:
        """Return the address of an edition of the published book, or an empty text if the site has none."""
        return self.site and f"{self.site}/editions/{name}"

    @property
    def on_github(self) -> bool:
        """Whether the repository is on GitHub, from where alone Colab opens notebooks."""
        return urlsplit(self.repository).hostname == "github.com"


def read(file: Path = CONFIGURATION) -> Addresses:
    """Read the addresses of the repository and of the published book from the book's configuration.

    Raises
    ------
    InputError
        The file cannot be read, or an address in it is none.
    """
    return from_configuration(read_yaml(file, "the book's configuration"))


def from_configuration(configuration: Mapping[str, object]) -> Addresses:
    """Return the addresses that a configuration of the book states; raise InputError for one that is none."""
    repository, html = (_section(configuration, name) for name in ("repository", "html"))
    branch = str(repository.get("branch") or "main").strip()
    if not re.fullmatch(r"[\w][\w./-]*", branch, re.ASCII):
        raise InputError(f"{shorten(branch)} in _config.yml is not a branch; give its name, such as main.")
    return Addresses(_repository(repository.get("url")), branch, _site(html.get("baseurl")))


def _section(configuration: Mapping[str, object], name: str) -> Mapping[str, object]:
    section = configuration.get(name) if isinstance(configuration, Mapping) else None
    return section if isinstance(section, Mapping) else {}


def _repository(given: object) -> str:
    address = str(given or "").strip().rstrip("/").removesuffix(".git")
    hosts = "|".join(map(re.escape, _HOSTS))
    if address and not re.fullmatch(rf"https://(?:{hosts})/[\w.-]+/[\w.-]+", address, re.ASCII):
        raise InputError(
            f"{shorten(address)} in _config.yml (repository: url) is not a repository that can be launched; give an "
            "address such as https://github.com/OWNER/crosseyed, or nothing."
        )
    return address


def _site(given: object) -> str:
    address = str(given or "").strip().rstrip("/")
    if address and not re.fullmatch(r"https?://[\w.-]+(?::\d+)?(?:/[\w.~%-]+)*", address, re.ASCII):
        raise InputError(
            f"{shorten(address)} in _config.yml (html: baseurl) is not an address of a site; give one such as "
            "https://OWNER.github.io/crosseyed, or nothing."
        )
    return address
