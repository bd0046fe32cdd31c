"""A served model: a bundle, and for each task that it can answer a pipeline."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.bundle import Bundle, Precision
from app.metrics import Metrics
from app.serving.pipeline import Lane, Pipeline
from app.tasks.base import BaseTask, Task


def counted(task: Task[Any, Any], metrics: Metrics) -> Task[Any, Any]:
    """Return a task whose answers are counted by their labels, where they have any and this process counts them."""
    if metrics.counts_answers and (labels := task.told_labels()):
        task.tell = metrics.of_answers(task.route, task.manifest.name, labels).count
    return task


class Model:
    """Answers by the graph of `precision` on onnxruntime's `provider`.

    `tasks` are those of the bundle, its own first; `pipelines` are by their routes.
    """

    def __init__(
        self,
        bundle: Bundle,
        precision: Precision,
        provider: str,
        tasks: Sequence[BaseTask[Any, Any]],
        lane: Lane,
        metrics: Metrics,
    ) -> None:
        self.bundle, self.precision, self.provider = bundle, precision, provider
        self.task, self.lane = tasks[0], lane
        self.pipelines = {task.route: Pipeline(task, lane, metrics.of_model(task.route, self.name)) for task in tasks}

    @property
    def name(self) -> str:
        return self.bundle.manifest.name

    @property
    def id(self) -> str:
        """`name:version`, as answers carry it."""
        return f"{self.name}:{self.bundle.manifest.version}"

    @property
    def info_labels(self) -> dict[str, str]:
        """The labels of `roberta_model_info`."""
        manifest = self.bundle.manifest
        return {
            "model": self.name,
            "version": str(manifest.version),
            "task": manifest.task,
            "precision": self.precision,
            "provider": self.provider,
            "layout": manifest.layout,
        }
