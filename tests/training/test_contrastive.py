"""The losses of vectors, against their definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from training.contrastive import SCALE, CosineLoss, Similar, contrastive_loss, false_negatives
from training.encoders.sentences import VECTOR


def vectors(count):
    return torch.randn(count, 8, generator=torch.Generator().manual_seed(3))


def test_each_text_is_to_find_its_own_among_all_others():
    found = vectors(7)  # 3 texts, their 3 similar ones, 1 negative
    batch = {"labels": torch.arange(3), "numbers": torch.arange(7)}
    unit = F.normalize(found, dim=1)
    expected = F.cross_entropy(SCALE * unit[:3] @ unit[3:].T, torch.arange(3))
    torch.testing.assert_close(contrastive_loss({VECTOR: found}, batch), expected)
    torch.testing.assert_close(contrastive_loss({VECTOR: found}, batch, 6), expected / 2)  # accumulated


def test_equal_texts_are_no_negatives():
    numbers = torch.tensor([0, 1, 0, 10, 10, 11, 1, 12])  # texts 0 1 0, similar 10 10 11, negatives 1 12
    assert false_negatives(numbers, 3).tolist() == [
        [False, True, True, False, False],
        [True, False, False, True, False],
        [True, False, False, False, False],
    ]


def test_a_text_alone_is_to_find_itself():
    assert not false_negatives(torch.tensor([0, 1, 0, 1]), 2).any()


def test_cosines_are_fitted_to_scores_from_0_to_1():
    found, loss = vectors(4), CosineLoss([0.0, 2.5, 5.0])
    batch = {"labels": torch.tensor([5.0, 2.5]), "numbers": torch.arange(4)}
    cosines = F.cosine_similarity(found[:2], found[2:])
    expected = ((cosines - torch.tensor([1.0, 0.5])) ** 2).sum() / 2
    torch.testing.assert_close(loss({VECTOR: found}, batch), expected)


def test_scores_below_0_stay_below_0():
    assert CosineLoss([-4.0, 2.0]).scaled(torch.tensor([-4.0, 0.0])).tolist() == [-1.0, 0.0]


def test_a_batch_has_all_first_texts_before_all_second_ones_and_all_negatives(tokenizer):
    rows = [
        {"input_ids": [[1], [2, 2]], "numbers": [0, 1], "labels": 0},
        {"input_ids": [[3], [4], [5, 5, 5]], "numbers": [2, 3, 4], "labels": 2},
    ]
    batch = Similar(tokenizer)(rows)
    assert batch["input_ids"][:, 0].tolist() == [1, 3, 2, 4, 5]
    assert batch["attention_mask"].sum(dim=1).tolist() == [1, 1, 2, 1, 3]
    assert (batch["numbers"].tolist(), batch["labels"].tolist()) == ([0, 2, 1, 3, 4], [0, 2])


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_loss_has_a_gradient(score):
    found = vectors(4).requires_grad_()
    CosineLoss([0.0, 1.0])({VECTOR: found}, {"labels": torch.full((2,), score)}).backward()
    assert found.grad is not None
    assert found.grad.abs().sum() > 0
