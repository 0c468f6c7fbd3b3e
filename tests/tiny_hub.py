"""A hub on this machine that serves the files of one repository, and behaves as badly as it is told to."""

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from huggingface_hub import constants, hf_api

COMMIT = "0" * 40


class TinyHub:
    """What it serves and how; `asked` lists every request."""

    def __init__(self):
        self.files: dict[str, bytes] = {}
        self.status = 200
        """Answer to every request for a file."""
        self.busy: list[int] = []
        """Answers to the first requests for a file, each given once."""
        self.front_page = 200
        self.api = 200
        self.headers: dict[str, str] = {}
        """Sent with every answer, such as X-Error-Code."""
        self.digest: str | None = None
        """Announced in place of the true one."""
        self.body: bytes | None = None
        """Sent in place of the file, whose size is announced all the same."""
        self.stall_after: int | None = None
        """Bytes of a body after which it falls silent; 0 sends the headers only."""
        self.silent = False
        """Never answer a request for a file but the first, which may be the probe."""
        self.cut_after: int | None = None
        """Bytes of a body after which the connection is closed."""
        self.cuts: int | None = None
        """How many bodies are cut; all, if not given."""
        self.rate: float | None = None
        """Bytes of a body in a second."""
        self.web_page = False
        """Answer everything by a page of HTML, as a proxy does."""
        self.ranges = True
        self.asked: list[str] = []
        self.ranges_asked: list[str] = []
        self.closing = threading.Event()


@contextmanager
def serve():
    """Yield a hub and its address."""
    hub = TinyHub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield hub, f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        hub.closing.set()
        server.shutdown()
        server.server_close()


def ask_at(address, monkeypatch):
    """Let all that asks the Hub in this process ask at an address; interfaces remember that of their first use."""
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = address + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(hf_api.api, "endpoint", address)
    monkeypatch.setattr("transformers.utils.hub._hf_api", None)


class _Handler(BaseHTTPRequestHandler):
    hub: TinyHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        self.answer()

    def answer(self):
        hub, path = self.hub, urlsplit(self.path).path
        hub.asked.append(f"{self.command} {path}")
        hub.ranges_asked += self.headers.get_all("Range", [])
        if hub.web_page:
            return self.send(200, b"<html>Please log in</html>", {"Content-Type": "text/html"})
        if path == "/":
            return self.send(hub.front_page, b"")
        if path.startswith("/api/"):
            siblings = [{"rfilename": name} for name in hub.files]
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": COMMIT}
                for name, content in hub.files.items()
            ]
            about = {"id": "a/b", "sha": COMMIT, "siblings": siblings, "private": False, "tags": []}
            return self.send(hub.api, json.dumps(entries if "/tree/" in path else about).encode())
        if hub.silent and len(hub.asked) > 1:
            hub.closing.wait(30)
            self.close_connection = True
            return None
        name = path.partition(f"/resolve/{path.split('/resolve/')[-1].split('/')[0]}/")[2]
        status = hub.busy.pop(0) if hub.busy else hub.status
        if status != 200:
            return self.send(status, b"")
        if name not in hub.files:
            return self.send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": COMMIT})
        return self.send_file(hub.files[name])

    def send_file(self, content):
        hub = self.hub
        digest = hub.digest or hashlib.sha256(content).hexdigest()
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0]) if hub.ranges else 0
        headers = {"ETag": f'"{digest}"', "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}
        if start:
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content if hub.body is None or self.command == "HEAD" else hub.body
        self.send(206 if start else 200, body[start:], headers, whole=False)

    def send(self, status, body, headers=(), *, whole=True):
        hub = self.hub
        self.send_response(status)
        for name, value in {**dict(headers), **hub.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if not whole and hub.stall_after is not None:
            self.wfile.write(body[: hub.stall_after])
            hub.closing.wait(30)
            self.close_connection = True
        elif not whole and hub.cut_after is not None and hub.cuts != 0 and len(body) > hub.cut_after:
            hub.cuts = None if hub.cuts is None else hub.cuts - 1
            self.wfile.write(body[: hub.cut_after])
            self.close_connection = True
            self.connection.close()
        elif not whole and hub.rate is not None:
            piece = max(1, int(hub.rate / 20))
            for start in range(0, len(body), piece):
                self.wfile.write(body[start : start + piece])
                hub.closing.wait(piece / hub.rate)
        else:
            self.wfile.write(body)

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True
