"""Soft targets: the teacher's logits, the loss, and a student that learns them."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import (
    DataCollatorForTokenClassification,
    TrainingArguments,
)

from tests.support.students import LABELS, logits
from tests.support.tiny import TAGS, tiny_model
from training.compression import TEACHER_LOGITS, SoftTargets, load_teacher, make_student
from training.config import DistillationConfig, RecipeError
from training.fit.trainer import ScoredTrainer
from training.losses import IGNORED, exact_loss


def test_the_teachers_logits_are_put_in_the_order_of_the_datas_labels(tiny_checkpoints):
    source, labels = str(tiny_checkpoints["classify"]), ("positive", "negative", "neutral")
    as_trained, reordered = (load_teacher(source, "text-classification", names) for names in (LABELS, labels))
    assert reordered.config.id2label == dict(enumerate(labels))
    torch.testing.assert_close(logits(reordered), logits(as_trained)[:, [2, 0, 1]])


def test_an_unfit_teacher_is_one_sentence(tiny_checkpoints, tmp_path):
    classify, ner = str(tiny_checkpoints["classify"]), str(tiny_checkpoints["ner"])
    with pytest.raises(RecipeError, match="'angry' is only known to the data"):
        load_teacher(classify, "text-classification", ("angry", *LABELS))
    with pytest.raises(RecipeError, match="'neutral' is only known to the teacher"):
        load_teacher(classify, "text-classification", ("negative", "positive"))
    with pytest.raises(RecipeError, match="trained for token-classification, and the recipe is for text-classific"):
        load_teacher(ner, "text-classification", TAGS)
    with pytest.raises(RecipeError, match=r"the teacher .*nothing cannot be used: "):
        load_teacher(str(tmp_path / "nothing"), "text-classification", LABELS)


def test_the_teachers_logits_are_a_column_of_the_rows(teacher, rows, tokenizer):
    taught = SoftTargets(2.0, 0.5, "single_label_classification").add(rows, teacher, tokenizer)
    for row in taught:
        torch.testing.assert_close(torch.tensor(row[TEACHER_LOGITS]), logits(teacher, row["input_ids"])[0])


def test_a_taggers_logits_are_padded_with_its_labels(rows, tokenizer):
    teacher = tiny_model("token-classification", TAGS)
    tagged = Dataset.from_list([row | {"labels": [IGNORED, *row["input_ids"][2:], IGNORED]} for row in rows])
    soft = SoftTargets(2.0, 0.5, None)
    taught = soft.add(tagged, teacher, tokenizer).remove_columns("length")
    batch = soft.collator(DataCollatorForTokenClassification(tokenizer))([taught[3], taught[2]])
    length = len(taught[3]["input_ids"])
    assert batch[TEACHER_LOGITS].shape == (*batch["labels"].shape, len(TAGS))
    assert length < batch["labels"].shape[1]
    torch.testing.assert_close(batch[TEACHER_LOGITS][0, :length], logits(teacher, taught[3]["input_ids"])[0])
    assert batch[TEACHER_LOGITS][0, length:].abs().sum() == 0


def random_logits(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_the_loss_is_hintons():
    student, teacher, labels = random_logits(4, 3, seed=0), random_logits(4, 3, seed=1), torch.tensor([0, 2, 1, 1])
    outputs = SimpleNamespace(logits=student)
    loss = SoftTargets(3.0, 0.25, "single_label_classification").loss(exact_loss)
    mixed = loss(outputs, {"labels": labels, TEACHER_LOGITS: teacher}, 4)
    p, log_q = (teacher / 3).softmax(-1), (student / 3).log_softmax(-1)
    divergence = (p * (p.log() - log_q)).sum() / 4
    torch.testing.assert_close(mixed, 0.75 * F.cross_entropy(student, labels) + 0.25 * 9 * divergence)


@pytest.mark.parametrize(
    ("problem_type", "labels", "width"),
    [
        ("single_label_classification", torch.tensor([0, 1, 2, 0, 1, 2]), 3),
        ("multi_label_classification", (torch.arange(18).view(6, 3) % 2).float(), 3),
        ("regression", torch.linspace(-1, 1, 6), 1),
        (None, torch.tensor([[0, IGNORED]] * 2 + [[1, 2]] * 4), 3),
    ],
)
def test_the_loss_is_exact_under_accumulation_and_nothing_where_the_student_is_the_teacher(problem_type, labels, width):
    shape = (6, width) if problem_type else (6, 2, width)
    student, teacher = random_logits(*shape, seed=0), random_logits(*shape, seed=1)
    loss, items = SoftTargets(2.0, 1.0, problem_type).loss(lambda *_: torch.tensor(0.0)), int(labels.ne(IGNORED).sum())

    def loss_of(part, items=items):
        return loss(
            SimpleNamespace(logits=student[part]), {"labels": labels[part], TEACHER_LOGITS: teacher[part]}, items
        )

    whole = loss_of(slice(None))
    assert whole > 0
    torch.testing.assert_close(loss_of(slice(0, 2)) + loss_of(slice(2, 6)), whole)
    torch.testing.assert_close(loss_of(slice(None), None), whole)
    student.copy_(teacher).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(slice(None)), student)
    assert gradient.abs().max() < 1e-6


def test_a_student_learns_its_teachers_answers_through_the_trainer(rows, collator, tokenizer, tmp_path):
    """With nothing but a teacher to learn from, a student of half the layers comes close to its answers."""
    teacher = tiny_model("text-classification", list(LABELS))
    with torch.no_grad():
        teacher.classifier.out_proj.weight.mul_(30)  # so that its answers differ from text to text
    settings = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    half = DistillationConfig(teacher="the-teacher", layers=1)
    student = make_student(teacher, half, rows, rows, collator, exact_loss, settings)
    soft = SoftTargets(2.0, 1.0, "single_label_classification")
    arguments = TrainingArguments(
        str(tmp_path),
        num_train_epochs=20,
        per_device_train_batch_size=5,
        gradient_accumulation_steps=2,
        learning_rate=5e-3,
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = ScoredTrainer(
        model=student,
        args=arguments,
        train_dataset=soft.add(rows, teacher, tokenizer).remove_columns("length"),
        data_collator=soft.collator(collator),
        loss=soft.loss(exact_loss),
        targets=("labels", TEACHER_LOGITS),
        score=dict,
    )
    before = divergence(student.eval(), teacher, rows)
    trainer.train()
    assert divergence(student.eval(), teacher, rows) < 0.1 * before


def divergence(student, teacher, rows):
    answers = [[logits(model, row["input_ids"]).log_softmax(-1) for row in rows] for model in (student, teacher)]
    return float(F.kl_div(*(torch.cat(each) for each in answers), reduction="batchmean", log_target=True))
