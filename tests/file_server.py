"""A server of plain files that can break off, and a registry of models whose files it has."""

from __future__ import annotations

import re
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


class FileServer:
    """Use as a context manager. ``files`` by path; ``cuts``: how many bytes come of the next answers (None: all).

    ``etags`` by path, where there are any; parts lie ``shift`` (at most 0) bytes from those asked for.
    """

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.cuts: list[int | None] = []
        self.status: dict[str, int] = {}
        self.requests: list[tuple[str, str | None]] = []
        self.honours_range = True
        self.etags: dict[str, str] = {}
        self.shift = 0
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"files": self}))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> FileServer:
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def ranges(self) -> list[str | None]:
        """The ranges asked for."""
        return [range for _, range in self.requests]


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    files: FileServer

    def do_GET(self) -> None:
        server = self.files
        wanted = self.headers.get("Range")
        server.requests.append((self.path, wanted))
        # Before the headers go out: a client that wants no more asks for the next thing at once, in another thread.
        cut = server.cuts.pop(0) if server.cuts else None
        content = server.files.get(self.path)
        status = server.status.get(self.path, 200 if content is not None else 404)
        content = content or b""
        etag = server.etags.get(self.path)
        match = re.fullmatch(r"bytes=(\d+)-", wanted or "")
        if match and status == 200 and server.honours_range and self.headers.get("If-Range") in (None, etag):
            start, size = int(match[1]), len(content)
            content = content[start + server.shift : size + server.shift]
            status = 206 if start < size else 416
        self.send_response(status)
        if etag is not None:
            self.send_header("ETag", etag)
        if status == 206:
            self.send_header("Content-Range", f"bytes {start + server.shift}-{size + server.shift - 1}/{size}")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        with suppress(ConnectionError):
            self.wfile.write(content if cut is None else content[:cut])
        if cut is not None:
            self.close_connection = True

    def log_message(self, *_: Any) -> None:
        pass


def write_registry(home: Path, **tables: str) -> None:
    """The user's own entries, as TOML below a name each."""
    home.mkdir(parents=True, exist_ok=True)
    text = "\n".join(f"[{name}]\n{table}" for name, table in tables.items())
    (home / "models.toml").write_text(text, encoding="utf-8")
