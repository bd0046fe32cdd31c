"""Tasks, one module each: from a request to windows, and from outputs to an answer.

A module in this folder that defines a concrete `Task` or `SecondaryTask` is found when the package is imported: a new
file is a new task, and `TASKS` is the only list of them.
"""

from __future__ import annotations

from typing import Any

from app.bundle import Bundle, BundleError, Manifest, Precision
from app.tasks.base import BaseTask, Task
from app.tasks.discovery import AnyTask, default_route_of, find_tasks, secondary, with_models
from app.tasks.text import TextEncoder

TASKS: dict[str, AnyTask] = find_tasks(__name__)
MODEL_TASKS = with_models(TASKS)
SECONDARY_TASKS = secondary(TASKS)
DEFAULT_ROUTE = default_route_of(TASKS)


def task_named(name: str) -> type[Task[Any, Any]]:
    """Return the task of a bundle, by its pipeline name. Raises `BundleError` when no model is served as that."""
    if name not in MODEL_TASKS:
        raise BundleError(f"task {name!r} is not served here; there are {', '.join(sorted(MODEL_TASKS))}")
    return MODEL_TASKS[name]


def task_of(config: dict[str, Any], *, has_modules: bool = False) -> type[Task[Any, Any]]:
    """Return the task that a config's `architectures` name, by the longest ending of a class name that fits.

    With `has_modules`, of sentence-transformers, it is the task that reads those, whatever the class was that the model
    was made from. Raises `BundleError` when none of ours is among them.
    """
    if has_modules:
        return next(task for task in MODEL_TASKS.values() if task.reads_modules)
    architectures = config.get("architectures") or []
    endings = {task.architecture: task for task in MODEL_TASKS.values() if task.architecture is not None}
    for architecture in architectures if isinstance(architectures, list) else ():
        if fitting := [ending for ending in endings if str(architecture).endswith(ending)]:
            return endings[max(fitting, key=len)]
    raise BundleError(f"config.json's architectures {architectures} name no task served here")


def tasks_of(manifest: Manifest) -> list[AnyTask]:
    """Return the tasks that a bundle can answer, its own first. Raises `BundleError` as `task_named` does."""
    others = (task for task in SECONDARY_TASKS.values() if manifest.task in task.models_of)
    return [task_named(manifest.task), *(task for task in others if not task.reason_against(manifest))]


def reason_against(route: str, manifest: Manifest) -> str | None:
    """Return why a bundle cannot answer a route that is asked of bundles of its task; None for any other route."""
    for task in SECONDARY_TASKS.values():
        if task.route == route and manifest.task in task.models_of:
            return task.reason_against(manifest)
    return None


def routes_behind(route: str) -> list[str]:
    """Return the routes of the tasks whose models a secondary task is asked of, by its route; none for another."""
    behind = {task.route: task.models_of for task in SECONDARY_TASKS.values()}
    return [MODEL_TASKS[name].route for name in behind.get(route, ())]


def open_task(bundle: Bundle, precision: Precision, max_tokens: int | None = None) -> Task[Any, Any]:
    """Return a bundle's own task, bound to its tokenizer and to what was fitted for one of its graphs.

    A request of more than `max_tokens` is refused while it is tokenized.

    Raises `BundleError` for a task that is not served here, and whatever a tokenizer that cannot be used raises,
    the bare `Exception` of tokenizers among it.
    """
    manifest = bundle.manifest
    encoder = TextEncoder(bundle.tokenizer_file, manifest.max_length, max_tokens)
    return task_named(manifest.task)(manifest, encoder, manifest.graphs[precision])


def with_secondary(task: Task[Any, Any], precision: Precision) -> list[BaseTask[Any, Any]]:
    """Return a bundle's own task, and bound like it the others that the bundle can answer."""
    manifest, encoder = task.manifest, task.encoder
    return [task, *(other(manifest, encoder, manifest.graphs[precision]) for other in tasks_of(manifest)[1:])]
