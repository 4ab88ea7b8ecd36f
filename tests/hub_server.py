"""A local server that speaks as much of the Hugging Face Hub's API as its client needs to pull from it and push to it.

Large files are served from a second origin, as the Hub serves them from its CDN: no token may arrive there.
"""

from __future__ import annotations

import json
import os
import re
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

from hub_pages import GET, POST, PUT, Routes
from hub_repos import Commit, Fault, Refused, Repo


@dataclass(frozen=True, kw_only=True)
class Request:
    """One request as it arrived: ``origin`` hub or cdn, ``path`` decoded and without its query."""

    origin: str
    method: str
    path: str
    range: str | None
    token: str | None


class HubServer:
    """Use as a context manager. ``tokens`` maps a token to its user's name."""

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.moved: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.uploads: dict[str, bytes] = {}
        self.requests: list[Request] = []
        self._faults: list[tuple[Fault, int]] = []
        self._lock = threading.Lock()
        self._servers = [_Server(self, origin) for origin in ("hub", "cdn")]
        self.url, self.cdn = (f"http://127.0.0.1:{server.server_port}" for server in self._servers)

    def __enter__(self) -> HubServer:
        for server in self._servers:
            threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        for server in self._servers:
            server.shutdown()
            server.server_close()

    def add_repo(self, name: str, files: Mapping[str, bytes], **options: Any) -> Repo:
        """A repository with one commit on main."""
        self.repos[name] = repo = Repo(name=name, **options)
        repo.commit(files, message="Initial commit")
        return repo

    def fault(self, kind: Any, part: str, *, times: int = 1, **values: Any) -> None:
        """Let the next ``times`` requests whose path holds ``part`` go wrong."""
        self._faults.append((Fault(kind=kind, part=part, **values), times))

    def mend(self) -> None:
        """Forget all faults to come."""
        self._faults.clear()

    def take_fault(self, kind: str, path: str) -> Fault | None:
        with self._lock:
            for number, (fault, times) in enumerate(self._faults):
                if fault.kind == kind and fault.part in path and times:
                    self._faults[number] = (fault, times - 1)
                    return fault
        return None

    def of(self, method: str, part: str = "") -> list[Request]:
        """The requests of that method whose path holds ``part``."""
        return [request for request in self.requests if request.method == method and part in request.path]

    def environment(self, home: Path, *, token: str | None = None, offline: bool = False) -> dict[str, str]:
        """For a subprocess that shall know this hub, no other, and keep its cache in ``home``."""
        clean = {
            key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING_FACE_", "MAJL_"))
        }
        clean |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(home),
            "MAJL_HOME": str(home / "majl"),
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
        }
        return clean | ({"HF_TOKEN": token} if token else {}) | ({"HF_HUB_OFFLINE": "1"} if offline else {})


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, hub: HubServer, origin: str) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.hub, self.origin = hub, origin

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no news."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        self._answer(GET)

    def do_HEAD(self) -> None:
        self._answer(GET)

    def do_POST(self) -> None:
        self._answer(POST)

    def do_PUT(self) -> None:
        self._answer(PUT)

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, routes: Routes) -> None:
        hub = self.server.hub
        raw, _, query = self.path.partition("?")
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None
        self.where = unquote(raw)
        self.query = {key: values[0] for key, values in parse_qs(query).items()}
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.requests.append(
            Request(
                origin=self.server.origin, method=self.command, path=self.where, range=self.headers.get("Range"),
                token=token,
            )
        )  # fmt: skip
        if fault := hub.take_fault("delay", self.where):
            time.sleep(fault.seconds)
        try:
            if fault := hub.take_fault("fail", self.where):
                raise Refused(fault.status, "the hub is out of order")
            if token is not None and token not in hub.tokens:
                raise Refused(401, "Invalid credentials in Authorization header")
            self.user = hub.tokens.get(token or "")
            for pattern, route in routes[self.server.origin]:
                if match := pattern.fullmatch(raw):
                    return route(self, *(unquote(group) for group in match.groups()))
            raise Refused(404, f"no such page: {self.command} {self.where}")
        except Refused as refusal:
            self.send_json({"error": refusal.message}, status=refusal.status, **refusal.headers)

    def send_json(self, data: Any, *, status: int = 200, **headers: str) -> None:
        self.send(json.dumps(data).encode(), status=status, headers={"Content-Type": "application/json", **headers})

    def send(self, content: bytes, *, status: int = 200, headers: Mapping[str, str]) -> None:
        """Content whole, or from where the client wants it; a fault cuts the connection in its middle."""
        start = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        headers = {**headers, "Accept-Ranges": "bytes"}
        if start and status == 200:
            status, first, size = 206, int(start[1]), len(content)
            if first >= size:
                status, headers["Content-Range"], content = 416, f"bytes */{size}", b""
            else:
                content = content[first : int(start[2]) + 1 if start[2] else None]
                headers["Content-Range"] = f"bytes {first}-{first + len(content) - 1}/{size}"
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        cut = self.server.hub.take_fault("cut", self.where) if self.command == "GET" and content else None
        self.end_headers()
        if self.command == "HEAD":
            return
        with suppress(ConnectionError):
            self.wfile.write(content if cut is None else content[: cut.size])
        if cut is not None:
            self.close_connection = True

    def repo(self, name: str, *, write: bool = False) -> Repo:
        """The repository, if the user may see it, or write to it."""
        hub = self.server.hub
        if name in hub.moved:
            new = hub.url + self.path.replace(name, hub.moved[name], 1)
            raise Refused(307, "moved", Location=new)
        repo = hub.repos.get(name)
        if repo is None or (repo.private and self.user != repo.owner):
            raise Refused(404 if self.user else 401, "Repository not found", "RepoNotFound")
        if write and self.user is None:
            raise Refused(401, "Invalid username or password.")
        if write and self.user != repo.owner:
            raise Refused(403, "Forbidden: you must have write access to this repository")
        return repo

    def commit(self, name: str, revision: str, *, write: bool = False) -> tuple[Repo, Commit]:
        repo = self.repo(name, write=write)
        commit = repo.find(revision)
        if commit is None:
            raise Refused(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return repo, commit

    def file(self, name: str, revision: str, path: str) -> tuple[Commit, bytes]:
        repo, commit = self.commit(name, revision)
        if repo.gated and self.user not in {repo.owner, *repo.readers}:
            words = f"Access to model {name} is restricted"
            raise Refused(403 if self.user else 401, words, "GatedRepo")
        if path not in commit.files:
            raise Refused(404, "Entry not found", "EntryNotFound", **{"X-Repo-Commit": commit.sha})
        return commit, commit.files[path]
