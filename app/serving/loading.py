"""From the models folder to served models: each bundle is opened, checked by its probes, and prepared."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from app.bundle import TEMPORARY_PREFIX, Bundle, BundleError, version_folders
from app.bundle.defaults import DefaultsError, read_defaults
from app.engine.engine import Engine
from app.engine.work import Lane
from app.metrics import Metrics
from app.runtime.cuda.shared_lock import SharedLock
from app.runtime.session import Device, Session, SessionError, open_session
from app.runtime.warmup import synthetic_windows
from app.serving.model import Model
from app.serving.registry import Entry, Registry
from app.serving.sources import read_folder
from app.settings import Settings, available_cores
from app.tasks import open_task
from app.tasks.base import Task

LOST_AND_FOUND = "lost+found"  # at the root of a mounted file system, readable by root only

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

        Raises nothing: where the folder cannot be read, the served models stay, and the reason is logged.
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
        folder = self._settings.models
        names = sorted(p.name for p in folder.iterdir() if is_bundle(p)) if folder.is_dir() else []
        with ThreadPoolExecutor(max_workers=available_cores(), thread_name_prefix="load") as pool:
            entries = list(pool.map(self._load_name, names))
        if self._stopping.is_set():
            return
        self._registry.publish(entries, self._read_defaults())
        self._report()

    def _read_defaults(self) -> dict[str, str]:
        """Return the default model of each route: the setting's, else that of the models folder."""
        try:
            published = read_defaults(self._settings.models)
        except DefaultsError as error:
            log.error("defaults_refused", reason=str(error))
            published = {}
        return published | self._settings.default_models

    def _load_name(self, name: str) -> Entry:
        served = self._registry.entry(name)
        entry = Entry(name)
        for version, folder in version_folders(self._settings.models, name).items():
            if self._stopping.is_set():
                break
            if served and served.model and served.model.bundle.manifest.version == version:
                entry.model = served.model
                break
            try:
                bundle = read_folder(folder, name=name, version=version)
                entry.model = self._load_one(bundle if self._keep is None else self._keep(bundle))
                break
            except Exception as error:  # a defect of one bundle must not keep the others from being served
                reason = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
                entry.refused[version] = reason
                self._metrics.model_load_failures.labels(name).inc()
                log.error("bundle_refused", model=name, version=version, reason=reason)
        return entry

    def _load_one(self, bundle: Bundle) -> Model:
        try:
            session = open_session(bundle, self._device, self._settings, self._capture_lock)
        except SessionError as error:
            raise BundleError(str(error)) from error
        return load_model(bundle, session, self._engine, self._metrics, self._settings)

    def _report(self) -> None:
        entries = self._registry.entries
        models = [entry.model for entry in entries if entry.model is not None]
        self._metrics.show_models(
            {entry.name: entry.model is not None for entry in entries}, [model.info_labels for model in models]
        )
        for entry in entries:
            self._metrics.model_load_failures.labels(entry.name)
        for model in models:
            log.info("model_ready", model=model.id, precision=model.precision, device=self._device)


def is_bundle(path: Path) -> bool:
    """Whether a folder under `models/` is to be served: not a hidden one, nor one that is being written for the first
    time."""
    if path.name.startswith((".", "_")) or path.name == LOST_AND_FOUND or not path.is_dir():
        return False
    try:
        entries = [entry.name for entry in path.iterdir()]
    except OSError:
        return True  # so that loading it fails and says that it cannot be read
    return not entries or not all(name.startswith(TEMPORARY_PREFIX) for name in entries)


def load_model(bundle: Bundle, session: Session, engine: Engine, metrics: Metrics, settings: Settings) -> Model:
    """Check what a session answers, prepare it, and return the model that it serves.

    Raises `BundleError` when the bundle's tokenizer or graph cannot be used, or when the graph does not answer its
    probes as the trained model did.
    """
    task = task_for(bundle, session)
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


def task_for(bundle: Bundle, session: Session) -> Task[Any, Any]:
    """Return the task that reads a session's outputs. Raises `BundleError` when the tokenizer cannot be used."""
    try:
        return open_task(bundle, session.precision)
    except BundleError:
        raise
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"tokenizer.json cannot be used: {error}") from error


def check_width(bundle: Bundle, session: Session, task: Task[Any, Any]) -> None:
    """Run one window: its output must have as many columns as the task reads."""
    try:
        (output,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except SessionError:
        raise
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
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
