"""From the models folder to served models: each bundle is opened, checked by its probes, and prepared."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from app.bundle import Bundle, BundleError
from app.bundle.contents import is_itself_model
from app.bundle.files import fingerprint
from app.engine.engine import Engine
from app.errors import ModelNotFoundError, OrderRefusedError
from app.metrics import Metrics
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.memory import release_with
from app.runtime.session import Device, SessionError, open_session
from app.serving.defaults import Defaults, choose_defaults, read_configured, reason_against
from app.serving.model import Model
from app.serving.orders import Choices, Order
from app.serving.patience import Patience
from app.serving.places import Found, Place, Places
from app.serving.proving import columns_of, load_model
from app.serving.registry import Entry, Registry
from app.serving.sources import read_folder, with_columns
from app.settings import Settings, available_cores

log = structlog.get_logger(__name__)


class Loader:
    """Fills a registry with the highest version of each model that loads. `load` may be called again for new ones.

    `table` is the file that says where models are that were named; see `app.serving.places`.
    """

    def __init__(
        self,
        settings: Settings,
        device: Device,
        engine: Engine,
        metrics: Metrics,
        registry: Registry,
        keep: Callable[[Bundle], Bundle] | None = None,
        choices_file: Path | None = None,
        table: Path | None = None,
    ) -> None:
        self._places = Places(settings.models, table)
        self._choices_file = choices_file
        self._choices = Choices() if choices_file is None else Choices.read(choices_file)
        self._settings, self._device = settings, device
        self._engine, self._metrics, self._registry = engine, metrics, registry
        self._keep = keep
        self._loading, self._stopping = threading.Lock(), threading.Event()
        self._capture_lock = SharedLock()  # of all sessions that are loaded side by side
        self._patience = Patience(settings.load_timeout_s)

    def load(self) -> None:
        """Load every bundle, several at a time, and replace the table in one step. A model already served is kept.

        A model stays served until another version of its name has loaded, or its folder is gone while the models
        folder has other bundles. Raises nothing: what keeps the folder from being read is logged, and shown.
        """
        with self._loading:
            try:
                self._load_all()
            except Exception as error:
                stack = "".join(traceback.format_tb(error.__traceback__))
                log.error("loading_failed", reason=f"{type(error).__name__}: {error}", stack=stack)
                if not self._registry.entries:
                    self._registry.suspend("the models folder cannot be read; the log says why")

    def obey(self, order: Order) -> dict[str, Any]:
        """Do what an operator orders, and return what is served then.

        Raises `ModelNotFoundError` for a name that there is not, `OrderRefusedError` where it cannot be done.
        """
        if order.action == "reload":
            self.load()
            entries, problems = self._registry.entries, list(self._registry.table.problems)
            defaults = self._registry.answering()
            return {"models": [e.describe() for e in entries], "defaults": defaults, "problems": problems}
        with self._loading:
            before = self._choices
            self._choices = before.after(order)
            try:
                entry = self._obey(order)
            except BaseException:
                self._choices = before
                raise
            if self._choices_file is not None:
                self._choices.write(self._choices_file)
        log.info("order_obeyed", action=order.action, model=order.name, version=order.version, route=order.route)
        return entry.describe()

    def _obey(self, order: Order) -> Entry:
        table = self._registry.table
        entries, found = dict(table.entries), self._places.read()
        if found.away is not None and not found.by_name:
            raise OrderRefusedError(found.away)
        if order.name not in {*entries, *found.by_name}:
            raise ModelNotFoundError(f"there is no model {order.name[:80]!r}; GET /models lists them")
        if order.action == "default":
            spec = self._choices.defaults[order.route or ""]
            if (reason := reason_against(order.route or "", spec, self._registry.served())) is not None:
                raise OrderRefusedError(reason)
        else:
            place = found.by_name.get(order.name) or Place(order.name, {1: self._settings.models / order.name})
            entries[order.name] = self._load_place(place)
        if order.action == "load" and (reason := self._failure_of(order, entries[order.name])):
            raise OrderRefusedError(reason)
        folder = [problem for problem in table.problems if problem not in table.defaults.problems]
        self._publish(in_order(entries, found), folder)
        return entries[order.name]

    def _failure_of(self, order: Order, entry: Entry) -> str | None:
        """Return why a model that was to be loaded is not served as it was ordered; None where it is."""
        served = None if entry.model is None or entry.note else entry.model.bundle.manifest.version
        if served is not None and order.version in (None, served):
            return None
        reasons = [f"version {version}: {reason}" for version, reason in entry.refused.items()]
        return "; ".join(reasons) or f"{entry.name} has no version {order.version}"

    def stop(self) -> None:
        """Load no further bundle; a load that is running finishes the bundles it has begun and publishes nothing."""
        self._stopping.set()

    def _load_all(self) -> None:
        found = self._places.read()
        away = without_models(self._settings.models) if found.is_empty else found.away
        if away is not None and not found.by_name:
            if self._registry.served():
                self._keep_all(f"{away}; what was loaded before is served")
                return
            log.error("models_folder_away", reason=away)
        places = {**self._places.emptied(self._registry.served()), **found.by_name}
        for name in places:
            self._metrics.model_load_failures.labels(name)  # at zero, before any failure
        with ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="load") as pool:
            loaded = dict(zip(places, pool.map(self._load_place, places.values()), strict=True))
        if self._stopping.is_set():
            return
        if found.away is not None:  # what is under the folder is not known, and stays
            loaded = {**self._registry.table.entries, **loaded}
        self._publish(in_order(loaded, found), [*found.problems, *([] if away is None else [away])])

    def _keep_all(self, problem: str) -> None:
        """Go on with what is served, because the models folder tells nothing."""
        log.error("models_folder_away", reason=problem)
        table = self._registry.table
        self._registry.publish(table.entries.values(), table.defaults, (problem, *table.defaults.problems))
        self._report(folder=1)

    def _publish(self, entries: list[Entry], problems: list[str]) -> None:
        before = self._registry.answering()
        defaults = self._choose_defaults(entries, before)
        self._registry.publish(entries, defaults, (*problems, *defaults.problems))
        for route, model in self._registry.answering().items():
            if before and before.get(route) != model:
                log.warning("default_changed", route=route, model=model, before=before.get(route))
        self._report(folder=len(problems))

    def _choose_defaults(self, entries: list[Entry], before: dict[str, str]) -> Defaults:
        configured = read_configured(self._settings.models, {**self._settings.default_models, **self._choices.defaults})
        served = {entry.name: entry.model for entry in entries if entry.model is not None}
        defaults = choose_defaults(configured, served, before)
        for problem in defaults.problems:
            log.error("defaults_refused", reason=problem)
        return defaults

    def _load_place(self, place: Place) -> Entry:
        """Load the highest version that loads; what is served goes on where none does."""
        name = place.name
        if name in self._choices.unloaded:
            return Entry(name, is_unloaded=True)
        served = self._registry.served().get(name)
        entry, chosen = Entry(name), self._choices.versions.get(name)
        for version, folder in place.folders.items():
            if chosen not in (None, version):
                continue
            if self._stopping.is_set():
                break
            try:
                if is_of(served, place, version):
                    entry.model = served
                else:
                    load = partial(self._load_version, place, version, folder)
                    entry.model = self._patience.wait(folder, load)
                break
            except Exception as error:  # a defect of one bundle must not keep the others from being served
                reason = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
                entry.refused[version] = reason
                self._metrics.model_load_failures.labels(name).inc()
                log.error("bundle_refused", model=name, version=version, reason=reason)
        if entry.model is None and served is not None:
            entry.model, entry.note = served, f"no version in its folder loads; {served.id}, from before, is served"
        return entry

    def _load_version(self, place: Place, version: int, folder: Path) -> Model:
        if place.problem is not None:
            raise BundleError(place.problem)
        bundle = place.label(read_folder(folder, name=place.own_name or place.name, version=version))
        try:
            session = open_session(bundle, self._device, self._settings, self._capture_lock)
            release_with(session)
            bundle = with_columns(bundle, lambda: columns_of(session))
        except SessionError as error:
            raise BundleError(str(error)) from error
        if self._keep is not None:
            bundle = self._keep(bundle)
        return load_model(bundle, session, self._engine, self._metrics, self._settings)

    def _report(self, *, folder: int) -> None:
        """Show what is served. `folder`: the number of problems with the models folder."""
        entries, table = self._registry.entries, self._registry.table
        models = self._registry.served().values()
        self._metrics.show_models(
            {entry.name: entry.model is not None for entry in entries if not entry.is_unloaded},
            {entry.name: len(entry.refused) for entry in entries},
            [model.info_labels for model in models],
        )
        self._metrics.load_problems.labels("folder").set(folder)
        self._metrics.load_problems.labels("defaults").set(len(table.defaults.problems))
        for model in models:
            log.info("model_ready", model=model.id, precision=model.precision, device=self._device)


def without_models(folder: Path) -> str:
    """Say what a models folder is that has no model in it."""
    if is_itself_model(folder):
        return "the models folder is itself a model; give it with --model, as NAME=FOLDER"
    return "the models folder has no bundle"


def is_of(model: Model | None, place: Place, version: int) -> bool:
    """Whether a model was loaded from a version of a place as it is now."""
    if model is None or model.bundle.manifest.version != version or model.bundle.path != place.folders[version]:
        return False
    said = model.bundle.manifest.provenance.get("source")
    return model.bundle.fingerprint == fingerprint(model.bundle.path) and place.source in (None, said)


def in_order(entries: dict[str, Entry], found: Found) -> list[Entry]:
    """Return entries as they are looked through for a route without a default: those that were named, then the others
    by name."""
    named = {name: number for number, name in enumerate(found.named)}
    return [entries[name] for name in sorted(entries, key=lambda name: (named.get(name, len(named)), name))]
