"""A real HTTP server on loopback that speaks as much of the hub's API as a push needs."""

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

TOKEN = "hf_very-secret-0123456789"  # noqa: S105
READER = "hf_may-read-alone-0123456789"
REPOSITORY = "me/answers"
OF_REPOSITORY = re.compile(r"/(?:api/models/)?([\w-]+/[\w-]+)(?:\.git/info/lfs/objects)?/?(.*)")


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])


@dataclass
class Hub:
    """Repositories by name, objects by digest, what was asked; `fails`: the status of such paths."""

    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    tokens: set[str | None] = field(default_factory=set)
    fails: dict[str, int] = field(default_factory=dict)
    refuses_card: bool = False

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, self))
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


class Handler(BaseHTTPRequestHandler):
    """One request; git's own blobs are files up to 10 KB, as `.gitattributes` of the hub makes it."""

    def __init__(self, hub: Hub, *arguments: Any) -> None:
        self.hub = hub
        super().__init__(*arguments)

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, value: Any = None, code: str = "") -> None:
        body = json.dumps(value if value is not None else {"error": f"status {status}"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.serve("GET", b"")

    def do_POST(self) -> None:
        self.serve("POST", self.rfile.read(int(self.headers["Content-Length"] or 0)))

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.hub.asked.append(("PUT", self.path))
        oid = self.path.rpartition("/")[2]
        if status := self.failure():
            self.answer(status)
        else:
            self.hub.objects[oid] = content
            self.answer(200, {})

    def failure(self) -> int:
        return next((status for part, status in self.hub.fails.items() if part in self.path), 0)

    def serve(self, method: str, body: bytes) -> None:
        path = self.path.partition("?")[0]
        self.hub.asked.append((method, path))
        token = (self.headers["Authorization"] or "").removeprefix("Bearer ") or None
        self.hub.tokens.add(token)
        if status := self.failure():
            self.answer(status)
        elif token not in (TOKEN, READER):
            self.answer(401)
        elif path == "/api/validate-yaml":
            errors = [{"message": "no such licence"}] if self.hub.refuses_card else []
            self.answer(400 if errors else 200, {"errors": errors, "warnings": []})
        elif path == "/api/repos/create":
            self.create(json.loads(body), token)
        elif found := OF_REPOSITORY.fullmatch(path):
            self.of_repository(found[1], found[2].partition("/")[0], body, token)
        else:
            self.answer(404)

    def create(self, asked: dict[str, Any], token: str | None) -> None:
        name = f"{asked.get('organization') or 'me'}/{asked['name']}"
        if token == READER:
            self.answer(403)
        elif name in self.hub.repositories:
            self.answer(409, {"url": f"{self.hub.url}/{name}"})
        else:
            private = bool(asked.get("private")) or asked.get("visibility") == "private"
            self.hub.repositories[name] = Repository(private)
            self.answer(200, {"url": f"{self.hub.url}/{name}"})

    def of_repository(self, name: str, verb: str, body: bytes, token: str | None) -> None:
        found = self.hub.repositories.get(name)
        if found is None:
            self.answer(404, code="RepoNotFound")
        elif verb in ("", "revision"):
            files = [{"rfilename": file} for file in found.files]
            facts = {"id": name, "sha": found.commits[-1], "private": found.private, "siblings": files}
            self.answer(200, facts | {"tags": []})
        elif token == READER:
            self.answer(403)
        elif verb == "preupload":
            self.answer(200, {"files": [self.mode(found, one) for one in json.loads(body)["files"]]})
        elif verb == "batch":
            objects = [self.place(one) for one in json.loads(body)["objects"]]
            self.answer(200, {"transfer": "basic", "objects": objects})
        elif verb == "verify":
            one = json.loads(body)
            is_whole = len(self.hub.objects[one["oid"]]) == one["size"]
            self.answer(200 if is_whole else 422, {})
        elif verb == "commit":
            self.commit(found, [json.loads(line) for line in body.splitlines()])

    def mode(self, repository: Repository, one: dict[str, Any]) -> dict[str, Any]:
        how = "lfs" if one["size"] > 10_000 else "regular"
        known = {"path": one["path"], "uploadMode": how, "shouldIgnore": False}
        there = repository.files.get(one["path"])
        return known | ({} if there is None else {"oid": identity(there, how)})

    def place(self, one: dict[str, Any]) -> dict[str, Any]:
        if one["oid"] in self.hub.objects:
            return one
        upload = {"href": f"{self.hub.url}/storage/{one['oid']}"}
        verify = {"href": f"{self.hub.url}/{REPOSITORY}/verify"}
        return one | {"actions": {"upload": upload, "verify": verify}}

    def commit(self, repository: Repository, lines: list[dict[str, Any]]) -> None:
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del repository.files[value["path"]]
        oid = hashlib.sha1(json.dumps(lines).encode()).hexdigest()  # noqa: S324 - git's own
        repository.commits.append(oid)
        url = f"{self.hub.url}/{REPOSITORY}/commit/{oid}"
        self.answer(200, {"success": True, "commitOid": oid, "commitUrl": url})


def identity(content: bytes, how: str) -> str:
    """What tells a file's content: of a large one SHA-256, of another git's digest of the blob."""
    if how == "lfs":
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324
