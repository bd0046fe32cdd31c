"""From the models folder to served models: each bundle is opened, checked by its probes, and prepared."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import structlog

from app.bundle import Bundle, BundleError, version_folders
from app.bundle.files import fingerprint
from app.engine.engine import Engine
from app.engine.work import Lane
from app.metrics import Metrics
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.memory import release_with
from app.runtime.session import Device, Session, SessionError, open_session
from app.runtime.warmup import synthetic_windows
from app.serving.defaults import Defaults, choose_defaults, read_configured
from app.serving.model import Model
from app.serving.registry import Entry, Registry
from app.serving.scanning import FolderAwayError, bundle_names
from app.serving.sources import read_folder
from app.settings import Settings, available_cores
from app.tasks import open_task
from app.tasks.base import Task
from app.window import Window

log = structlog.get_logger(__name__)


class Loader:
    """Fills a registry with the highest version of each model that loads. `load` may be called again for new ones."""

    def __init__(
        self,
        settings: Settings,
        device: Device,
        engine: Engine,
        metrics: Metrics,
        registry: Registry,
        keep: Callable[[Bundle], Bundle] | None = None,
    ) -> None:
        self._settings, self._device = settings, device
        self._engine, self._metrics, self._registry = engine, metrics, registry
        self._keep = keep
        self._loading, self._stopping = threading.Lock(), threading.Event()
        self._capture_lock = SharedLock()  # of all sessions that are loaded side by side

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

    def stop(self) -> None:
        """Load no further bundle; a load that is running finishes the bundles it has begun and publishes nothing."""
        self._stopping.set()

    def _load_all(self) -> None:
        try:
            names, away = bundle_names(self._settings.models), "the models folder has no bundle"
        except FolderAwayError as error:
            names, away = [], str(error)
        if not names and self._registry.served():
            self._keep_all(f"{away}; what was loaded before is served")
            return
        emptied = {name for name in self._registry.served() if (self._settings.models / name).is_dir()}
        names = sorted({*names, *emptied})
        for name in names:
            self._metrics.model_load_failures.labels(name)  # at zero, before any failure
        with ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="load") as pool:
            entries = list(pool.map(self._load_name, names))
        if self._stopping.is_set():
            return
        self._publish(entries, [] if names else [away])

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
        configured = read_configured(self._settings.models, self._settings.default_models)
        served = {entry.name: entry.model for entry in entries if entry.model is not None}
        defaults = choose_defaults(configured, served, before)
        for problem in defaults.problems:
            log.error("defaults_refused", reason=problem)
        return defaults

    def _load_name(self, name: str) -> Entry:
        """Load the highest version that loads; what is served goes on where none does."""
        served = self._registry.served().get(name)
        entry = Entry(name)
        for version, folder in version_folders(self._settings.models, name).items():
            if self._stopping.is_set():
                break
            try:
                entry.model = served if is_of(served, version, folder) else self._load_version(name, version, folder)
                break
            except Exception as error:  # a defect of one bundle must not keep the others from being served
                reason = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
                entry.refused[version] = reason
                self._metrics.model_load_failures.labels(name).inc()
                log.error("bundle_refused", model=name, version=version, reason=reason)
        if entry.model is None and served is not None:
            entry.model, entry.note = served, f"no version in its folder loads; {served.id}, from before, is served"
        return entry

    def _load_version(self, name: str, version: int, folder: Path) -> Model:
        bundle = read_folder(folder, name=name, version=version)
        if self._keep is not None:
            bundle = self._keep(bundle)
        try:
            session = open_session(bundle, self._device, self._settings, self._capture_lock)
        except SessionError as error:
            raise BundleError(str(error)) from error
        release_with(session)
        return load_model(bundle, session, self._engine, self._metrics, self._settings)

    def _report(self, *, folder: int) -> None:
        """Show what is served. `folder`: the number of problems with the models folder."""
        entries, table = self._registry.entries, self._registry.table
        models = self._registry.served().values()
        self._metrics.show_models(
            {entry.name: entry.model is not None for entry in entries},
            {entry.name: len(entry.refused) for entry in entries},
            [model.info_labels for model in models],
        )
        self._metrics.load_problems.labels("folder").set(folder)
        self._metrics.load_problems.labels("defaults").set(len(table.defaults.problems))
        for model in models:
            log.info("model_ready", model=model.id, precision=model.precision, device=self._device)


def is_of(model: Model | None, version: int, folder: Path) -> bool:
    """Whether a model was loaded from a version's folder as it is now."""
    if model is None or model.bundle.manifest.version != version:
        return False
    return model.bundle.fingerprint == fingerprint(folder)


def load_model(bundle: Bundle, session: Session, engine: Engine, metrics: Metrics, settings: Settings) -> Model:
    """Check what a session answers, prepare it, and return the model that it serves.

    Raises `BundleError` when the bundle's tokenizer or graph cannot be used, or when the graph does not answer its
    probes as the trained model did.
    """
    task = task_for(bundle, session, settings.max_queue_tokens)
    try:
        check_width(bundle, session, task)
        check_probes(bundle, session, task)
        session.prepare(settings.max_batch_tokens)
    except SessionError as error:
        raise BundleError(str(error)) from error
    name = bundle.manifest.name
    lane = Lane(
        engine=engine,
        name=name,
        run=session.run,
        computed_tokens=session.computed_tokens,
        cost=session.cost,
        max_batch_tokens=session.max_batch_tokens,
        series=metrics.of_model(task.route, name),
    )
    return Model(bundle, session.precision, session.provider, task, lane)


def task_for(bundle: Bundle, session: Session, max_tokens: int) -> Task[Any, Any]:
    """Return the task that reads a session's outputs. Raises `BundleError` when the tokenizer cannot be used."""
    try:
        return open_task(bundle, session.precision, max_tokens)
    except BundleError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"tokenizer.json cannot be used: {error}") from error
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which no module exports
            raise
        raise BundleError("tokenizer.json cannot be used: the tokenizer failed on a text") from error


def check_width(bundle: Bundle, session: Session, task: Task[Any, Any]) -> None:
    """Run one window, whose output must have as many columns as the task reads, and one of the highest token.

    Raises `BundleError`; where the highest token fails, the graph has no embedding for all tokens of the tokenizer.
    """
    try:
        (output,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except SessionError:
        raise
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
    highest = max(task.encoder.tokenizer.get_vocab().values(), default=0)
    try:
        session.run([Window(np.full(8, highest, np.int64), np.zeros(1, np.int64))])
    except Exception as error:
        raise BundleError(
            f"the graph does not run on token {highest} of tokenizer.json, which is that of another model"
        ) from error
    width, expected = output.shape[-1], task.width(bundle.manifest, bundle.config)
    if expected not in (None, width):
        raise BundleError(f"the graph answers {width} columns where /{task.route} needs {expected}")


def check_probes(bundle: Bundle, session: Session, task: Task[Any, Any]) -> None:
    """Run the manifest's probes through the graph, and compare the outputs with the checkpoint's logits."""
    tolerance = bundle.manifest.graphs[session.precision].tolerance
    for number, probe in enumerate(bundle.manifest.probes):
        (logits,) = session.run([task.probe(probe.text)])  # (rows, width)
        if (drift := probe.drift(logits)) > tolerance:
            raise BundleError(
                f"probe {number} drifted by {drift:.4g} from the trained model, more than {tolerance:.4g}: "
                "this graph is not the model that was trained"
            )
