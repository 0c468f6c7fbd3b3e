"""Fetching from the Hub: the cache first, and no long wait for a network that is not there."""

import socket
import time

import pytest
from huggingface_hub import constants as hub_constants

from crosseyed import hub
from crosseyed.errors import DownloadError
from crosseyed.hub import from_hub


def test_from_hub_asks_the_cache_before_the_network(monkeypatch):
    monkeypatch.setattr(hub, "_network_problem", lambda: pytest.fail("no need for the network"))
    assert from_hub(lambda: hub_constants.HF_HUB_OFFLINE, "a thing", "Do this.") is True
    assert hub_constants.HF_HUB_OFFLINE is False


def only_online():
    if hub_constants.HF_HUB_OFFLINE:
        raise FileNotFoundError("not in the cache")
    return "downloaded"


def test_from_hub_downloads_what_the_cache_lacks(monkeypatch):
    monkeypatch.setattr(hub, "_network_problem", lambda: None)
    assert from_hub(only_online, "a thing", "Do this.") == "downloaded"


def test_from_hub_reports_what_the_hub_answers(monkeypatch):
    def refuse():
        raise OSError("404 repository not found.")

    monkeypatch.setattr(hub, "_network_problem", lambda: None)
    with pytest.raises(
        DownloadError, match=r"Cannot download a thing .*404 repository not found\. Do this\."
    ):
        from_hub(refuse, "a thing", "Do this.")


def test_without_network_from_hub_gives_up_at_once(monkeypatch):
    with socket.socket() as unused:  # bound but not listening: connections are refused
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setattr(hub_constants, "ENDPOINT", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with pytest.raises(DownloadError, match=r"Cannot download a thing .*refused.* Do this\."):
            from_hub(only_online, "a thing", "Do this.")


def test_a_network_that_never_answers_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(hub, "get_session", lambda: time.sleep(60))  # as looking up a name can hang
    monkeypatch.setattr(hub, "PROBE_SECONDS", 0.1)
    with pytest.raises(DownloadError, match="no answer within"):
        from_hub(only_online, "a thing", "Do this.")
