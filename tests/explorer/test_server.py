"""Who may ask, what is answered, and that nothing else comes of a request."""

import http.client
import io
import json
import queue
import re
import socket
import threading
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from drawn_cutouts import flag, write_cutout
from PIL import Image
from serving import file_of, served

from crosseyed.errors import InputError
from crosseyed.explorer import server
from crosseyed.explorer.live import read_request
from crosseyed.explorer.uploads import MOST_BYTES

STAGE = {"kind": "stage", "object": "flag", "x": 0.2, "y": 0.7, "size": 0.4, "background": 4}
ASKED = {"seen": STAGE, "captions": ["a dog", "<script>alert(1)</script>"]}
JSON = {"Content-Type": "application/json"}
BYTES = {"Content-Type": "application/octet-stream"}


@pytest.fixture(scope="module")
def running(tiny_clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    cutouts = [write_cutout(folder / "flag.png", flag)]
    with served(tiny_clip, cutouts, folder) as started:
        yield started


@pytest.fixture
def ask(running):
    connection = http.client.HTTPConnection(server.ADDRESS, running.server_port, timeout=30)

    def ask(method, path, body=None, headers=(), token=running.token):
        body = json.dumps(body) if isinstance(body, dict | list) else body
        connection.request(method, f"/{token}/{path}", body, dict(headers))
        response = connection.getresponse()
        content = response.read()
        is_json = response.getheader("Content-Type") == "application/json"
        return response, json.loads(content) if is_json else content

    yield ask
    connection.close()


def png(*size):
    return file_of(Image.new("RGB", size, "teal"))


def test_the_address_is_of_this_machine_alone_and_has_a_token(running):
    assert running.socket.getsockname()[0] == "127.0.0.1"
    assert re.fullmatch(rf"http://127\.0\.0\.1:{running.server_port}/[\w-]{{32}}/", running.url)
    with server.bind() as other:
        assert other.token != running.token


def test_every_file_of_the_page_is_served_and_no_other(ask):
    for name, (file, kind) in server.PAGE.items():
        response, content = ask("GET", name)
        assert (response.status, content) == (200, file.read_bytes())
        assert response.getheader("Content-Type") == f"{kind}; charset=utf-8"
    for name in ("server.py", "../live.py", "..%2f..%2fcli.py", "page/live.js", "live.js/", "/etc/passwd"):
        assert ask("GET", name)[0].status == 404


def test_the_page_names_only_files_that_are_served(ask):
    html = ask("GET", "")[1].decode()
    named = re.findall(r'(?:src|href)="([^"]*)"', html)
    assert set(named) - {"data:,"} == set(server.PAGE) - {""}
    assert "style=" not in html and not re.search(r"<script(?! src=)|\son\w+=", html)


def test_answers_are_those_of_the_library(ask, running):
    asked = read_request(ASKED)
    response, answer = ask("POST", "answer", ASKED, JSON)
    assert response.status == 200 and answer == json.loads(json.dumps(running.live.answer(asked)))
    name = next(iter(running.live.mitigations))
    response, answer = ask("POST", "mitigated", {**ASKED, "mitigation": name}, JSON)
    assert response.status == 200 and answer["similarities"] != running.live.answer(asked)["similarities"]
    assert ask("GET", "offered")[1] == running.live.offered()


def test_an_upload_can_be_asked_about(ask):
    response, upload = ask("POST", "upload", png(30, 20), BYTES)
    assert response.status == 200 and (upload["width"], upload["height"]) == (30, 20)
    window = {"kind": "window", "photograph": upload["key"], "x": 0.5, "y": 0.5, "size": 1, "square": False}
    assert ask("POST", "answer", {**ASKED, "seen": window}, JSON)[0].status == 200
    for path in (f"photograph?key={upload['key']}", f"object?name={upload['key']}"):
        response, content = ask("GET", path)
        assert response.getheader("Content-Type") == "image/webp"
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (30, 20)


def test_objects_and_backgrounds_are_shown(ask):
    for path, sides in (("object?name=flag", 160), ("background?number=5", 224)):
        response, content = ask("GET", path)
        assert response.status == 200
        assert max(Image.open(io.BytesIO(content)).size) == pytest.approx(sides, abs=2)
    for number in ("", "-1", "99", "9" * 50, "²", "x"):
        assert (
            ask("GET", f"background?number={number.encode().hex() if number == '²' else number}")[0].status
            == 400
        )
    assert ask("GET", "object?name=nothing")[0].status == 400


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 32])
def test_without_the_token_nothing_is_answered(ask, token):
    from urllib.parse import quote

    for method, path, body, headers in (
        ("GET", "", None, ()),
        ("GET", "offered", None, ()),
        ("POST", "answer", ASKED, JSON),
        ("POST", "upload", png(3, 3), BYTES),
    ):
        response, content = ask(method, path, body, headers, quote(token))
        assert response.status == 403
        assert content == {"error": "The address lacks its token; open the whole address that was printed."}


def raw(running, request):
    """All that comes until the connection is closed, in answer to a request whose body is never sent."""
    with socket.create_connection((server.ADDRESS, running.server_port), timeout=20) as connection:
        connection.sendall(request.encode())
        return b"".join(iter(lambda: connection.recv(2**16), b"")).decode()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [("/x/upload", 403, "The address lacks its token"), ("http://[", 400, "This is not an address")],
)
def test_of_who_has_no_token_no_body_is_read(running, method, path, status, sentence):
    host = f"{server.ADDRESS}:{running.server_port}"
    answer = raw(running, f"{method} {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 200000000\r\n\r\n")
    assert answer.startswith(f"HTTP/1.1 {status} ") and answer.count("HTTP/1.1") == 1
    assert "Connection: close" in answer and sentence in answer


def test_an_address_that_cannot_be_read_gets_a_sentence(running):
    host = f"{server.ADDRESS}:{running.server_port}"
    for path in ("//[", "http://[", "http://]/", f"//[/{running.token}/"):
        answer = raw(running, f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")
        assert answer.startswith(("HTTP/1.1 400 ", "HTTP/1.1 403 ")) and "open the whole address" in answer


def test_the_browser_is_forwarded_and_its_command_line_has_no_token(running, monkeypatch, tmp_path):
    opened = queue.Queue()
    monkeypatch.setattr(server.webbrowser, "open", opened.put)
    running.open_browser(tmp_path)
    address = opened.get(timeout=20)
    assert address == (tmp_path / "open.html").as_uri() and running.token not in address
    (forwarded,) = re.findall(r'content="0; url=([^"]*)"', (tmp_path / "open.html").read_text())
    assert unescape(forwarded) == running.url


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
    ],
)
def test_another_site_is_refused_even_with_the_token(ask, headers):
    response, content = ask("GET", "offered", headers=headers)
    assert response.status == 403 and content["error"].startswith("Another site asks")


def test_every_answer_is_sealed_off(ask):
    for path in ("", "offered", "nothing"):
        response, _ = ask("GET", path)
        policy = response.getheader("Content-Security-Policy")
        assert (
            "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        )
        assert response.getheader("X-Content-Type-Options") == "nosniff"
        assert response.getheader("Cache-Control") == "no-store"
        assert response.getheader("Referrer-Policy") == "no-referrer"
        assert not [name for name, _ in response.getheaders() if name.startswith("Access-Control")]
    assert ask("OPTIONS", "answer")[0].status == 501


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "sentence"),
    [
        ("answer", ASKED, {"Content-Type": "text/plain"}, 415, "sent as application/json"),
        ("upload", png(3, 3), {"Content-Type": "multipart/form-data"}, 415, "application/octet-stream"),
        ("answer", b"{", JSON, 400, "this is not JSON"),
        ("answer", b"[" * 100_000, JSON, 400, "this is not JSON"),
        ("answer", b"\xff\xfe", JSON, 400, "this is not JSON"),
        ("answer", b" " * (server.MOST_JSON + 1), JSON, 413, "has more than 256 kB"),
        ("answer", [], JSON, 400, "A request is a JSON object"),
        ("answer", {**ASKED, "captions": ["a"] * 60}, JSON, 400, "There are 60 captions"),
        ("upload", b"", BYTES, 400, "the file is empty"),
        ("upload", b"no image", BYTES, 400, "not an image of a known format"),
        ("upload", bytes(MOST_BYTES + 1), BYTES, 413, "has more than 32 MB"),
        ("nothing", ASKED, JSON, 404, "There is nothing at this address"),
    ],
)
def test_a_bad_request_gets_a_sentence_and_the_next_is_answered(ask, path, body, headers, status, sentence):
    response, content = ask("POST", path, body, headers)
    assert response.status == status and sentence in content["error"] and "\n" not in content["error"]
    assert ask("POST", "answer", ASKED, JSON)[0].status == 200


def test_a_defect_is_said_and_ends_nothing(ask, running, monkeypatch, capsys):
    monkeypatch.setattr(running.live, "answer", lambda _: 1 / 0)
    response, content = ask("POST", "answer", ASKED, JSON)
    assert response.status == 500 and "defect" in content["error"]
    assert "ZeroDivisionError" in capsys.readouterr().err
    monkeypatch.undo()
    assert ask("POST", "answer", ASKED, JSON)[0].status == 200


def test_a_browser_that_hangs_up_is_not_spoken_of(ask, running, capsys):
    with socket.create_connection((server.ADDRESS, running.server_port)) as connection:
        connection.sendall(f"POST /{running.token}/answer HTTP/1.1\r\nContent-Length: 99\r\n".encode())
    assert ask("GET", "offered")[0].status == 200
    assert capsys.readouterr() == ("", "")


def test_requests_at_once_are_answered_one_after_the_other_and_each_right(running):
    def answer(x, found):
        connection = http.client.HTTPConnection(server.ADDRESS, running.server_port, timeout=60)
        body = json.dumps({**ASKED, "seen": {**STAGE, "x": x}})
        connection.request("POST", f"/{running.token}/answer", body, JSON)
        found[x] = json.loads(connection.getresponse().read())["similarities"]
        connection.close()

    found = {}
    threads = [threading.Thread(target=answer, args=(x / 8, found)) for x in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    for x, similarities in found.items():
        asked = read_request({**ASKED, "seen": {**STAGE, "x": x}})
        np.testing.assert_allclose(similarities, running.live.answer(asked)["similarities"], atol=1e-9)


def test_a_busy_port_is_said(running):
    with pytest.raises(
        InputError, match=f"The port {running.server_port} is in use; give another with --port"
    ):
        server.bind(running.server_port)


def test_an_installation_without_the_files_of_the_book_is_said(monkeypatch, tmp_path):
    monkeypatch.setitem(server.PAGE, "explorer.css", (tmp_path / "explorer.css", "text/css"))
    with pytest.raises(InputError, match=r"cannot be shown without .*; run this in a clone"):
        server.bind()


@pytest.mark.parametrize("name", ["explorer-view.js", "explorer.css"])
def test_what_draws_is_that_of_the_book(name):
    assert server.PAGE[name][0] == Path(__file__).parents[2] / "book" / "_static" / name
