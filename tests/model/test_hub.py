"""The hub as it answers on loopback: what is downloaded, and what each refusal is told as."""

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from tests.imports import ROOT

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "modeling_own.py": b"import os",
    "weights.bin": b"\x80",
    "model.safetensors": b"w",
}
# How each model refuses: status and error code of its listing, of its files, or of neither.
REFUSALS = {
    "ours/gated": ("files", 403, "GatedRepo"),
    "ours/gated-listing": ("listing", 401, "GatedRepo"),
    "ours/old": ("listing", 404, "RevisionNotFound"),
    "ours/none": ("listing", 404, "RepoNotFound"),
    "ours/private": ("listing", 401, "RepoNotFound"),
    "ours/broken": ("listing", 418, ""),
}
ASK = """
import json, sys
from stages.errors import FolioError
from stages.model.hub import Hub
for id, revision, does in json.loads(sys.argv[1]):
    option = Hub(name="hub", id=id, revision=revision, dtype="auto", watch="w")
    try:
        print(json.dumps([id, revision, does, str(getattr(option, does)())]))
    except FolioError as error:
        print(json.dumps([id, revision, does, str(error)]))
"""


class Handler(BaseHTTPRequestHandler):
    tokens: ClassVar[list[str]] = []
    asked: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        place = re.fullmatch(
            r"(?:/api/models)?/(\w+/[\w-]+)/(tree|revision|resolve)/([^/?]+)/?([^?]*).*", self.path
        )
        assert place, self.path
        model, kind, _, name = place.groups()
        part, status, code = REFUSALS.get(model, ("", 200, ""))
        if part == ("files" if kind == "resolve" else "listing"):
            self._send(status, b"{}", {"X-Error-Code": code})
        elif kind == "revision":
            self._send(200, json.dumps({"id": model, "sha": COMMIT, "siblings": []}).encode())
        elif kind == "tree":
            kept = {
                name: body for name, body in FILES.items() if model != "ours/pickled" or "safe" not in name
            }
            rows = [{"type": "file", "path": n, "size": len(b), "oid": n} for n, b in kept.items()]
            self._send(200, json.dumps(rows).encode())
        else:
            self._send(200, FILES[name], {"ETag": f'"{name}"', "X-Repo-Commit": COMMIT})

    def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the base class's own name
        self.tokens.append(self.headers.get("Authorization", ""))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as made:
        threading.Thread(target=made.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{made.server_port}"
        made.shutdown()


Case = tuple[str, str, str]


def ask(endpoint: str, home: Path, *cases: Case, offline: bool = False) -> dict[Case, str]:
    own = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home), "NO_PROXY": "127.0.0.1"}
    own["HF_HUB_OFFLINE"] = "1" if offline else "0"
    own |= {"PYTHONPATH": str(ROOT), "HF_HUB_DISABLE_XET": "1", "HF_TOKEN": "hf_secret"}
    done = subprocess.run(
        [sys.executable, "-c", ASK, json.dumps(cases)],
        env=os.environ | own, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "hf_secret" not in done.stdout
    return {(*words,): said for *words, said in map(json.loads, done.stdout.splitlines())}


def test_what_the_hub_says_is_told_in_a_sentence(server: str, tmp_path: Path) -> None:
    said = ask(server, tmp_path, *((model, COMMIT, "folder") for model in [*REFUSALS, "no name at all"]))
    by_model = {model: sentence for (model, _, _), sentence in said.items()}
    for model in ("ours/gated", "ours/gated-listing"):
        assert by_model[model] == f"{model} (model.id) is gated: accept its terms on the hub and set HF_TOKEN"
    assert by_model["ours/old"] == f"ours/old has no revision {COMMIT} (model.revision)"
    for model in ("ours/none", "ours/private", "no name at all"):
        assert by_model[model].startswith(f"the hub has no model {model} (model.id), or it is private")
        assert "HF_TOKEN" in by_model[model]
    assert "the hub cannot be reached; check the network" in by_model["ours/broken"]


def test_a_branch_is_refused_with_the_commit_that_it_is_at(server: str, tmp_path: Path) -> None:
    cases = [("ours/open", "main", does) for does in ("check", "folder")] + [("ours/none", "main", "check")]
    said = ask(server, tmp_path, *cases)
    for case in cases[:2]:
        assert said[case] == (
            "model.revision=main of ours/open (model.id) is no commit and may move unseen; "
            f"pin it: model.revision={COMMIT} is where it stands now"
        )
    assert said[cases[2]].startswith("the hub has no model ours/none")


def test_where_no_hub_answers_it_says_so(tmp_path: Path) -> None:
    # A listing is tried again for half a minute, so that it is asked for offline.
    folder, branch, commit = (
        ("ours/open", *rest) for rest in ((COMMIT, "folder"), ("main", "check"), (COMMIT, "check"))
    )
    said = ask("http://127.0.0.1:9", tmp_path, branch, commit) | ask("", tmp_path, folder, offline=True)
    assert said[branch].startswith("model.revision=main of ours/open (model.id) is no commit")
    assert said[folder].startswith(
        "ours/open (model.id) is not on this machine and the hub cannot be reached"
    )
    assert all(said[case].endswith("or set model=embedded or model=folder") for case in (folder, branch))
    assert said[commit] == "None"  # a commit needs no network to be one


def test_weights_come_as_safetensors_alone_and_no_code_at_all(server: str, tmp_path: Path) -> None:
    cases = [("ours/open", COMMIT, "folder"), ("ours/pickled", COMMIT, "folder")]
    said = ask(server, tmp_path, *cases)
    place = Path(said[cases[0]])
    assert (place.name, {path.name for path in place.iterdir()}) == (
        COMMIT,
        {"config.json", "model.safetensors"},
    )
    assert said[cases[1]].startswith(
        "ours/pickled (model.id) holds no safetensors; Folio opens no pickled weights"
    )
    assert not any(name in line for line in Handler.asked for name in ("modeling_own.py", "weights.bin"))
    assert "Bearer hf_secret" in Handler.tokens
    # Once here, it is found without the hub.
    assert ask(server, tmp_path, cases[0], offline=True)[cases[0]] == str(place)
