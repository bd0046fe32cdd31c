"""From the folder of bundles to models that are served: each is opened, proved by its probes, and warmed up."""

from __future__ import annotations

import threading
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from app.bundle import TEMPORARY_PREFIX, Bundle, BundleError, read_bundle, version_folders
from app.bundle.defaults import DefaultsError, read_defaults
from app.engine.engine import Engine
from app.engine.work import Lane
from app.metrics import Metrics
from app.runtime.cuda.session import CudaSession, is_out_of_memory, out_of_memory
from app.runtime.cuda.shared_lock import Exclusion
from app.runtime.opening import AnySession, open_session
from app.runtime.session import PROVIDERS, Device, Session, SessionError
from app.serving.model import Model
from app.serving.registry import Entry, Registry
from app.serving.warmup import capture_small_batches, choose_budget, measure_cost, synthetic_windows
from app.settings import Settings, available_cores
from app.tasks import TASKS
from app.tasks.base import Task
from app.tasks.text import TextEncoder

LOST_AND_FOUND = "lost+found"  # at the root of a mounted file system, readable for nobody but root

# A model is captured alone and models are loaded together: to open one, to prove and to time it may wait for the whole
# GPU, which would break another's capture and fail itself (CUDA Programming Guide on stream capture).
capturing = Exclusion()

log = structlog.get_logger(__name__)


class Loader:
    """Fills a registry with the highest version that loads, of every name. `load` may be called again for new ones."""

    def __init__(
        self, settings: Settings, device: Device, engine: Engine, metrics: Metrics, registry: Registry
    ) -> None:
        self._settings, self._device = settings, device
        self._engine, self._metrics, self._registry = engine, metrics, registry
        self._loading, self._stopping = threading.Lock(), threading.Event()

    def load(self) -> None:
        """Load every bundle, several at a time, and swap the table in one step. A model already served is kept.

        Raises nothing: where the folder cannot be read, what is served stays, and what is wrong is logged.
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
        """Load nothing more: a load under way ends with the bundles that it has in hand, and changes nothing."""
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

    def _use_idle_cores(self, session: AnySession) -> None:
        """On a CPU, let batches that have the machine to themselves use as many cores as the settings allow."""
        threads = self._settings.idle_threads_here()
        if not isinstance(session, Session) or threads <= session.intra_op_threads:
            return
        try:
            session.use_idle_cores(threads)
            session.run(synthetic_windows(1, 8), alone=True)  # the first run makes what the others use
        except SessionError as error:  # memory, most likely: it is served on fewer threads
            log.warning("idle_threads_not_used", reason=str(error))

    def _use_cuda_graphs(self, bundle: Bundle, session: AnySession, lane: Lane) -> None:
        """On a GPU, have small batches of our own graphs replayed, which changes what batches of the lane cost."""
        if not isinstance(session, CudaSession):
            return
        manifest, has_labels = bundle.manifest, bool(bundle.manifest.labels)
        if not self._settings.cuda_graphs or manifest.layout != "packed":
            session.close_replayers()
            return
        try:
            with capturing.together():
                session.open_replayers()
            with capturing.alone():
                tolerance = manifest.graphs[session.precision].tolerance
                capture_small_batches(session, manifest.max_length, has_labels=has_labels, tolerance=tolerance)
            with capturing.together():
                lane.cost = measure_cost(session, manifest.max_length)
                lane.max_batch_tokens = choose_budget(
                    session, lane.cost, manifest.max_length, self._settings.max_batch_tokens
                )
        except Exception as error:  # memory, most likely; or an operator that cannot be captured
            session.close_replayers()
            log.warning("cuda_graphs_not_used", model=manifest.name, reason=f"{type(error).__name__}: {error}")

    def _read_defaults(self) -> dict[str, str]:
        """Return the default of each route: the setting's, else that of the models folder."""
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
                bundle = read_bundle(folder, name=name, version=version)
                with capturing.together():
                    model, lane, session = load_model(bundle, self._device, self._settings, self._engine, self._metrics)
                self._use_idle_cores(session)
                self._use_cuda_graphs(bundle, session, lane)
                entry.model = model
                break
            except Exception as error:  # whatever is wrong with one bundle, the others are served
                reason = str(error) if isinstance(error, BundleError) else f"{type(error).__name__}: {error}"
                entry.refused[version] = reason
                self._metrics.model_load_failures.labels(name).inc()
                log.error("bundle_refused", model=name, version=version, reason=reason)
        return entry

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
    """Whether a folder under `models/` is meant to be served: not when it is hidden, nor while only being written."""
    if path.name.startswith((".", "_")) or path.name == LOST_AND_FOUND or not path.is_dir():
        return False
    try:
        entries = [entry.name for entry in path.iterdir()]
    except OSError:
        return True  # somebody put it there, and is told that it cannot be read
    return not entries or not all(name.startswith(TEMPORARY_PREFIX) for name in entries)


def load_model(
    bundle: Bundle, device: Device, settings: Settings, engine: Engine, metrics: Metrics
) -> tuple[Model, Lane, AnySession]:
    """Open, prove and warm up a bundle.

    Raises `BundleError` when its tokenizer or graph cannot be used, or when the graph does not answer its probes
    as the trained model did.
    """
    manifest = bundle.manifest
    try:
        session = open_session(bundle, device, settings)
        encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length)
        task = TASKS[manifest.task](manifest, encoder, manifest.graphs[session.precision])
    except SessionError as error:
        raise BundleError(str(error)) from error
    except Exception as error:  # tokenizers raises bare Exception
        raise BundleError(f"tokenizer.json cannot be used: {error}") from error
    try:
        check_width(bundle, session)
        check_probes(bundle, session, task)
        cost = measure_cost(session, manifest.max_length)
        budget = choose_budget(session, cost, manifest.max_length, settings.max_batch_tokens)
    except SessionError as error:
        raise BundleError(str(error)) from error
    except Exception as error:
        if is_out_of_memory(error):
            raise BundleError(str(out_of_memory("the model's first batches"))) from error
        raise
    lane = Lane(
        engine=engine,
        name=manifest.name,
        run=session.run,
        computed_tokens=session.layout.computed_tokens,
        cost=cost,
        max_batch_tokens=budget,
        series=metrics.of_model(task.route, manifest.name),
    )
    return Model(bundle, session.precision, PROVIDERS[device], task, lane, settings.max_inputs), lane, session


def check_width(bundle: Bundle, session: AnySession) -> None:
    """Run one window, whose output must have a column for each label, or for each token of the vocabulary."""
    try:
        (logits,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
    width, labels, words = logits.shape[-1], bundle.manifest.labels, bundle.config.get("vocab_size")
    if labels and width != len(labels):
        raise BundleError(f"the graph answers {width} columns where there are {len(labels)} labels")
    if not labels and words not in (None, width):
        raise BundleError(f"the graph answers {width} columns where the vocabulary has {words} tokens")


def check_probes(bundle: Bundle, session: AnySession, task: Task[Any, Any]) -> None:
    """Run the manifest's probes through the graph that will serve, and compare with the checkpoint's logits."""
    tolerance = bundle.manifest.graphs[session.precision].tolerance
    for number, probe in enumerate(bundle.manifest.probes):
        (logits,) = session.run([task.probe(probe.text)])  # (rows, width)
        if (drift := probe.drift(logits)) > tolerance:
            raise BundleError(
                f"probe {number} drifted by {drift:.4g} from the trained model, more than {tolerance:.4g}: "
                "this graph is not the model that was trained"
            )
