"""Tasks, one module each: from a request to windows, and from outputs to an answer.

A module in this folder that defines a concrete `Task` is found when the package is imported: a new file is a new
task, and `TASKS` is the only list of them.
"""

from __future__ import annotations

from typing import Any

from app.bundle import Bundle, BundleError, Precision
from app.tasks.base import Task
from app.tasks.discovery import AnyTask, default_route_of, find_tasks
from app.tasks.text import TextEncoder

TASKS: dict[str, AnyTask] = find_tasks(__name__)
DEFAULT_ROUTE = default_route_of(TASKS)


def task_named(name: str) -> AnyTask:
    """Return the task of a pipeline name. Raises `BundleError` when there is none."""
    if name not in TASKS:
        raise BundleError(f"task {name!r} is not served here; there are {', '.join(sorted(TASKS))}")
    return TASKS[name]


def task_of(config: dict[str, Any]) -> AnyTask:
    """Return the task that a config's `architectures` name. Raises `BundleError` when none of ours is among them."""
    architectures = config.get("architectures") or []
    for architecture in architectures if isinstance(architectures, list) else ():
        for task in TASKS.values():
            if task.architecture is not None and str(architecture).endswith(task.architecture):
                return task
    raise BundleError(f"config.json's architectures {architectures} name no task served here")


def open_task(bundle: Bundle, precision: Precision, max_tokens: int | None = None) -> Task[Any, Any]:
    """Return a bundle's task, bound to its tokenizer and to what was fitted for one of its graphs.

    A request of more than `max_tokens` is refused while it is tokenized.

    Raises `BundleError` for a task that is not served here, and whatever a tokenizer that cannot be used raises,
    the bare `Exception` of tokenizers among it.
    """
    manifest = bundle.manifest
    encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length, max_tokens)
    return task_named(manifest.task)(manifest, encoder, manifest.graphs[precision])
