"""The wheel, in a new environment that has what the image has: it must serve."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from deploy.release.building import run
from deploy.release.version import ReleaseError, Repository

READY_S = 120.0
TEXT = {"inputs": "I love this place."}


def prove(repository: Repository, wheel: Path, version: str) -> None:
    """Install the wheel into a new environment, serve the bundles and ask. Raises `ReleaseError`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        python = folder / "venv/bin/python"
        run([sys.executable, "-m", "venv", folder / "venv"], folder)
        lock = repository.root / "deploy/requirements/cpu.txt"
        run([python, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", lock], folder)
        run([python, "-m", "pip", "install", "--quiet", "--no-deps", wheel], folder)
        ask(folder, repository.root / "models", version)


def ask(folder: Path, models: Path, version: str) -> None:
    """Serve in a folder that has none of the code; ask for an answer and for the version."""
    port = free_port()
    words = [folder / "venv/bin/roberta-serve", "--models", models, "--host", "127.0.0.1", "--port", port]
    service = subprocess.Popen([*map(str, words)], cwd=folder)
    try:
        until_ready(service, port)
        answer, info = asked(port, "/classify", TEXT), asked(port, "/info")
    finally:
        service.terminate()
        code = service.wait(60)
    if not answer or info["version"] != version or code:
        raise ReleaseError(f"the wheel serves {info['version']} and ends with {code}, not {version} and 0")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def until_ready(service: subprocess.Popen[bytes], port: int) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and service.poll() is None:
        try:
            asked(port, "/health/ready")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)
        else:
            return
    raise ReleaseError("the wheel does not serve; what it logged stands above")


def asked(port: int, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Content-Type": "application/json"})
    request.data = json.dumps(body).encode() if body is not None else None
    with urllib.request.urlopen(request, timeout=30) as response:
        return json.load(response)
