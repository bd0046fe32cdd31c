"""Noticing that the models folder has changed, by names, sizes and times alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.bundle import MANIFEST, BundleError, version_folders
from app.bundle.defaults import FILE
from app.bundle.files import fingerprint
from app.serving.scanning import FolderAwayError, bundle_names

State = frozenset[tuple[str, str]]


def state_of(models: Path) -> State | None:
    """Return what changes with the folder's versions and with `defaults.json`; None where the folder is away."""
    try:
        names = bundle_names(models)
    except FolderAwayError:
        return None
    found = {(FILE, stamp(models / FILE))}
    for name in names:
        for folder in version_folders(models, name).values():
            found.add((str(folder), stamp(folder / MANIFEST) or content_of(folder)))
    return frozenset(found)


def stamp(file: Path) -> str:
    """Return a file's size and time; empty where it is not there."""
    try:
        status = file.stat()
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"


def content_of(folder: Path) -> str:
    try:
        return fingerprint(folder)
    except (OSError, BundleError):
        return ""


async def watch(models: Path, interval_s: float, load: Callable[[], Awaitable[object]]) -> None:
    """Look at the folder at an interval, and load when it has changed and then been the same for one interval."""
    loaded = last = await asyncio.to_thread(state_of, models)
    while True:
        await asyncio.sleep(interval_s)
        now = await asyncio.to_thread(state_of, models)
        if now != loaded and now == last:
            loaded = now
            await load()
        last = now
