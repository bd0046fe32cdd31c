"""Noticing that what is to be served has changed, by names, sizes and times alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.bundle import MANIFEST, BundleError
from app.bundle.defaults import FILE
from app.bundle.files import fingerprint
from app.serving.places import Places

State = frozenset[tuple[str, str]]


def state_of(models: Path, table: Path | None = None) -> State | None:
    """Return what changes with the versions of models and with `defaults.json`; None where the folder is away."""
    try:
        found = Places(models, table).read()
    except (OSError, ValueError):
        return None
    if found.away is not None:
        return None
    state = {(FILE, stamp(models / FILE))}
    for place in found.by_name.values():
        for folder in place.folders.values():
            state.add((str(folder), stamp(folder / MANIFEST) or content_of(folder)))
    return frozenset(state)


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


async def watch(look: Callable[[], State | None], interval_s: float, load: Callable[[], Awaitable[object]]) -> None:
    """Look at an interval, and load when something has changed and then been the same for one interval."""
    loaded = last = await asyncio.to_thread(look)
    while True:
        await asyncio.sleep(interval_s)
        now = await asyncio.to_thread(look)
        if now != loaded and now == last:
            loaded = now
            await load()
        last = now
