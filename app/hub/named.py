"""The models that were named: fetched before anything is served, and looked up again on each reload.

They are kept in a table, a file that the processes read which load models.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

import structlog

from app.command_line.terminal import Terminal
from app.hub.errors import HubError
from app.hub.process import Fetch, Prepared
from app.serving.places import NamedModels
from app.settings import Settings

WARNINGS = {"fetch_warning", "export_failed", "fetched_again", "hub_refuses"}

log = structlog.get_logger(__name__)


class Named:
    """Fetches what `settings.model` names, and writes it to `file`; a reload for which that fails changes nothing."""

    def __init__(self, settings: Settings, file: Path) -> None:
        self._settings, self.file = settings, file
        self._models = NamedModels(has_folder="models" in settings.model_fields_set)
        self._fetch: Fetch | None = None
        self._refreshing = threading.Lock()
        self._is_stopped = False

    def prepare(self) -> None:
        """Fetch for the first time, and end the command on a signal. Raises as `fetch` does."""
        with ended_by_signals(self, term_code=0):  # as of a service that has drained
            self.fetch()

    def fetch(self) -> None:
        """Fetch for the first time. Raises `HubError` with a sentence for each model that cannot be served."""
        prepared = self._run()
        if prepared.refused:
            raise HubError("\n".join(f"roberta-serve: {reason}" for reason in prepared.refused.values()))
        self._models = replace(self._models, places=tuple(prepared.places))
        self.write()

    def refresh(self) -> None:
        """Look up what the revisions name now, and fetch it. A model for which that fails stays as it is."""
        with self._refreshing:
            if self._is_stopped:
                return
            prepared = self._run()
            now = {place.name: place for place in prepared.places}
            places = tuple(now.get(place.name, place) for place in self._models.places)
            problems = tuple(f"{name or 'a model'} was not fetched again: {r}" for name, r in prepared.refused.items())
            for problem in problems:
                log.error("fetch_failed", reason=problem)
            self._models = replace(self._models, places=places, problems=problems)
            try:
                self.write()
            except OSError as error:  # the table from before stays
                log.error("fetch_failed", reason=f"the table of named models cannot be written: {error.strerror}")

    def write(self) -> None:
        """Write the table, again where somebody has removed it."""
        self._models.write(self.file)

    def stop(self) -> None:
        """Fetch no more, and end what is being fetched."""
        self._is_stopped = True
        if self._fetch is not None:
            self._fetch.stop()

    def _run(self) -> Prepared:
        try:
            self._fetch = Fetch(self._settings.model, self._settings.device)
        except OSError as error:  # no memory for a process, for one
            return Prepared(refused={None: f"fetching cannot be started: {error.strerror}"})
        return self._fetch.run(hear)


def hear(said: dict[str, Any]) -> None:
    """Log what the process that fetches says."""
    event = said.pop("event")
    (log.warning if event in WARNINGS else log.info)(event, **said)


class Stoppable(Protocol):
    def stop(self) -> None: ...


@contextmanager
def ended_by_signals(fetching: Stoppable, term_code: int = 128 + signal.SIGTERM) -> Iterator[None]:
    """End the command, and what it has started, on SIGTERM and SIGINT, before there is anything to drain."""

    def end(number: int, frame: FrameType | None) -> None:
        fetching.stop()
        raise SystemExit(term_code if number == signal.SIGTERM else 128 + number)

    terminal = Terminal()

    def end_with_terminal(number: int, frame: FrameType | None) -> None:
        if terminal.has_closed():
            end(number, frame)  # else there is nothing to reload yet

    before = {number: signal.signal(number, end) for number in (signal.SIGTERM, signal.SIGINT)}
    before[signal.SIGHUP] = signal.signal(signal.SIGHUP, end_with_terminal)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare_named(settings: Settings, file: Path) -> Named | None:
    """Fetch the models that the settings name, and keep their table in `file`; None where they name none.

    Ends the command with a sentence for each that cannot be served.
    """
    if not settings.model:
        return None
    named = Named(settings, file)
    try:
        named.prepare()
    except HubError as error:
        raise SystemExit(str(error)) from None
    return named
