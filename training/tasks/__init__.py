"""One module per task: everything in training that depends on it. `TASKS` is the only list of them."""

from __future__ import annotations

from typing import Any

from app.bundle import BundleError
from app.discovery import classes_in
from app.tasks import task_of as served_task_of
from training.tasks.base import TrainingTask

TASKS: dict[str, TrainingTask[Any, Any]] = {
    (task := kind()).name: task
    for kind in classes_in(__name__, TrainingTask)  # type: ignore[type-abstract]
}


def training_task(name: str) -> TrainingTask[Any, Any]:
    """Return the task of a pipeline name. Raises `BundleError` for one that is served but cannot be trained."""
    if name not in TASKS:
        raise BundleError(f"task {name!r} cannot be trained or exported here; there are {', '.join(TASKS)}")
    return TASKS[name]


def task_of_config(config: dict[str, Any]) -> TrainingTask[Any, Any]:
    """Return the task that a checkpoint's config names. Raises `BundleError` when it is not one of ours."""
    return training_task(served_task_of(config).name)
