import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from stages.endpoint import client
from stages.ledger import Ledger
from tests import tiny

# Threads that wait for each other at every small product of a tiny model cost more than they save, and on
# a busy machine many times as much. Set before torch is imported; the stages that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.make(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def session_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The test's own folder as the working directory, with a cache in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOLIO_CACHE", str(tmp_path / "cache"))
    return tmp_path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as opened:
        yield opened


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy between a test and its own server, and hardly a pause before a call is tried again."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(client, "BACKOFF", 0.01)
