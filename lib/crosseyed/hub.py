"""Fetch from the Hugging Face Hub or a mirror: from the local cache if possible, and without waiting in vain."""

import hashlib
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from huggingface_hub import constants as hub_constants
from huggingface_hub import hf_hub_download, hf_hub_url, set_client_factory
from huggingface_hub.errors import (
    EntryNotFoundError,
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import (
    WeakFileLock,
    are_progress_bars_disabled,
    get_session,
    hf_raise_for_status,
)
from huggingface_hub.utils._http import default_client_factory
from tqdm import tqdm

from crosseyed.errors import CrosseyedError, DownloadError, shorten
from crosseyed.files import DISK_FULL

PROBE_SECONDS = 6.0
"""How long the Hub may take to answer before it counts as unreachable."""

ATTEMPTS = 3
"""How often the same bytes are asked for; each attempt waits for the Hub's own time limits, 10 seconds by default."""

PATIENCE = 30.0
"""Seconds in which a Hub that is busy or out of order is asked again; one that wants to wait longer is not."""

FIRST_WAIT = 2.0
"""Seconds before it is asked again for the first time; each further wait takes twice as long."""

REPORT_SECONDS = 10.0
"""How often a download says in a log, where no bar can be drawn, how far it has come."""

_LOGIN = "check the name, or log in with 'hf auth login'"

_Fetched = TypeVar("_Fetched")


def from_hub(
    fetch: Callable[[], _Fetched],
    what: str,
    instead: str,
    *,
    repository: str,
    file: str,
    kind: str = "model",
    cache: Path | None = None,
) -> _Fetched:
    """Fetch from the local cache of the Hugging Face Hub, or else from the Hub or the mirror that HF_ENDPOINT names.

    Left to itself, the Hub's client keeps trying for minutes without a network, and for as long as a server tells it.
    Here the cache is searched first; then the Hub has `PROBE_SECONDS` to answer for a file before anything is
    downloaded; what falls silent is asked for `ATTEMPTS` times, and a Hub that is busy or out of order for `PATIENCE`
    seconds. What came is compared with its announced digest. What an earlier download left unfinished, because it was
    killed, is removed. Standard error says what is downloaded and why it waits.

    Parameters
    ----------
    fetch : callable
        Does the work through `huggingface_hub`, `open_clip` or `transformers`; may be called twice.
    what : str
        What is fetched, with its size if known, for the messages.
    instead : str
        A sentence that says what to do without network.
    repository, file : str
        Where, and one file there that is asked for first; it need not exist.
    kind : str
        ``"model"`` or ``"dataset"``.
    cache : path, optional
        Where `fetch` downloads to; by default the Hub's own cache.

    Returns
    -------
    object
        What `fetch` returns.

    Raises
    ------
    DownloadError
        It is not in the cache, and the Hub cannot be reached, does not have it, stops answering, or sends something
        else than it announced.
    """
    try:
        with offline():
            return fetch()
    except CrosseyedError:  # what is there is refused
        raise
    except Exception:  # each library has its own error for what is not in the cache
        problem = _network_problem(lambda: hf_hub_url(repository, file, repo_type=kind))
    if problem is None:
        cache = cache or Path(hub_constants.HF_HUB_CACHE)
        _remove_left_over(cache, f"{kind}s--{repository.replace('/', '--')}")
        _say(f"downloading {what} from {hub_constants.ENDPOINT}")
        waits = _Waits()
        while True:
            watch = _Watch()
            try:
                with _watching(watch):
                    fetched = fetch()
                    watch.verify(cache)
                    return fetched
            except Exception as error:
                if isinstance(error, CrosseyedError) and not watch.problem:
                    raise
                problem = watch.problem or _reason(error, repository, cache)
            if not (watch.is_busy and waits.again(problem, watch.asked_to_wait)):
                problem += waits.note
                break
    raise DownloadError(f"Cannot download {what} from {hub_constants.ENDPOINT}: {problem}. {instead}")


def download_first(repository: str, *names: str) -> str:
    """Return the path of the first of some files that a repository has; for use within `from_hub`."""
    bar = _progress()
    for name in names[:-1]:
        try:
            return hf_hub_download(repository, name, tqdm_class=bar)
        except EntryNotFoundError as error:
            # not to be taken for a file that the repository lacks: the Hub may have refused it
            if isinstance(error, LocalEntryNotFoundError) and not hub_constants.HF_HUB_OFFLINE:
                raise
    return hf_hub_download(repository, names[-1], tqdm_class=bar)


@contextmanager
def offline() -> Iterator[None]:
    """Let `huggingface_hub`, and libraries that use it, read only the local cache while the block runs."""
    before = hub_constants.HF_HUB_OFFLINE
    hub_constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub_constants.HF_HUB_OFFLINE = before


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class _Log:
    """Takes the lines of a progress bar that no terminal shows."""

    def write(self, text: str) -> None:
        """Write a line without what moves a terminal's cursor."""
        if line := text.strip():
            _say(line)

    def flush(self) -> None:
        """Do nothing: each line has been written."""


def _progress() -> Callable[..., tqdm] | None:
    """Return what shows a download with its size and speed: the Hub's own bar (None) in a terminal, lines in a log."""
    if sys.stderr.isatty() or are_progress_bars_disabled():
        return None
    shape = "{desc}: {n_fmt}B of {total_fmt}B, {rate_fmt}, {remaining} left"

    def lines(*, desc: str, **given: Any) -> tqdm:
        name = desc.rpartition("/")[2]  # of what may be an address
        return tqdm(desc=name, file=_Log(), mininterval=REPORT_SECONDS, miniters=1, bar_format=shape, **given)

    return lines


def _remove_left_over(cache: Path, repository: str) -> None:
    """Remove what downloads that were killed left of a repository: the Hub's client never takes it up again."""
    for file in (cache / repository / "blobs").glob("*.incomplete"):
        digest = re.sub(r"(\.[0-9a-f]{8})?\.incomplete$", "", file.name)
        # a lock that is held is that of a download in progress; it ends in TimeoutError, an OSError
        with suppress(OSError), WeakFileLock(cache / ".locks" / repository / f"{digest}.lock", timeout=0.05):
            file.unlink(missing_ok=True)


class _Waits:
    """The waits for a Hub that is busy or out of order: each twice as long as the last, `PATIENCE` in all."""

    def __init__(self) -> None:
        self._waited, self._next = 0.0, FIRST_WAIT
        self.note = ""
        """What to add to the reason when there is no further wait."""

    def again(self, problem: str, asked: float | None) -> bool:
        """Wait, `asked` seconds if the Hub says how long, and tell whether it is worth asking again."""
        wait = max(self._next, asked or 0.0)
        if self._waited + wait > PATIENCE:
            if asked and asked > PATIENCE:
                self.note = f" (it wants to be left alone for {asked:.0f} seconds)"
            elif self._waited:
                self.note = f" (also after {self._waited:.0f} seconds of asking again)"
            return False
        _say(f"{problem.partition(':')[0]}; asking again in {wait:.0f} s")
        time.sleep(wait)
        self._waited, self._next = self._waited + wait, 2 * self._next
        return True


class _Watch:
    """Sees every request and answer of one download, and ends it where it would go on in vain."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.is_busy = False
        """Whether it ended because the Hub is busy or out of order."""
        self.asked_to_wait: float | None = None
        """Seconds that a busy Hub wants to be left alone for."""
        self._given_up = False
        self._unanswered: Counter[tuple] = Counter()
        self._digests: set[str] = set()

    def asks(self, request: Any) -> None:
        """Give a request a time limit, and refuse one that has been made in vain."""
        most = max(hub_constants.HF_HUB_DOWNLOAD_TIMEOUT, hub_constants.HF_HUB_ETAG_TIMEOUT)
        limits = request.extensions.get("timeout", {})
        request.extensions["timeout"] = {
            part: min(limits.get(part) or most, most) for part in ("connect", "read", "write", "pool")
        }
        key = _key(request)
        self._unanswered[key] += 1
        if self._unanswered[key] > ATTEMPTS:
            self._given_up = True
            self.problem = (
                f"it fell silent or broke off {ATTEMPTS} times at the same part of {request.url.path}"
            )
        if self._given_up:
            raise DownloadError(self.problem)

    def answers(self, response: Any) -> None:
        """Note a digest that is announced, and fail at once where the client would wait and ask again."""
        about = "/api/" in response.request.url.path  # not a file; a mirror may do without
        if response.status_code in (408, 429) or response.status_code >= 500:
            if not about:
                self.problem = self.problem or _status(response.status_code)
                self.is_busy = True
                stated = response.headers.get("Retry-After", "")
                self.asked_to_wait = float(stated) if re.fullmatch(r"\d{1,9}", stated) else None
            hf_raise_for_status(response)
        if about or response.request.method == "HEAD":
            del self._unanswered[_key(response.request)]  # a file's body may still fail to come
            etag = response.headers.get("X-Linked-Etag") or response.headers.get("ETag") or ""
            self._digests.update(re.findall(r"\b[0-9a-f]{64}\b", etag))

    def verify(self, cache: Path) -> None:
        """Compare files with the SHA-256 digests that were announced, their names in a cache; remove wrong ones."""
        for digest in self._digests:
            for blob in cache.glob(f"*/blobs/{digest}"):
                with blob.open("rb") as file:
                    found = hashlib.file_digest(file, "sha256").hexdigest()
                if found != digest:
                    blob.unlink()
                    self.problem = (
                        "what came does not fit the digest that was announced, and was removed; try again, and "
                        "elsewhere if it stays so"
                    )
                    raise DownloadError(self.problem)


_watch: _Watch | None = None


@contextmanager
def _watching(watch: _Watch) -> Iterator[None]:
    """Let a watch see all that is asked of the Hub, by plain HTTP: its other protocol has time limits of its own."""
    global _watch
    before = hub_constants.HF_HUB_DISABLE_XET, hub_constants.DOWNLOAD_CHUNK_SIZE
    _watch = watch
    hub_constants.HF_HUB_DISABLE_XET = True
    hub_constants.DOWNLOAD_CHUNK_SIZE = min(
        2**16, before[1]
    )  # what came of a chunk is lost if the line breaks
    try:
        yield
    finally:
        hub_constants.HF_HUB_DISABLE_XET, hub_constants.DOWNLOAD_CHUNK_SIZE = before
        _watch = None


def _watched_client() -> Any:
    client = default_client_factory()
    hooks = client.event_hooks
    client.event_hooks = {
        "request": [*hooks["request"], lambda request: _watch.asks(request) if _watch else None],
        "response": [*hooks["response"], lambda response: _watch.answers(response) if _watch else None],
    }
    return client


set_client_factory(_watched_client)


def _key(request: Any) -> tuple:
    return request.method, str(request.url), request.headers.get("Range")


def _network_problem(url: Callable[[], str]) -> str | None:
    """Say why the Hugging Face Hub cannot be reached; None if it can, whatever it answers."""
    if hub_constants.HF_HUB_OFFLINE:
        return (
            f"HF_HUB_OFFLINE is set, and it is not in the cache {hub_constants.HF_HUB_CACHE!r}; unset it where there "
            "is a network, or bring a filled cache and name its folder with HF_HOME"
        )
    answer: SimpleQueue[str | None] = SimpleQueue()

    def ask() -> None:
        try:
            get_session().head(url(), timeout=PROBE_SECONDS)
            answer.put(None)
        except Exception as error:
            answer.put(_line(error))

    # in a thread, because looking up a host name has no time limit
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.get(timeout=PROBE_SECONDS)
    except Empty:
        return f"no answer within {PROBE_SECONDS:.0f} seconds"


def _reason(error: BaseException, repository: str, cache: Path) -> str:
    """Say in one clause why a download failed, by the first error of a chain that tells."""
    links, each = [], error
    while each is not None and each not in links:
        links.append(each)
        each = each.__cause__ or each.__context__
    page = f"{hub_constants.ENDPOINT}/{repository}"
    for each in links:
        if isinstance(each, GatedRepoError):
            return (
                f"its authors want to be asked; accept their terms on {page} and log in with 'hf auth login'"
            )
        if isinstance(each, RepositoryNotFoundError):
            return f"there is no repository {repository!r}, or it is private; {_LOGIN}"
        if isinstance(each, EntryNotFoundError) and not isinstance(each, LocalEntryNotFoundError):
            return f"the repository has no such file ({_line(each)})"
        if isinstance(each, HfHubHTTPError):
            return _status(each.response.status_code)
        if isinstance(each, FileMetadataError):
            return "what answers is not a hub (a proxy or a login page may stand between, or HF_ENDPOINT is wrong)"
        if isinstance(each, OSError) and each.errno in DISK_FULL:
            return f"the disk of {str(cache)!r} is full; free some space, or name another folder with HF_HOME"
        if isinstance(each, OSError) and each.errno and each.filename:
            return f"{str(each.filename)!r} cannot be written ({each.strerror}); HF_HOME names another folder for it"
    return _line(error)


def _line(error: BaseException) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return (text if len(text) <= 200 else shorten(text, 200)).rstrip(".")


def _status(status: int) -> str:
    known = {
        401: f"the repository does not exist or is private; {_LOGIN}",
        403: f"it may not be downloaded with this login; {_LOGIN}",
        404: "it does not have this; check the name",
        429: "too many downloads; wait some minutes, or log in with 'hf auth login'",
    }
    return f"it answers with status {status}: {known.get(status, 'it is out of order; try again later')}"
