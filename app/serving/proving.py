"""A bundle proves itself before it is served: its tokenizer opens, its graph runs, and its probes are answered."""

from __future__ import annotations

from typing import Any

import numpy as np

from app.bundle import Bundle, BundleError
from app.engine.engine import Engine
from app.engine.work import Lane
from app.metrics import Metrics
from app.runtime.session import Session, SessionError
from app.runtime.warmup import synthetic_windows
from app.serving.model import Model, counted
from app.settings import Settings
from app.tasks import open_task, with_secondary
from app.tasks.base import Task
from app.window import Window


def load_model(bundle: Bundle, session: Session, engine: Engine, metrics: Metrics, settings: Settings) -> Model:
    """Check what a session answers, prepare it, and return the model that it serves.

    Raises `BundleError` when the bundle's tokenizer or graph cannot be used, or when the graph does not answer its
    probes as the trained model did.
    """
    task = prove(bundle, session, settings.max_queue_tokens, settings.max_batch_tokens)
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
    return Model(
        bundle,
        session.precision,
        session.provider,
        with_secondary(counted(task, metrics), session.precision),
        lane,
        metrics,
    )


def prove(bundle: Bundle, session: Session, max_tokens: int | None, max_batch_tokens: int | None) -> Task[Any, Any]:
    """Check what a session answers, prepare it, and return the task that reads its outputs.

    A request of more than `max_tokens` is refused while it is tokenized. Raises `BundleError`; see `load_model`.
    """
    task = task_for(bundle, session, max_tokens)
    try:
        check_width(bundle, session, task)
        check_probes(bundle, session, task)
        session.prepare(max_batch_tokens)
    except SessionError as error:
        raise BundleError(str(error)) from error
    return task


def task_for(bundle: Bundle, session: Session, max_tokens: int | None) -> Task[Any, Any]:
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
    width = columns_of(session)
    highest = max(task.encoder.tokenizer.get_vocab().values(), default=0)
    try:
        session.run([Window(np.full(8, highest, np.int64), np.zeros(1, np.int64))])
    except Exception as error:
        raise BundleError(
            f"the graph does not run on token {highest} of tokenizer.json, which is that of another model"
        ) from error
    expected = task.width(bundle.manifest, bundle.config)
    if expected not in (None, width):
        raise BundleError(f"the graph answers {width} columns where /{task.route} needs {expected}")


def columns_of(session: Session) -> int:
    """Return how many columns a graph answers, which takes one small run. Raises `BundleError`, `SessionError`."""
    try:
        (output,) = session.run(synthetic_windows(1, 8))  # (1, width)
    except SessionError:
        raise
    except Exception as error:  # onnxruntime raises its own types, one for each status code
        raise BundleError(f"the graph does not run: {error}") from error
    return int(output.shape[-1])


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
