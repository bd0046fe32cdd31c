"""Students of teachers of other families, by what these say of their own layers."""

from __future__ import annotations

import pytest
import torch
from transformers import (
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForSequenceClassification,
    ModernBertConfig,
    ModernBertForSequenceClassification,
    MPNetConfig,
    MPNetForSequenceClassification,
)

from tests.support.students import LABELS, logits
from tests.support.tiny import tiny_sequence_model
from training.compression import make_student
from training.compression.importance import batches_of, neuron_importance
from training.compression.student import most_important, shrink
from training.config import DistillationConfig, RecipeError
from training.encoders import UnsupportedModelError, family_of
from training.fit.optimizer import parameter_groups
from training.losses import exact_loss

NAMES = {"id2label": dict(enumerate(LABELS)), "num_hidden_layers": 4}
TEACHERS = [
    (DistilBertForSequenceClassification, DistilBertConfig, {"hidden_dim": 64}),
    (ElectraForSequenceClassification, ElectraConfig, {"embedding_size": 16}),
    (ModernBertForSequenceClassification, ModernBertConfig, {"local_attention": 8}),
]


@pytest.fixture(params=TEACHERS, ids=lambda each: each[0].__name__)
def teacher(request):
    model_class, config_class, fields = request.param
    return tiny_sequence_model(model_class, config_class, **fields | NAMES)


@pytest.fixture
def make(teacher, rows, collator):
    def of(**fields):
        distillation = DistillationConfig(teacher="the-teacher", **fields)
        return make_student(teacher, distillation, rows, rows, collator, exact_loss)

    return of


def test_a_student_of_the_same_size_answers_as_its_teacher(make, teacher):
    torch.testing.assert_close(logits(make()), logits(teacher))


@pytest.mark.parametrize("keep", ["spaced", "important"])
def test_a_student_has_the_layers_and_the_width_that_are_asked_for(make, keep, tmp_path):
    student = make(layers=2, feed_forward=24, keep=keep)
    family = family_of(student)
    assert (student.config.num_hidden_layers, family.width(student.config)) == (2, 24)
    student.save_pretrained(tmp_path)
    again = type(student).from_pretrained(tmp_path).eval()
    torch.testing.assert_close(logits(again), logits(student))


def test_neurons_that_nothing_hears_are_pruned_without_a_change(teacher, rows, collator):
    """Every second neuron's outgoing weights are zero, so that the pruned model computes the same."""
    family = family_of(teacher)
    with torch.no_grad():
        for layer in family.layers(teacher):
            layer.get_submodule(family.feed_forward_out).weight[:, ::2] = 0
    importance = neuron_importance(teacher, batches_of(rows, collator), exact_loss)
    neurons = [most_important(each, 32) for each in importance]
    assert all(each.tolist() == list(range(1, 64, 2)) for each in neurons)
    torch.testing.assert_close(logits(shrink(teacher, range(4), neurons)), logits(teacher))


def test_lower_layers_learn_more_slowly(teacher):
    names = {id(parameter): name for name, parameter in teacher.named_parameters()}
    groups = parameter_groups(teacher, 1.0, 0.1, 0.5)
    rates = {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}
    family = family_of(teacher)
    for name, rate in rates.items():
        found = family.layer_of(teacher, name)
        below = 5 if "embeddings" in name else 0 if found is None else 4 - found[0]
        assert rate == 0.5**below, name
    assert set(rates.values()) == {0.5**below for below in range(6)}


def test_the_first_layer_of_modernbert_stays(rows, collator):
    teacher = tiny_sequence_model(ModernBertForSequenceClassification, ModernBertConfig, **NAMES)
    with pytest.raises(UnsupportedModelError, match="first layer cannot be left out"):
        shrink(teacher, [1, 3])
    kept = shrink(teacher, [0, 2])
    assert kept.config.layer_types == ["full_attention", "sliding_attention"]


def test_a_teacher_without_a_packed_form_is_not_made_smaller(rows, collator):
    teacher = tiny_sequence_model(MPNetForSequenceClassification, MPNetConfig, **NAMES)
    distillation = DistillationConfig(teacher="the-teacher", layers=2)
    with pytest.raises(RecipeError, match="is a MPNetForSequenceClassification, which cannot be made smaller here"):
        make_student(teacher, distillation, rows, rows, collator, exact_loss)
