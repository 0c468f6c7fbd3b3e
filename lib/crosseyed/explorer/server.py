"""Serve the live explorer to one user's browser: HTTP around `crosseyed.explorer.live`, on this machine alone.

The address holds a random token, without which nothing is answered, so that no other user of the machine and no page of
another site can ask. A page of another site cannot read answers either (no CORS), and one whose name was pointed at
this machine (DNS rebinding) is told by the ``Host`` that it asks for. The page runs scripts of this server alone
(content security policy). Nothing is read from disk but the files of `PAGE` and what the user uploads; that stays in
memory and in a temporary folder.
"""

import errno
import hmac
import json
import secrets
import sys
import traceback
import webbrowser
from collections.abc import Callable
from html import escape
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from urllib.parse import parse_qs, urlsplit

from crosseyed.errors import InputError
from crosseyed.explorer import pictures
from crosseyed.explorer.live import GROUNDS, Live, read_request
from crosseyed.explorer.uploads import MOST_BYTES

ADDRESS = "127.0.0.1"

MOST_JSON = 256 * 2**10
"""Bytes of a request that is not an upload."""

_SHARED = Path(__file__).parents[3] / "book" / "_static"
_OWN = Path(__file__).parent / "page"

PAGE: dict[str, tuple[Path, str]] = {
    "": (_OWN / "live.html", "text/html"),
    "live.js": (_OWN / "live.js", "text/javascript"),
    "live.css": (_OWN / "live.css", "text/css"),
    "explorer-view.js": (_SHARED / "explorer-view.js", "text/javascript"),
    "explorer.css": (_SHARED / "explorer.css", "text/css"),
}
"""The files of the page by what follows the token in the address; the last two are those of the book's explorer.

:meta hide-value:
"""

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_DISCARDED = (
    2**28
)  # bytes that are read of who has the token, though refused, so that the browser reads the answer


class Refusal(Exception):  # noqa: N818 (an answer)
    """A request that is not answered: the status and one sentence."""

    def __init__(self, status: HTTPStatus, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Server(ThreadingHTTPServer):
    """A port of this machine and a token; `serve_forever` answers once there is a `live`.

    Attributes
    ----------
    token : str
    live : Live or None
        What answers; set it before serving.
    """

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self, port: int) -> None:
        self.token = secrets.token_urlsafe(24)
        self.live: Live | None = None
        self.lock = Lock()
        super().__init__((ADDRESS, port), _Handler)

    @property
    def url(self) -> str:
        """The address of the page, with the token."""
        return f"http://{ADDRESS}:{self.server_port}/{self.token}/"

    def open_browser(self, folder: Path) -> None:
        """Open the page in the user's browser, without waiting for it.

        The browser is given a file that forwards to the page: other users can read the command line of a process, on
        which the token would stand.

        Parameters
        ----------
        folder : pathlib.Path
            Where the file is written; no other user may enter it.
        """
        file = folder / "open.html"
        forward = f'<meta http-equiv="refresh" content="0; url={escape(self.url)}">'
        file.write_text(f'<!doctype html><meta charset="utf-8"><title>crosseyed</title>{forward}', "utf-8")
        Thread(target=webbrowser.open, args=(file.resolve().as_uri(),), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a browser that hung up; let other errors be seen."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def bind(port: int = 0) -> Server:
    """Take a port of this machine, 0 for any free one.

    Raises
    ------
    InputError
        The port cannot be had, or the library was installed without the files of the page.
    """
    if missing := [file for file, _ in PAGE.values() if not file.is_file()]:
        raise InputError(
            f"The page cannot be shown without {missing[0]}; run this in a clone of the repository, "
            "or install that with pip install -e."
        )
    try:
        return Server(port)
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be had ({error.strerror})"
        raise InputError(
            f"The port {port} {reason}; give another with --port, or none for a free one."
        ) from error


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"
    timeout = 60  # seconds of silence after which a connection is closed

    def version_string(self) -> str:
        return "crosseyed"

    def log_message(self, *_: object) -> None:
        """Write no log: it would show the token."""

    def do_GET(self) -> None:
        self._respond(self._get)

    def do_POST(self) -> None:
        self._respond(self._post)

    def _respond(self, answer: Callable[[str, dict[str, str]], tuple[bytes, str]]) -> None:
        self._unread, self._admitted = self._length(), False
        try:
            content, kind = answer(*self._admit())
            status = HTTPStatus.OK
        except Refusal as refusal:
            status, (content, kind) = refusal.status, _json({"error": str(refusal)})
        except InputError as error:
            status, (content, kind) = HTTPStatus.BAD_REQUEST, _json({"error": str(error)})
        except (ConnectionError, TimeoutError):
            raise
        except Exception:
            traceback.print_exc()
            said = "This is a defect of crosseyed; the terminal in which it runs shows more."
            status, (content, kind) = HTTPStatus.INTERNAL_SERVER_ERROR, _json({"error": said})
        self._discard()
        self.send_response(status)
        for name, value in {**_HEADERS, "Content-Type": kind, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)

    def _admit(self) -> tuple[str, dict[str, str]]:
        """Check who asks; return what is asked for: the path after the token, and the query."""
        port = self.server.server_port
        hosts = {f"{name}:{port}" for name in (ADDRESS, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") not in hosts or origin not in {
            None,
            *(f"http://{host}" for host in hosts),
        }:
            raise Refusal(
                HTTPStatus.FORBIDDEN, "Another site asks for this page; open the address that was printed."
            )
        try:
            parts = urlsplit(self.path)
        except ValueError:
            raise Refusal(
                HTTPStatus.BAD_REQUEST, "This is not an address; open the whole address that was printed."
            ) from None
        token, _, path = parts.path.removeprefix("/").partition("/")
        if not hmac.compare_digest(token.encode(), self.server.token.encode()):
            raise Refusal(
                HTTPStatus.FORBIDDEN, "The address lacks its token; open the whole address that was printed."
            )
        self._admitted = True
        return path, {name: values[-1] for name, values in parse_qs(parts.query).items()}

    def _get(self, path: str, query: dict[str, str]) -> tuple[bytes, str]:
        if path in PAGE:
            file, kind = PAGE[path]
            return file.read_bytes(), f"{kind}; charset=utf-8"
        live = self.server.live
        with self.server.lock:
            if path == "offered":
                return _json(live.offered())
            if path == "object":
                return pictures.of_cutout(live.cutout(query.get("name", ""))), pictures.WEBP
            if path == "photograph":
                return pictures.of_image(live.uploads.find(query.get("key", "")).photograph), pictures.WEBP
            if path == "background":
                return pictures.of_background(GROUNDS[_number(query, len(GROUNDS))]), pictures.WEBP
        raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _post(self, path: str, _query: dict[str, str]) -> tuple[bytes, str]:
        live = self.server.live
        if path == "upload":
            content = self._read("application/octet-stream", MOST_BYTES)
            with self.server.lock:
                upload = live.uploads.add(content)
            width, height = upload.photograph.size
            return _json({"key": upload.key, "width": width, "height": height})
        if path in ("answer", "mitigated"):
            asked = read_request(_parsed(self._read("application/json", MOST_JSON)))
            with self.server.lock:
                return _json(live.answer(asked) if path == "answer" else live.mitigated(asked))
        raise Refusal(HTTPStatus.NOT_FOUND, "There is nothing at this address.")

    def _length(self) -> int:
        try:
            return max(0, int(self.headers.get("Content-Length", 0)))
        except ValueError:
            return 0

    def _read(self, kind: str, most: int) -> bytes:
        """Return the body; pages of other sites cannot send these kinds without being allowed to."""
        if self.headers.get_content_type() != kind:
            raise Refusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"A request of this kind is sent as {kind}.")
        if "Content-Length" not in self.headers:
            self.close_connection = True
            raise Refusal(HTTPStatus.LENGTH_REQUIRED, "A request states its length.")
        if self._unread > most:
            size = f"{most // 2**20} MB" if most >= 2**20 else f"{most // 2**10} kB"
            raise Refusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"What was sent has more than {size}; give something smaller.",
            )
        length, self._unread = self._unread, 0
        return self.rfile.read(length)

    def _discard(self) -> None:
        """Read what was not read, or it would be taken for the next request; read nothing from who was not admitted."""
        if not self._admitted or self._unread > _DISCARDED:
            self.close_connection = True
            return
        while self._unread > 0 and (part := self.rfile.read(min(self._unread, 2**20))):
            self._unread -= len(part)


def _json(value: object) -> tuple[bytes, str]:
    return json.dumps(value, allow_nan=False).encode("ascii"), "application/json"


def _parsed(content: bytes) -> object:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise InputError("A request is a JSON object; this is not JSON.") from None


def _number(query: dict[str, str], count: int) -> int:
    given = query.get("number", "")
    if not (given.isascii() and given.isdigit() and len(given) < 4 and int(given) < count):
        raise InputError(f"There is no background of that number; there are {count}.")
    return int(given)
