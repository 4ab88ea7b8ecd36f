"""The pages of the hub's API that its client asks for, each a function of the request's handler."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote

from hub_repos import Refused, card_errors, file_row, git_sha1, is_large, model_row, sha256

if TYPE_CHECKING:
    from hub_server import Handler

Routes = dict[str, list[tuple[re.Pattern[str], Callable[..., None]]]]


def _model(handler: Handler, name: str, revision: str = "main") -> None:
    repo, commit = handler.commit(name, revision)
    handler.send_json(model_row(repo, commit, blobs="blobs" in handler.query))


def _tree(handler: Handler, name: str, revision: str) -> None:
    _, commit = handler.commit(name, revision)
    folders = sorted({str(parent) for path in commit.files for parent in Path(path).parents} - {"."})
    rows: list[dict[str, Any]] = [
        {"type": "directory", "path": path, "size": 0, "oid": git_sha1(path.encode())} for path in folders
    ]
    handler.send_json(rows + [file_row(path, content) for path, content in sorted(commit.files.items())])


def _paths_info(handler: Handler, name: str, revision: str) -> None:
    _, commit = handler.commit(name, revision)
    paths = parse_qs(handler.body.decode()).get("paths", [])
    handler.send_json([file_row(path, commit.files[path]) for path in paths if path in commit.files])


def _refs(handler: Handler, name: str) -> None:
    branches = handler.repo(name).branches.items()
    rows = [{"name": branch, "ref": f"refs/heads/{branch}", "targetCommit": sha} for branch, sha in branches]
    handler.send_json({"branches": rows, "tags": [], "converts": []})


def _resolve(handler: Handler, name: str, revision: str, path: str) -> None:
    """A small file lies in a cache of the hub's own, a large one at the CDN; both answers say what it is."""
    commit, content = handler.file(name, revision, path)
    headers = {"X-Repo-Commit": commit.sha}
    if is_large(path):
        digest = sha256(content)
        headers |= {
            "X-Linked-Etag": f'"{digest}"',
            "X-Linked-Size": str(len(content)),
            "ETag": f'"{git_sha1(content)}"',
        }
        headers["Location"] = f"{handler.server.hub.cdn}/{name}/{digest}/{quote(path)}"
        return handler.send(b"", status=302, headers=headers)
    headers["Location"] = f"/api/resolve-cache/models/{name}/{commit.sha}/{quote(path, safe='')}"
    handler.send(b"", status=307, headers=headers)


def _cached(handler: Handler, name: str, sha: str, path: str) -> None:
    commit, content = handler.file(name, sha, path)
    _send_file(handler, content, {"X-Repo-Commit": commit.sha, "ETag": f'"{git_sha1(content)}"'})


def _from_cdn(handler: Handler, name: str, digest: str, path: str) -> None:
    versions = [commit.files.get(path, b"") for commit in handler.server.hub.repos[name].commits.values()]
    content = next(version for version in versions if sha256(version) == digest)
    _send_file(handler, content, {"ETag": f'"{digest}"'})


def _send_file(handler: Handler, content: bytes, headers: dict[str, str]) -> None:
    if handler.command == "GET" and handler.server.hub.take_fault("corrupt", handler.where):
        content = content[:-1] + bytes([content[-1] ^ 1])
    handler.send(content, headers={**headers, "Content-Type": "application/octet-stream"})


def _whoami(handler: Handler) -> None:
    if handler.user is None:
        raise Refused(401, "Invalid username or password.")
    access = {"type": "access_token", "accessToken": {"displayName": "test", "role": "write"}}
    handler.send_json({"type": "user", "id": "1", "name": handler.user, "orgs": [], "auth": access})


def _validate_card(handler: Handler) -> None:
    errors = card_errors(json.loads(handler.body)["content"])
    rows = [{"message": message} for message in errors]
    handler.send_json({"errors": rows, "warnings": []}, status=400 if errors else 200)


def _create(handler: Handler) -> None:
    wanted = json.loads(handler.body)
    if handler.user is None:
        raise Refused(401, "Invalid username or password.")
    owner = wanted.get("organization") or handler.user
    name = f"{owner}/{wanted['name']}"
    url = f"{handler.server.hub.url}/{name}"
    if owner != handler.user:
        raise Refused(403, f'You don\'t have the rights to create a model under the namespace "{owner}"')
    if name in handler.server.hub.repos:
        return handler.send_json({"error": "You already created this model repo", "url": url}, status=409)
    private = bool(wanted.get("private")) or wanted.get("visibility") == "private"
    attributes = b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"
    handler.server.hub.add_repo(name, {".gitattributes": attributes}, private=private)
    handler.send_json({"url": url, "name": name})


def _branch(handler: Handler, name: str, branch: str) -> None:
    repo = handler.repo(name, write=True)
    if branch in repo.branches:
        raise Refused(409, "Reference already exists")
    repo.branches[branch] = repo.branches["main"]
    handler.send_json({})


def _preupload(handler: Handler, name: str, revision: str) -> None:
    _, commit = handler.commit(name, revision, write=True)
    rows = []
    for path in (file["path"] for file in json.loads(handler.body)["files"]):
        row: dict[str, Any] = {
            "path": path,
            "uploadMode": "lfs" if is_large(path) else "regular",
            "shouldIgnore": False,
        }
        if path in commit.files:
            row["oid"] = sha256(commit.files[path]) if is_large(path) else git_sha1(commit.files[path])
        rows.append(row)
    handler.send_json({"files": rows, "commitOid": commit.sha})


def _lfs_batch(handler: Handler, name: str) -> None:
    handler.repo(name, write=True)
    hub = handler.server.hub
    rows = []
    for item in json.loads(handler.body)["objects"]:
        row = {"oid": item["oid"], "size": item["size"]}
        if item["oid"] not in hub.uploads:
            upload = {"href": f"{hub.cdn}/upload/{item['oid']}"}
            row["actions"] = {"upload": upload, "verify": {"href": f"{hub.url}/api/verify/{name}"}}
        rows.append(row)
    handler.send_json({"transfer": "basic", "objects": rows})


def _upload(handler: Handler, digest: str) -> None:
    if sha256(handler.body) != digest:
        raise Refused(400, "the content is not what its name says")
    handler.server.hub.uploads[digest] = handler.body
    handler.send(b"", headers={"ETag": f'"{digest}"'})


def _verify(handler: Handler, name: str) -> None:
    handler.repo(name, write=True)
    item = json.loads(handler.body)
    if len(handler.server.hub.uploads.get(item["oid"], b"")) != item["size"]:
        raise Refused(404, "no such upload")
    handler.send_json({"success": True})


def _commit(handler: Handler, name: str, branch: str) -> None:
    repo, parent = handler.commit(name, branch, write=True)
    lines = [json.loads(line) for line in handler.body.splitlines()]
    header, changes = lines[0]["value"], {}
    if header.get("parentCommit", parent.sha) != parent.sha:
        raise Refused(412, "A commit has happened since. Please refresh and try again.")
    for value, key in ((line["value"], line["key"]) for line in lines[1:]):
        if key == "lfsFile" and value["oid"] not in handler.server.hub.uploads:
            raise Refused(400, f"{value['path']}: its content was not uploaded")
        content: bytes | None = None
        if key == "file":
            content = base64.b64decode(value["content"])
        elif key == "lfsFile":
            content = handler.server.hub.uploads[value["oid"]]
        changes[value["path"]] = content
    sha = repo.commit(changes, branch=branch, message=header["summary"])
    url = f"{handler.server.hub.url}/{name}/commit/{sha}"
    handler.send_json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})


def _routes(hub: dict[str, Callable[..., None]], cdn: dict[str, Callable[..., None]] | None = None) -> Routes:
    """Paths with {name} for owner/repository, {one} for one part, {rest} for what follows."""
    kinds = {"{name}": r"([^/]+/[^/]+)", "{one}": r"([^/]+)", "{rest}": r"(.+)"}

    def compiled(pages: dict[str, Callable[..., None]]) -> list[tuple[re.Pattern[str], Callable[..., None]]]:
        found = []
        for path, route in pages.items():
            for kind, pattern in kinds.items():
                path = path.replace(kind, pattern)
            found.append((re.compile(path), route))
        return found

    return {"hub": compiled(hub), "cdn": compiled(cdn or {})}


GET = _routes(
    {
        "/api/whoami-v2": _whoami,
        "/api/models/{name}": _model,
        "/api/models/{name}/revision/{one}": _model,
        "/api/models/{name}/tree/{one}": _tree,
        "/api/models/{name}/refs": _refs,
        "/api/resolve-cache/models/{name}/{one}/{one}": _cached,
        "/{name}/resolve/{one}/{rest}": _resolve,
    },
    {"/{name}/{one}/{rest}": _from_cdn},
)
POST = _routes(
    {
        "/api/repos/create": _create,
        "/api/validate-yaml": _validate_card,
        "/api/verify/{name}": _verify,
        "/api/models/{name}/paths-info/{one}": _paths_info,
        "/api/models/{name}/branch/{one}": _branch,
        "/api/models/{name}/preupload/{one}": _preupload,
        "/api/models/{name}/commit/{one}": _commit,
        "/{name}\\.git/info/lfs/objects/batch": _lfs_batch,
    }
)
PUT = _routes({}, {"/upload/{one}": _upload})
