"""Losses against torch's own, whole and in parts, and the weights of classes."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from training.config import RecipeError, TrainingConfig
from training.data import Labeling
from training.losses import IGNORED, balanced_weights, class_weights, exact_loss

LOGITS = torch.randn(2, 3, 5, generator=torch.Generator().manual_seed(0))
TAGS = torch.tensor([[0, 1, IGNORED], [4, IGNORED, IGNORED]])
MANY = torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 0]])


def loss(logits, labels, items=None, **settings):
    return exact_loss(SimpleNamespace(logits=logits), {"labels": labels}, items, **settings)


def test_loss_is_the_mean_over_labels_that_count():
    expected = F.cross_entropy(LOGITS.flatten(0, 1), TAGS.flatten())
    torch.testing.assert_close(loss(LOGITS, TAGS), expected)
    torch.testing.assert_close(loss(LOGITS, TAGS, torch.tensor(6)), expected / 2)
    smooth = F.cross_entropy(LOGITS.flatten(0, 1), TAGS.flatten(), label_smoothing=0.2)
    torch.testing.assert_close(loss(LOGITS, TAGS, label_smoothing=0.2), smooth)


def test_multi_label_loss_is_the_mean_over_all_labels():
    logits = LOGITS.flatten()[:12].view(4, 3)
    torch.testing.assert_close(loss(logits, MANY), F.binary_cross_entropy_with_logits(logits, MANY))
    smooth = F.binary_cross_entropy_with_logits(logits, MANY * 0.8 + 0.1)
    torch.testing.assert_close(loss(logits, MANY, label_smoothing=0.2), smooth)


def test_regression_loss_is_the_mean_squared_error():
    logits, targets = torch.tensor([[1.0], [3.0]]), torch.tensor([2.0, 5.0])
    torch.testing.assert_close(loss(logits, targets), torch.tensor(2.5))


@pytest.mark.parametrize("kind", ["one", "many", "tokens", "number"])
def test_parts_of_a_batch_add_up_to_its_loss(kind):
    weights = torch.tensor([1.0, 2.0, 0.5, 3.0, 1.0])
    logits, labels = {
        "one": (LOGITS[0], torch.tensor([0, 4, 2])),
        "many": (LOGITS[0], torch.eye(5)[:3]),
        "tokens": (LOGITS, TAGS),
        "number": (LOGITS[0, :, :1], torch.tensor([0.5, -1.0, 2.0])),
    }[kind]
    settings = {} if kind == "number" else {"label_smoothing": 0.1, "weights": weights}
    items = labels.ne(IGNORED).sum()
    parts = sum(loss(logits[i : i + 1], labels[i : i + 1], items, **settings) for i in range(len(labels)))
    torch.testing.assert_close(parts, loss(logits, labels, **settings))


def test_a_class_counts_by_its_weight():
    logits, labels, weights = LOGITS[0], torch.tensor([0, 4, 2]), torch.tensor([1.0, 2.0, 0.5, 3.0, 10.0])
    expected = (F.cross_entropy(logits, labels, reduction="none") * weights[labels]).mean()
    torch.testing.assert_close(loss(logits, labels, weights=weights), expected)
    present = torch.eye(5)[:3]
    expected = F.binary_cross_entropy_with_logits(logits, present, pos_weight=weights)
    torch.testing.assert_close(loss(logits, present, weights=weights), expected)


def test_balanced_weights_are_those_of_scikit_learn():
    labels = [0, 0, 0, 0, 1, 2, 2, 0]
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    assert balanced_weights(labels, 3).tolist() == pytest.approx(list(expected))
    tokens = [[IGNORED, 0, 0, 0, IGNORED], [IGNORED, 0, 1, 2, 2, 0, IGNORED]]
    assert balanced_weights(tokens, 3).tolist() == pytest.approx(list(expected))


def test_balanced_presence_weighs_as_much_as_absence():
    weights = balanced_weights(MANY.tolist(), 3)
    present = MANY.sum(dim=0)
    torch.testing.assert_close(weights * present, len(MANY) - present)


def test_weights_come_from_a_table():
    settings, labeling = TrainingConfig(class_weights={"p": 3.0}), Labeling(("n", "p"), "single_label_classification")
    assert class_weights(settings, labeling, [0, 1]).tolist() == [1.0, 3.0]
    assert class_weights(TrainingConfig(), labeling, [0, 1]) is None
    with pytest.raises(RecipeError, match=r"p weighs -1\.0"):
        class_weights(TrainingConfig(class_weights={"p": -1.0}), Labeling(("n", "p")), [0, 1])
