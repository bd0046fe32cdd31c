"""One module per task: request to windows, outputs to answer."""

from __future__ import annotations

from typing import Any

from app.bundle import TaskName
from app.tasks.base import Task
from app.tasks.classify import Classify
from app.tasks.fill_mask import FillMask
from app.tasks.ner import Ner

TASKS: dict[TaskName, type[Task[Any, Any]]] = {task.name: task for task in (Classify, Ner, FillMask)}
