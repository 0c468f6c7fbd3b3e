"""Fetch from the Hugging Face Hub: from the local cache if possible, without a long wait if it is out of reach."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import TypeVar

from huggingface_hub import constants as hub_constants
from huggingface_hub.utils import get_session

from crosseyed.errors import DownloadError

PROBE_SECONDS = 6.0
"""How long the Hub may take to answer before it counts as unreachable."""

_Fetched = TypeVar("_Fetched")


def from_hub(fetch: Callable[[], _Fetched], what: str, instead: str) -> _Fetched:
    """Fetch from the local cache of the Hugging Face Hub, or else from the Hub.

    Without a network, the Hub's own client keeps trying for minutes. Here the cache is searched first; then the Hub
    has `PROBE_SECONDS` to answer before anything is downloaded.

    Parameters
    ----------
    fetch : callable
        Does the work through `huggingface_hub`, `open_clip` or `transformers`; may be called twice.
    what : str
        What is fetched, with its size if known, for the messages.
    instead : str
        A sentence that says what to do without network.

    Returns
    -------
    object
        What `fetch` returns.

    Raises
    ------
    DownloadError
        It is not in the cache, and the Hub cannot be reached or does not have it.
    """
    try:
        with offline():
            return fetch()
    except Exception:  # each library has its own error for what is not in the cache
        problem = _network_problem()
    if problem is None:
        try:
            return fetch()
        except Exception as error:
            problem = str(error).rstrip(".")
    raise DownloadError(f"Cannot download {what} from {hub_constants.ENDPOINT}: {problem}. {instead}")


@contextmanager
def offline() -> Iterator[None]:
    """Let `huggingface_hub`, and libraries that use it, read only the local cache while the block runs."""
    before = hub_constants.HF_HUB_OFFLINE
    hub_constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        hub_constants.HF_HUB_OFFLINE = before


def _network_problem() -> str | None:
    """Say why the Hugging Face Hub cannot be reached; None if it can."""
    answer = SimpleQueue()

    def ask() -> None:
        try:
            status = get_session().head(hub_constants.ENDPOINT, timeout=PROBE_SECONDS).status_code
            answer.put(f"it answers with status {status}" if status >= 500 else None)
        except Exception as error:
            answer.put(str(error))

    # in a thread, because looking up a host name has no time limit
    threading.Thread(target=ask, daemon=True).start()
    try:
        return answer.get(timeout=PROBE_SECONDS)
    except Empty:
        return f"no answer within {PROBE_SECONDS:.0f} seconds"
