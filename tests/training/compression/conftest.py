"""A tiny teacher, and rows to learn from."""

from __future__ import annotations

import itertools

import pytest
from transformers import DataCollatorWithPadding

from tests.support.students import LABELS, TEXTS
from tests.support.tiny import tiny_model
from training.data import ClassificationExample, Labeling
from training.tasks.classify import ClassifyTraining


@pytest.fixture(scope="module")
def teacher():
    return tiny_model("text-classification", list(LABELS))


@pytest.fixture(scope="module")
def rows(tokenizer):
    examples = [ClassificationExample(t, (label,)) for t, label in zip(TEXTS, itertools.cycle(LABELS))]
    return ClassifyTraining().features(examples, Labeling(LABELS), tokenizer, 32)


@pytest.fixture(scope="module")
def collator(tokenizer):
    return DataCollatorWithPadding(tokenizer)
