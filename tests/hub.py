"""A hub of data sets on loopback: as much of the protocol as reading a Parquet file takes."""

import contextlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0" * 40
FILE = "data/train-00000-of-00001.parquet"
# What the hub answers about data sets that are not there for everybody.
REFUSED = {"owner/gated": (401, "GatedRepo"), "owner/none": (404, "RepoNotFound")}


class _Hub(BaseHTTPRequestHandler):
    content: bytes

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        name = "/".join(path.partition("datasets/")[2].split("/")[:2])
        if name in REFUSED:
            self._reply(REFUSED[name][0], b"", X_Error_Code=REFUSED[name][1])
        elif COMMIT not in path:
            self._reply(404, b"", X_Error_Code="RevisionNotFound")
        elif path.endswith((FILE, "scripted.py")):
            self._reply(200, self.content, ETag='"0"', X_Repo_Commit=COMMIT)
        elif path.startswith("/api/"):
            self._reply(200, json.dumps(_described(name, path)).encode())
        else:
            self._reply(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)

    do_HEAD = do_GET  # noqa: N815 - the base class's names

    def _reply(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


def _described(name: str, path: str) -> Any:
    if path.endswith(f"/tree/{COMMIT}"):
        return [{"type": "directory", "oid": "0" * 40, "size": 0, "path": "data"}]
    if "/tree/" in path:
        return [{"type": "file", "oid": "0" * 40, "size": len(_Hub.content), "path": FILE}]
    return {"id": name, "sha": COMMIT, "private": False, "siblings": [{"rfilename": FILE}]}


@contextlib.contextmanager
def serving(content: bytes) -> Iterator[str]:
    """Yield the address of a hub whose data sets hold one Parquet file."""
    _Hub.content = content
    with ThreadingHTTPServer(("127.0.0.1", 0), _Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
