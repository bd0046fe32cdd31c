"""A teacher's answers as training targets: computed once, padded with the batch, mixed into the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from datasets import Dataset, List, Value
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.bundle import ProblemType
from training.losses import IGNORED
from training.progress import track
from training.tasks.base import Collator, Loss

TEACHER_LOGITS = "teacher_logits"  # a column of the rows, and a key of their batches
BATCH_ROWS = 32


@dataclass(frozen=True)
class SoftTargets:
    """How much a teacher counts, and how. Source: Hinton et al. 2015, arXiv:1503.02531, section 2.

    `weight`: share of the teacher in the loss. `temperature` divides the logits of both.
    `problem_type`: kind of classification; None for NER.
    """

    temperature: float
    weight: float
    problem_type: ProblemType | None

    def add(self, rows: Dataset, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Dataset:
        """Return `rows` with the teacher's logits: (C,) per row, or (S, C) for NER, float32.

        They are computed once, without dropout, on batches of similar length. `tokenizer` made the rows.
        """
        logits = teacher_logits(rows, teacher, tokenizer)
        one = List(Value("float32"))
        feature = one if logits[0].ndim == 1 else List(one)
        return rows.add_column(TEACHER_LOGITS, [each.tolist() for each in logits], feature=feature)

    def collator(self, inner: Collator) -> Collator:
        """Return a collator that pads the teacher's logits with zeros to the length of the batch's labels."""

        def collate(features: list[dict[str, Any]]) -> Any:
            rows = [dict(feature) for feature in features]
            logits = [torch.tensor(row.pop(TEACHER_LOGITS), dtype=torch.float32) for row in rows]
            batch = inner(rows)
            if logits[0].ndim == 2:  # (S, C) each
                longest = batch["labels"].shape[1]
                logits = [F.pad(each, (0, 0, 0, longest - len(each))) for each in logits]
            batch[TEACHER_LOGITS] = torch.stack(logits)  # (B, C) or (B, S, C)
            return batch

        return collate

    def loss(self, hard: Loss) -> Loss:
        """Return a loss that mixes the one of the labels with the distance from the teacher.

        Both are divided by the items of all accumulated batches and devices. Positions labeled `IGNORED` do not count.
        """

        def mixed(outputs: Any, batch: Mapping[str, Tensor], num_items_in_batch: Tensor | int | None = None) -> Tensor:
            labels, teacher_logits = batch["labels"], batch[TEACHER_LOGITS]
            items = labels.ne(IGNORED).sum() if num_items_in_batch is None else num_items_in_batch
            soft = self.distance(outputs.logits.float(), labels, teacher_logits.float()) / items
            return (1 - self.weight) * hard(outputs, batch, num_items_in_batch) + self.weight * soft

        return mixed

    def distance(self, logits: Tensor, labels: Tensor, teacher_logits: Tensor) -> Tensor:
        """Return the summed distance of (B, C) or (B, S, C) logits from the teacher's.

        T^2 * KL(teacher || student) of the softmax; T^2 * binary cross-entropy with the teacher's probabilities for
        multi-label; the squared error for regression. T^2 keeps the gradient's size whatever the temperature.
        """
        if self.problem_type == "regression":
            return F.mse_loss(logits, teacher_logits, reduction="sum")
        student, teacher = logits / self.temperature, teacher_logits / self.temperature
        if self.problem_type == "multi_label_classification":
            distance = F.binary_cross_entropy_with_logits(student, teacher.sigmoid(), reduction="sum")
        else:
            counted = labels.ne(IGNORED)  # (B,) or (B, S)
            distance = F.kl_div(
                student[counted].log_softmax(-1), teacher[counted].log_softmax(-1), reduction="sum", log_target=True
            )
        return self.temperature**2 * distance


@torch.inference_mode()
def teacher_logits(rows: Dataset, teacher: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[Tensor]:
    """Return the teacher's logits for each row, without those of padding, in order."""
    teacher = teacher.to("cuda" if torch.cuda.is_available() else "cpu").eval()
    inputs = rows.select_columns([name for name in tokenizer.model_input_names if name in rows.column_names])
    lengths = [len(ids) for ids in rows["input_ids"]]
    order = sorted(range(len(rows)), key=lengths.__getitem__)
    logits: dict[int, Tensor] = {}
    for start in track(range(0, len(order), BATCH_ROWS), "batches of the teacher"):
        chosen = order[start : start + BATCH_ROWS]
        padded = tokenizer.pad([inputs[index] for index in chosen], return_tensors="pt").to(teacher.device)
        for index, scores in zip(chosen, teacher(**padded).logits.float().cpu(), strict=True):
            logits[index] = scores if scores.ndim == 1 else scores[: lengths[index]]
    return [logits[index] for index in range(len(rows))]
