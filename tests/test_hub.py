"""Fetching from the Hub: the cache first, and no wait for a network or a server that does not answer."""

import contextlib
import errno
import logging
import os
import pty
import re
import socket
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from filelock import FileLock
from huggingface_hub import HfApi, file_download
from huggingface_hub import constants as hub_constants
from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled
from tiny_hub import ask_at, serve

from crosseyed import hub
from crosseyed.errors import DownloadError, InputError
from crosseyed.hub import download_first, from_hub
from crosseyed.models.tokenizers import tokenizer_of_files

WEIGHTS = bytes(range(256)) * 40
SOURCE = {"repository": "somebody/tiny", "file": "weights"}


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A hub with one file, an empty cache, and short time limits."""
    with serve() as (server, address):
        server.files["weights"] = WEIGHTS
        ask_at(address, monkeypatch)
        monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        for limit in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
            monkeypatch.setattr(hub_constants, limit, 0.2)
        monkeypatch.setattr(hub_constants, "DOWNLOAD_CHUNK_SIZE", 100)
        monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)
        logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
        yield server


def fetch(*names):
    return Path(
        from_hub(
            lambda: download_first("somebody/tiny", *(names or ("weights",))), "it", "Do this.", **SOURCE
        )
    )


def begun(tmp_path):
    return list(tmp_path.rglob("*.incomplete"))


def left_over(tmp_path):
    return [path for path in tmp_path.rglob("*") if path.name.endswith((".incomplete", ".tmp"))]


def test_a_file_is_downloaded_once_and_then_read_from_the_cache(served):
    assert fetch().read_bytes() == WEIGHTS
    asked = len(served.asked)
    assert fetch().read_bytes() == WEIGHTS
    assert len(served.asked) == asked


def test_a_mirror_is_asked_for_the_file_and_not_for_its_front_page(served):
    served.front_page = 503
    assert fetch().read_bytes() == WEIGHTS
    assert not any(line.endswith(" /") for line in served.asked)


@pytest.mark.parametrize("status", [404, 429, 503])
def test_a_mirror_may_have_nothing_but_the_files(served, status):
    served.api = status

    def fetch_after_asking():
        with contextlib.suppress(HfHubHTTPError, OfflineModeIsEnabled):
            HfApi(hub_constants.ENDPOINT).model_info("somebody/tiny")
        return Path(download_first("somebody/tiny", "weights"))

    assert from_hub(fetch_after_asking, "it", "Do this.", **SOURCE).read_bytes() == WEIGHTS
    assert any("/api/" in line for line in served.asked)


def test_the_first_file_that_is_there_is_taken(served):
    assert fetch("better", "weights").read_bytes() == WEIGHTS


@pytest.mark.parametrize("stall_after", [0, 1000])
def test_a_hub_that_falls_silent_is_given_up(served, tmp_path, stall_after):
    served.stall_after = stall_after
    served.ranges = False  # so that each attempt begins anew, and would count as progress
    begin = time.monotonic()
    with pytest.raises(DownloadError, match=r"it fell silent.*/weights\. Do this\."):
        fetch("weights", "weights.bin")
    assert time.monotonic() - begin < 5
    assert left_over(tmp_path) == []


def test_a_hub_that_does_not_answer_after_the_first_time_is_given_up(served):
    served.silent = True
    begin = time.monotonic()
    with pytest.raises(DownloadError, match="it fell silent"):
        fetch()
    assert time.monotonic() - begin < 5


def test_a_connection_that_breaks_is_taken_up_again(served):
    served.cut_after = 4000
    assert fetch().read_bytes() == WEIGHTS


DOWNLOAD = """
import sys
from pathlib import Path
from huggingface_hub import constants, file_download
from crosseyed.hub import download_first, from_hub
constants.ENDPOINT, constants.HF_HUB_CACHE = sys.argv[1:]
constants.HUGGINGFACE_CO_URL_TEMPLATE = sys.argv[1] + "/{repo_id}/resolve/{revision}/{filename}"
source = {"repository": "somebody/tiny", "file": "weights"}
from_hub(lambda: download_first("somebody/tiny", "weights"), "it", "Do this.", **source)
"""


def test_what_a_killed_download_left_is_removed_by_the_next_and_none_in_progress(served, tmp_path):
    served.stall_after = 1000
    given = [sys.executable, "-c", DOWNLOAD, hub_constants.ENDPOINT, hub_constants.HF_HUB_CACHE]
    with subprocess.Popen(given) as process:
        end = time.monotonic() + 60
        while not begun(tmp_path) and process.poll() is None and time.monotonic() < end:
            pass
        process.kill()
    (killed,) = left_over(tmp_path)
    served.stall_after = None
    repository = killed.parents[1].name
    other = killed.with_name(f"{'e' * 64}.01234567.incomplete")
    other.touch()
    with FileLock(tmp_path / "hub" / ".locks" / repository / f"{'e' * 64}.lock"):
        assert fetch().read_bytes() == WEIGHTS
        assert left_over(tmp_path) == [other]
    served.files["more"] = b"more"
    fetch("more")
    assert left_over(tmp_path) == []


def test_what_does_not_fit_the_announced_digest_is_removed(served, tmp_path):
    served.digest = "f" * 64
    with pytest.raises(DownloadError, match="does not fit the digest"):
        fetch()
    assert not list((tmp_path / "hub").rglob("f" * 64))
    served.digest = None
    assert fetch().read_bytes() == WEIGHTS


@pytest.mark.parametrize("body", [WEIGHTS[:100], b"<html>blocked</html>"])
def test_a_body_of_another_length_than_announced_is_refused(served, tmp_path, body):
    served.body = body
    with pytest.raises(DownloadError, match="should be of size"):
        fetch()
    assert left_over(tmp_path) == []


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (401, "", "status 401: the repository does not exist or is private"),
        (401, "GatedRepo", "accept their terms"),
        (403, "", "status 403: it may not be downloaded"),
        (403, "GatedRepo", "accept their terms"),
        (404, "RepoNotFound", "no repository 'somebody/tiny'"),
        (404, "EntryNotFound", "no such file"),
        (404, "", "status 404"),
        (429, "", "status 429: too many downloads"),
        (500, "", "status 500: it is out of order"),
        (503, "", "status 503: it is out of order"),
    ],
)
def test_a_refusal_is_one_sentence_at_once(served, status, code, words):
    served.status = status
    served.headers = {"X-Error-Code": code, "Retry-After": "3600"} if code else {"Retry-After": "3600"}
    with pytest.raises(DownloadError, match=words) as caught:
        fetch("weights", "weights.bin")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 350
    assert len(served.asked) < 5


@pytest.fixture
def waits(served, monkeypatch):
    """The seconds that were waited, none of which passes."""
    waited = []
    monkeypatch.setattr(file_download.time, "sleep", waited.append)
    return waited


@pytest.mark.parametrize("status", [429, 503])
def test_a_hub_that_is_busy_for_a_while_is_asked_again(served, waits, status, capsys):
    served.busy = [status] * 5  # for the probe, and two for each attempt
    assert fetch().read_bytes() == WEIGHTS
    assert waits == [2, 4]
    assert f"status {status}; asking again in 4 s" in capsys.readouterr().err


def test_a_hub_that_stays_busy_is_asked_again_for_half_a_minute(served, waits):
    served.status = 503
    with pytest.raises(
        DownloadError, match=r"status 503: .*also after 30 seconds of asking again.*Do this\."
    ):
        fetch()
    assert waits == [2, 4, 8, 16]


@pytest.mark.parametrize(("asked", "expected"), [("7", [7, 7, 8]), ("31", []), ("soon", [2, 4, 8, 16])])
def test_a_hub_that_says_how_long_it_is_busy_is_left_alone_so_long(served, waits, asked, expected):
    served.status, served.headers = 429, {"Retry-After": asked}
    with pytest.raises(DownloadError, match="status 429") as caught:
        fetch()
    assert waits == expected
    assert ("left alone for 31 seconds" in str(caught.value)) == (asked == "31")


def test_a_slow_download_tells_in_a_log_how_far_it_is_and_how_fast(served, capsys, monkeypatch):
    served.rate = 25_000
    monkeypatch.setattr(hub, "REPORT_SECONDS", 0.1)
    assert fetch().read_bytes() == WEIGHTS
    first, *lines = capsys.readouterr().err.splitlines()
    assert first == f"downloading it from {hub_constants.ENDPOINT}"
    told = [re.fullmatch(r"weights: ([\d.]+)(k?)B of 10\.2kB, (\S+), \S+ left", line) for line in lines]
    come = [float(each[1]) * (1000 if each[2] else 1) for each in told]
    assert len(come) >= 3
    assert come == sorted(set(come))
    assert come[-1] == pytest.approx(len(WEIGHTS), rel=0.01)
    assert re.fullmatch(r"[\d.]+kB/s", told[-1][3])


def test_a_download_draws_a_bar_in_a_terminal(served):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 120))
    given = [sys.executable, "-c", DOWNLOAD, hub_constants.ENDPOINT, hub_constants.HF_HUB_CACHE]
    subprocess.run(given, stderr=theirs, check=True)
    os.close(theirs)
    said = os.read(ours, 10_000).decode()
    os.close(ours)
    assert re.search(r"weights: 100%\|.*\| 10\.2k/10\.2k \[.*B/s\]", said), said


def test_a_cache_that_lacks_a_file_says_what_to_do_when_it_shall_do_without_network(served, monkeypatch):
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(DownloadError, match=r"HF_HUB_OFFLINE is set.*it is not in the cache.*Do this\."):
        fetch()
    assert served.asked == []


def test_a_proxy_that_answers_with_a_web_page_is_told_from_a_hub(served):
    served.web_page = True
    with pytest.raises(DownloadError, match=r"not a hub .a proxy or a login page"):
        fetch()


def test_a_cache_that_cannot_be_written_is_named(served, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setattr(hub_constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(DownloadError, match=r"file.*cannot be written .*HF_HOME"):
        fetch()


def test_a_cache_that_is_full_is_named(served, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(file_download, "http_get", full)
    with pytest.raises(DownloadError, match=r"disk of '.*hub' is full.*HF_HOME.*Do this\."):
        fetch()
    assert left_over(tmp_path) == []


def test_a_name_that_no_repository_can_have_is_said(served):
    source = {"repository": "some body/../x", "file": "weights"}
    with pytest.raises(DownloadError, match="some body"):
        from_hub(lambda: download_first("some body/../x", "weights"), "it", "Do this.", **source)


@pytest.mark.parametrize("settings", [b"[]", b"{", b'{"tokenizer_class": 3}', b"\xff"])
def test_a_tokenizer_that_came_and_cannot_be_read_is_no_failed_download(served, settings, monkeypatch):
    for limit in ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT"):
        monkeypatch.setattr(
            hub_constants, limit, 10
        )  # nothing is silent here, but a busy machine may be slow
    served.files |= {"tokenizer_config.json": settings, "tokenizer.json": b"{}", "config.json": b"{}"}
    with pytest.raises(InputError, match="tokenizer 'somebody/tiny' of it cannot be read"):
        tokenizer_of_files({"text_cfg": {"hf_tokenizer_name": "somebody/tiny"}}, None, "it")


@pytest.mark.parametrize("status", [401, 404, 503])
def test_a_tokenizer_that_does_not_come_is_a_failed_download(served, status):
    served.status = status
    with pytest.raises(DownloadError, match=r"the tokenizer 'somebody/tiny' \(less than 50 MB\)"):
        tokenizer_of_files({"text_cfg": {"hf_tokenizer_name": "somebody/tiny"}}, None, "it")


def reachable(monkeypatch):
    monkeypatch.setattr(hub, "_network_problem", lambda url: None)


def test_from_hub_asks_the_cache_before_the_network(monkeypatch):
    monkeypatch.setattr(hub, "_network_problem", lambda url: pytest.fail("no need for the network"))
    assert from_hub(lambda: hub_constants.HF_HUB_OFFLINE, "a thing", "Do this.", **SOURCE) is True
    assert hub_constants.HF_HUB_OFFLINE is False


def only_online():
    if hub_constants.HF_HUB_OFFLINE:
        raise FileNotFoundError("not in the cache")
    return "downloaded"


def test_from_hub_downloads_what_the_cache_lacks(monkeypatch):
    reachable(monkeypatch)
    assert from_hub(only_online, "a thing", "Do this.", **SOURCE) == "downloaded"


def test_from_hub_reports_what_the_hub_answers(monkeypatch):
    def refuse():
        raise OSError("404 repository not found.")

    reachable(monkeypatch)
    words = r"Cannot download a thing .*404 repository not found\. Do this\."
    with pytest.raises(DownloadError, match=words):
        from_hub(refuse, "a thing", "Do this.", **SOURCE)


@pytest.mark.parametrize("online", [False, True])
def test_what_is_refused_for_its_content_is_no_failed_download(monkeypatch, online):
    def refuse():
        if online:
            only_online()
        raise InputError("this runs code")

    reachable(monkeypatch)
    with pytest.raises(InputError, match="this runs code"):
        from_hub(refuse, "a thing", "Do this.", **SOURCE)


def test_without_network_from_hub_gives_up_at_once(monkeypatch):
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setattr(hub_constants, "ENDPOINT", address)
        monkeypatch.setattr(
            hub_constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/{revision}/{filename}"
        )
        with pytest.raises(DownloadError, match=r"Cannot download a thing .*refused.* Do this\."):
            from_hub(only_online, "a thing", "Do this.", **SOURCE)


def test_a_network_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "get_session", lambda: time.sleep(60))  # as looking up a name can hang
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.1)
    with pytest.raises(DownloadError, match="no answer within"):
        from_hub(only_online, "a thing", "Do this.", **SOURCE)


def test_the_way_of_downloading_is_as_it_was_afterwards(monkeypatch):
    reachable(monkeypatch)
    before = hub_constants.HF_HUB_DISABLE_XET
    assert from_hub(lambda: only_online() and hub_constants.HF_HUB_DISABLE_XET, "it", "Do.", **SOURCE) is True
    assert before == hub_constants.HF_HUB_DISABLE_XET
    assert os.environ.get("HF_HUB_DISABLE_XET") is None or before
