"""From safetensors to a bundle: `python -m training export` in a process of its own, once for each content.

Bundles are kept in the assets folder of huggingface_hub's cache, $HF_HOME/assets/roberta-serve/bundles/, by
repository, content and precision. Several processes that want the same one make it once.
"""

from __future__ import annotations

import fcntl
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from huggingface_hub import cached_assets_path, constants

from app.bundle import BundleError, Precision, read_bundle, version_folders
from app.bundle.naming import slug
from app.hub.errors import HubError
from app.hub.events import Tell
from app.hub.refusals import of_cache

NEEDED = ("training", "torch", "transformers", "onnxscript")  # modules; `train` is the extra that brings them
LAST_LINES = 20
OWN_PREFIX = re.compile(r"^roberta-train: ")


def missing_modules() -> list[str]:
    """Return what exporting needs and is not installed."""
    return [name for name in NEEDED if importlib.util.find_spec(name) is None]


def how_to_export(what: str, weights: str, name: str) -> str:
    """Say what to type where nothing can be exported here."""
    return (
        f"{what} has no ONNX graph, and exporting {weights} needs {', '.join(missing_modules())}; install the extra "
        f"`train` (in the clone: pip install -e '.[train]'), or run `roberta-train export {what} --name {name}` where "
        "it is, and serve its models folder"
    )


def bundle_folder(origin: str, content: str, precision: Precision) -> Path:
    """Return where the bundle of one content belongs: a models folder of its own. Raises `HubError` without a cache."""
    key = f"{origin.replace('/', '--')}--{content}-{precision}"
    try:
        return cached_assets_path("roberta-serve", "bundles", key, assets_dir=constants.HF_ASSETS_CACHE)
    except (OSError, ValueError) as error:  # a file where a folder belongs is the second
        raise HubError(of_cache(error, constants.HF_ASSETS_CACHE)) from error


def exported(checkpoint: Path, *, origin: str, content: str, precision: Precision, tell: Tell) -> Path:
    """Return the folder of the bundle made of a checkpoint; it is made where it is not there yet.

    `origin` and `content` say what it is made of: a repository, and its files. Raises `HubError` where it cannot be.
    """
    folder, name = bundle_folder(origin, content, precision), slug(origin.rpartition("/")[2]) or "model"
    with alone(folder.with_name(f"{folder.name}.lock"), origin, tell):
        if (bundle := usable_bundle(folder, name)) is not None:
            return bundle
        shutil.rmtree(folder / name, ignore_errors=True)  # damaged, or of a process that was killed
        tell("exporting", repository=origin, precision=precision)
        export(checkpoint, folder, name, precision, tell, origin)
        if (bundle := usable_bundle(folder, name)) is None:
            raise HubError(
                f"exporting {origin} left no bundle that can be read in {folder}; remove that, and try again"
            )
        return bundle


def usable_bundle(folder: Path, name: str) -> Path | None:
    """Return the bundle that was made before, where every file is as its manifest says."""
    for version, path in version_folders(folder, name).items():
        try:
            read_bundle(path, name=name, version=version)
        except BundleError:
            continue
        return path
    return None


def export(checkpoint: Path, models: Path, name: str, precision: Precision, tell: Tell, origin: str) -> None:
    """Run the exporter, and say its lines as they come. Raises `HubError` with its last one where it fails."""
    command = [sys.executable, "-m", "training", "export", str(checkpoint), "--name", name, "--models", str(models)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        [*command, "--precision", precision],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        errors="replace",
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if text := line.strip():
                last.append(text)
                tell("exporting", repository=origin, text=text[:500])
    if process.returncode:
        raise HubError(
            f"{origin} cannot be exported: {reason_among(last, str(checkpoint), origin, process.returncode)}"
        )


def reason_among(lines: deque[str], checkpoint: str, origin: str, code: int) -> str:
    """Return what the exporter said last, about the repository and not about where it lies."""
    if not lines:
        return f"the exporter ended with {code}" + ("; it may have run out of memory" if code == -9 else "")
    own = [line for line in lines if OWN_PREFIX.match(line)]
    sentence = OWN_PREFIX.sub("", own[-1] if own else lines[-1])
    return sentence.replace(checkpoint, origin).removeprefix(f"{origin}: ").removeprefix(f"{origin} cannot be loaded: ")


@contextmanager
def alone(lock: Path, origin: str, tell: Tell) -> Iterator[None]:
    """Be the only process on this machine that makes a bundle. The kernel lets go of a lock whose holder died."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            tell("waiting", repository=origin, reason="another process exports it")
            fcntl.flock(stream, fcntl.LOCK_EX)
        yield
