"""Task heads over chosen rows: (N, hidden) -> (N, width). A new task's head is one more entry here."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn
from transformers import PreTrainedModel

from app.tasks import task_of


class UnsupportedModelError(ValueError):
    """The checkpoint is not an encoder that the packed module knows how to express."""


class PooledHead(nn.Module):
    """Classification from each text's first token: RoBERTa's head, or BERT's pooler and classifier."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.pooler = getattr(model.base_model, "pooler", None)
        self.classifier = model.classifier

    def forward(self, rows: Tensor) -> Tensor:
        first = rows.unsqueeze(1)  # both take (N, tokens, hidden) and read token 0
        return cast(Tensor, self.classifier(first if self.pooler is None else self.pooler(first)))


def head_of(model: PreTrainedModel) -> tuple[str, nn.Module]:
    """Return the task of a checkpoint, and its head as a module over rows (N, hidden)."""
    task = task_of({"architectures": [type(model).__name__]}).name
    source = cast(Any, model)
    if task == "text-classification":
        return task, PooledHead(source)
    if task == "token-classification":
        return task, cast(nn.Module, source.classifier)
    head = getattr(source, "lm_head", None) or getattr(source, "cls", None)
    if head is None:
        raise UnsupportedModelError(f"{type(model).__name__} has no language-model head that is known here")
    return task, cast(nn.Module, head)
