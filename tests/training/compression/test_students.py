"""Students: what they take over from their teacher, and that their packed graph is what they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
)

from app.runtime.packing import PackedLayout
from app.window import Window
from tests.support.reference import reference_logits
from tests.support.students import LABELS, logits
from tests.support.tiny import fp32_graph, save_checkpoint
from training.compression import load_teacher, make_student
from training.compression.importance import batches_of, important_layers, loss_with, neuron_importance
from training.compression.student import most_important, shrink, spaced_layers
from training.config import DistillationConfig, RecipeError
from training.export.gate import logits_of
from training.losses import exact_loss


@pytest.fixture(scope="module")
def make(teacher, rows, collator):
    """Return a function that makes a student of the tiny teacher from distillation fields."""

    def of(settings=None, **fields):
        distillation = DistillationConfig(teacher="the-teacher", **fields)
        return make_student(teacher, distillation, rows, rows, collator, exact_loss, settings)

    return of


def test_spaced_layers_are_every_kth_and_the_last():
    assert spaced_layers(12, 6) == [1, 3, 5, 7, 9, 11]
    assert spaced_layers(6, 3) == [1, 3, 5]
    assert spaced_layers(6, 4) == [0, 2, 3, 5]
    assert spaced_layers(2, 2) == [0, 1]
    assert spaced_layers(12, 1) == [11]


def test_a_student_starts_with_the_teachers_weights_and_leaves_the_teacher_alone(make, teacher):
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    student = make(layers=1, settings={"hidden_dropout_prob": 0.25})
    assert student.config.num_hidden_layers == len(student.roberta.encoder.layer) == 1
    assert student.config.id2label == dict(enumerate(LABELS))
    assert student.roberta.embeddings.dropout.p == 0.25
    assert not student.training
    kept = student.state_dict()
    for name, tensor in before.items():
        assert torch.equal(teacher.state_dict()[name], tensor)
        if "encoder.layer.0." not in name:
            assert torch.equal(kept[name.replace("encoder.layer.1.", "encoder.layer.0.")], tensor)
    student.classifier.dense.weight.data.zero_()
    assert teacher.classifier.dense.weight.abs().sum() > 0


def test_a_student_without_reductions_answers_as_its_teacher(make, teacher):
    torch.testing.assert_close(logits(make()), logits(teacher))


def test_the_layer_that_does_nothing_is_the_one_that_is_dropped(rows, tokenizer):
    """Of four layers, one passes its input on: without it the model is sure of the same tags, so it goes first."""
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 48, "num_hidden_layers": 4}
    config = BertConfig(vocab_size=len(tokenizer), pad_token_id=1, max_position_embeddings=64, num_labels=3, **shape)
    model = BertForTokenClassification(config).eval()
    idle = model.bert.encoder.layer[2]
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(8 if parameter.ndim == 2 else 1)
        model.classifier.weight.mul_(10)
        for output in (idle.attention.output, idle.output):
            output.dense.weight.zero_()
    own = Dataset.from_list([row | {"labels": logits(model, row["input_ids"])[0].argmax(-1).tolist()} for row in rows])
    batches = batches_of(own, DataCollatorForTokenClassification(tokenizer))
    assert important_layers(model, 3, batches, exact_loss) == [0, 1, 3]
    assert len(model.bert.encoder.layer) == 4
    whole, without = (loss_with(model, layers, batches, exact_loss) for layers in (range(4), [0, 1, 3]))
    assert whole == pytest.approx(without, rel=1e-3)
    assert loss_with(model, [0, 1, 2], batches, exact_loss) > 1.5 * whole


def test_importance_is_what_the_loss_loses_to_first_order(teacher, rows, collator):
    """Against finite differences: scale one neuron by 1 - h in one row, and see what the loss changes by."""
    row = batches_of(rows.select([2]), collator)
    importance = neuron_importance(teacher, row, exact_loss)[1]
    output, h = teacher.roberta.encoder.layer[1].output.dense, 1e-2
    for neuron in (0, 3, 40):
        changed = []
        for factor in (1 - h, 1 + h):
            with torch.no_grad():
                output.weight[:, neuron] *= factor
                changed.append(loss_with(teacher, range(2), row, exact_loss))
                output.weight[:, neuron] /= factor
        assert importance[neuron] == pytest.approx(abs(changed[1] - changed[0]) / (2 * h), rel=0.05, abs=1e-4)


def test_importance_does_not_depend_on_padding(teacher, rows, collator):
    rows = rows.select(range(4))
    together = neuron_importance(teacher, batches_of(rows, collator), exact_loss)
    alone = [neuron_importance(teacher, batches_of(rows.select([i]), collator), exact_loss) for i in range(len(rows))]
    for layer, total in enumerate(together):
        torch.testing.assert_close(total, sum(each[layer] for each in alone), rtol=1e-3, atol=1e-5)


def test_neurons_that_nothing_hears_are_pruned_without_a_change(teacher, rows, collator):
    deaf = shrink(teacher, range(2))
    with torch.no_grad():
        for layer in deaf.roberta.encoder.layer:
            layer.output.dense.weight[:, ::2] = 0
    importance = neuron_importance(deaf, batches_of(rows, collator), exact_loss)
    neurons = [most_important(each, 32) for each in importance]
    assert all(each.tolist() == list(range(1, 64, 2)) for each in neurons)
    narrow = shrink(deaf, range(2), neurons)
    assert narrow.config.intermediate_size == 32
    torch.testing.assert_close(logits(narrow), logits(deaf))


@pytest.mark.parametrize("keep", ["spaced", "important"])
def test_a_small_student_saves_exports_and_matches_torch(keep, make, tmp_path):
    student = make(layers=1, feed_forward=24, keep=keep)
    folder = save_checkpoint(student, tmp_path)
    again = load_teacher(str(folder), "text-classification", LABELS)
    assert (again.config.num_hidden_layers, again.config.intermediate_size) == (1, 24)
    torch.testing.assert_close(logits(again), logits(student))
    graph = fp32_graph(again)
    layout = PackedLayout([i.name for i in graph.graph.input], 2)
    windows = [Window(np.arange(5, 5 + n), np.zeros(1, np.int64)) for n in (1, 40, 9)]
    expected = np.concatenate([reference_logits(again, "text-classification", window) for window in windows])
    np.testing.assert_allclose(logits_of(graph, [layout.feed(windows)]), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"layers": 3}, "distillation.layers is 3, but the teacher the-teacher has 2"),
        ({"feed_forward": 65}, "distillation.feed_forward is 65, but the teacher the-teacher has .* width 64"),
    ],
    ids=str,
)
def test_a_student_larger_than_its_teacher_is_refused(fields, sentence, make):
    with pytest.raises(RecipeError, match=sentence):
        make(**fields)
