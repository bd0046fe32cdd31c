"""Task heads over chosen rows: (N, hidden) -> (N, width). A new task's head is one more entry here."""

from __future__ import annotations

from transformers import PreTrainedModel

from app.bundle import TaskName, task_of
from training.encoders.base import Head, UnsupportedModelError
from training.encoders.registry import family_of

__all__ = ["UnsupportedModelError", "head_of"]


def head_of(model: PreTrainedModel) -> tuple[TaskName, Head]:
    """Return the task of a checkpoint, and its head."""
    task, family = task_of({"architectures": [type(model).__name__]}), family_of(model)
    if task == "text-classification":
        return task, family.sequence_head(model)
    return task, family.token_head(model) if task == "token-classification" else family.language_head(model)
