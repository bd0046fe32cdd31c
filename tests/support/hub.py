"""A small server that speaks the Hub's API, so that huggingface_hub itself can be tested with: repositories in memory,
commits, LFS files with redirects, ranges, gated and private repositories, and downloads that break."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

TOKEN = "hf_of-a-test"
LFS = (".safetensors", ".onnx", ".onnx_data", ".bin")
REPOSITORY = r"(?P<name>[\w.-]+(?:/[\w.-]+)?)"
INFO = re.compile(rf"/api/models/{REPOSITORY}(?:/revision/(?P<revision>[^?]+))?(?:\?.*)?")
TREE = re.compile(rf"/api/models/{REPOSITORY}/tree/(?P<revision>[^?]+)(?:\?.*)?")
RESOLVE = re.compile(rf"/{REPOSITORY}/resolve/(?P<revision>[^/]+)/(?P<file>[^?]+)(?:\?.*)?")


@dataclass
class Repo:
    """One repository: the files of each commit, and what its branches and tags name."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    access: str = "open"  # or private, or gated

    def push(self, files: Mapping[str, bytes], ref: str = "main") -> str:
        """Add a commit, and let a branch name it."""
        content = repr(sorted((name, hashlib.sha1(data).hexdigest()) for name, data in files.items()))
        commit = hashlib.sha1(content.encode()).hexdigest()
        self.commits[commit] = dict(files)
        self.refs[ref] = commit
        return commit


def files_of(folder: Path) -> dict[str, bytes]:
    """Return the files of a folder, as they are pushed."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


class Hub:
    """The server, its repositories by name, and what it was asked: `requests` has lines such as `GET /org/name/...`.

    `broken` says what becomes of a file's downloads: `altered`, `short`, `pointer`, or `reset`, once.
    """

    def __init__(self) -> None:
        self.repos: dict[str, Repo] = {}
        self.requests: list[str] = []
        self.broken: dict[str, str] = {}
        self.status: int | None = None  # to answer everything with
        self.hold = threading.Event()  # set: answers are not held back
        self.hold.set()
        handler = type("Handler", (HubHandler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def add(self, name: str, files: Mapping[str, bytes], access: str = "open") -> str:
        """Add a repository, or a commit to it, and return the commit."""
        repo = self.repos.setdefault(name, Repo(access=access))
        return repo.push(files)

    def downloads(self) -> list[str]:
        """Return the files that were downloaded."""
        return [match["file"] for line in self.requests if (match := RESOLVE.search(line)) and line.startswith("GET")]


@contextmanager
def hub_server() -> Iterator[Hub]:
    hub = Hub()
    thread = threading.Thread(target=hub.server.serve_forever, kwargs={"poll_interval": 0.01}, name="hub")
    thread.start()
    try:
        yield hub
    finally:
        hub.server.shutdown()
        hub.server.server_close()
        thread.join()


class HubHandler(BaseHTTPRequestHandler):
    """Answers what huggingface_hub asks."""

    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def log_message(self, *_: Any) -> None:
        pass

    def answer(self) -> None:
        self.hub.requests.append(f"{self.command} {self.path}")
        self.hub.hold.wait(60)
        if self.hub.status is not None:
            return self.refuse(self.hub.status, "")
        for pattern, act in ((TREE, self.tree), (INFO, self.info), (RESOLVE, self.resolve)):
            if match := pattern.fullmatch(self.path):
                return self.act_on(act, **match.groupdict())
        return self.refuse(404, "EntryNotFound")

    def act_on(self, act: Any, name: str, revision: str | None, **more: str) -> None:
        repo = self.hub.repos.get(name)
        is_known = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        if repo is None or (repo.access == "private" and not is_known):
            return self.refuse(401, "RepoNotFound")
        if repo.access == "gated" and not is_known and act != self.info:
            return self.refuse(403, "GatedRepo")
        revision = (revision or "main").replace("%2F", "/")
        commit = revision if revision in repo.commits else repo.refs.get(revision)
        if commit is None:
            return self.refuse(404, "RevisionNotFound")
        return act(name, commit, repo.commits[commit], **more)

    def info(self, name: str, commit: str, files: Mapping[str, bytes]) -> None:
        self.send_json({"id": name, "modelId": name, "sha": commit, "siblings": [{"rfilename": f} for f in files]})

    def tree(self, name: str, commit: str, files: Mapping[str, bytes]) -> None:
        self.send_json([entry_of(file, content) for file, content in files.items()])

    def resolve(self, name: str, commit: str, files: Mapping[str, bytes], file: str) -> None:
        file = file.replace("%2F", "/")
        if file not in files:
            return self.refuse(404, "EntryNotFound", commit)
        content, is_large = files[file], file.endswith(LFS)
        headers = {"X-Repo-Commit": commit, "ETag": f'"{etag_of(file, content)}"', "Accept-Ranges": "bytes"}
        if is_large:
            headers |= {"X-Linked-Size": str(len(content)), "X-Linked-ETag": headers["ETag"]}
        return self.send_content(file, content, headers)

    def send_content(self, file: str, content: bytes, headers: Mapping[str, str]) -> None:
        size, start, how = len(content), 0, self.hub.broken.get(file)
        if how == "altered":
            content = bytes(255 - byte for byte in content)
        elif how == "pointer":
            content = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64
        elif how == "short":
            content = content[: size // 2]
        if self.command == "GET" and (asked := re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))):
            start = int(asked[1])
        self.send_response(206 if start else 200)
        for key, value in headers.items():
            self.send_header(key, value)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
        body = content[start:]
        self.send_header("Content-Length", str(len(body) if how != "reset" else size - start))
        self.end_headers()
        if self.command == "GET":
            self.send_body(file, body, how)

    def send_body(self, file: str, body: bytes, how: str | None) -> None:
        if how == "reset":
            del self.hub.broken[file]
            body = body[: len(body) // 2]
            self.close_connection = True
        self.wfile.write(body)

    def send_json(self, content: Any) -> None:
        body = json.dumps(content).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def refuse(self, status: int, code: str, commit: str | None = None) -> None:
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", code)
        if commit is not None:
            self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()


def etag_of(file: str, content: bytes) -> str:
    """Return the hash that the Hub names a file's content by."""
    if file.endswith(LFS):
        return hashlib.sha256(content).hexdigest()
    return git_sha1(content)


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def entry_of(file: str, content: bytes) -> dict[str, Any]:
    """Return a file as the listing of a tree has it."""
    entry: dict[str, Any] = {"type": "file", "oid": git_sha1(content), "size": len(content), "path": file}
    if file.endswith(LFS):
        entry["lfs"] = {"oid": etag_of(file, content), "size": len(content), "pointerSize": 130}
    return entry
