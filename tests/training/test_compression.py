"""Students: what they take over, that they learn from their teacher, and that their packed graph is what they are."""

from __future__ import annotations

import itertools
import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from datasets import Dataset
from torch.nn import functional as F
from transformers import (
    BertConfig,
    BertForTokenClassification,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
    Trainer,
    TrainingArguments,
)

from app.bundle import read_bundle
from app.runtime.packing import PackedLayout, Window
from tests.support.tiny import TAGS, save_checkpoint, tiny_model
from training.__main__ import main
from training.compression import TEACHER_LOGITS, DistillingMixin, SoftTargets, load_teacher, make_student
from training.compression.importance import batches_of, important_layers, loss_with, neuron_importance
from training.compression.student import most_important, shrink, spaced_layers
from training.config import DistillationConfig, RecipeError
from training.data import ClassificationExample
from training.export.gate import logits_of
from training.export.graph import export_fp32
from training.export.verify import reference_logits
from training.features import IGNORED, classification_features
from training.losses import exact_loss

LABELS = ("negative", "neutral", "positive")
TEXTS = ["a good film", "bad and awful", "the café in Paris isn't open ( yet ) .", "warm", "cold and dull ."] * 4


@pytest.fixture(scope="module")
def teacher():
    return tiny_model("text-classification", list(LABELS))


@pytest.fixture(scope="module")
def rows(tokenizer):
    examples = [ClassificationExample(t, (label,)) for t, label in zip(TEXTS, itertools.cycle(LABELS))]
    return classification_features(examples, LABELS, tokenizer, 32)


@pytest.fixture(scope="module")
def collator(tokenizer):
    return DataCollatorWithPadding(tokenizer)


@pytest.fixture(scope="module")
def make(teacher, rows, collator):
    """Return a function that makes a student of the tiny teacher from distillation fields."""

    def of(settings=None, **fields):
        distillation = DistillationConfig(teacher="the-teacher", **fields)
        return make_student(teacher, distillation, rows, rows, collator, exact_loss, settings)

    return of


def logits(model, ids=(0, 7, 8, 9, 2)):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits


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
    graph = export_fp32(again)
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
    hard = exact_loss(outputs, labels)
    mixed = SoftTargets(3.0, 0.25, "single_label_classification").loss(outputs, labels, teacher, 4, hard)
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
    soft, items, zero = SoftTargets(2.0, 1.0, problem_type), int(labels.ne(IGNORED).sum()), torch.tensor(0.0)

    def loss_of(part):
        return soft.loss(SimpleNamespace(logits=student[part]), labels[part], teacher[part], items, zero)

    whole = loss_of(slice(None))
    assert whole > 0
    torch.testing.assert_close(loss_of(slice(0, 2)) + loss_of(slice(2, 6)), whole)
    torch.testing.assert_close(soft.loss(SimpleNamespace(logits=student), labels, teacher, None, zero), whole)
    student.copy_(teacher).requires_grad_()
    (gradient,) = torch.autograd.grad(loss_of(slice(None)), student)
    assert gradient.abs().max() < 1e-6


class DistillingTrainer(DistillingMixin, Trainer):
    def __init__(self, *, soft_targets, **kwargs):
        super().__init__(**kwargs)
        self.soft_targets = soft_targets


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
        label_names=["labels", TEACHER_LOGITS],
        save_strategy="no",
        disable_tqdm=True,
        use_cpu=True,
        dataloader_pin_memory=False,
    )
    trainer = DistillingTrainer(
        model=student,
        args=arguments,
        train_dataset=soft.add(rows, teacher, tokenizer),
        data_collator=soft.collator(collator),
        compute_loss_func=partial(exact_loss, label_smoothing=0.0),
        soft_targets=soft,
    )
    before = divergence(student.eval(), teacher, rows)
    trainer.train()
    assert divergence(student.eval(), teacher, rows) < 0.1 * before


def divergence(student, teacher, rows):
    answers = [[logits(model, row["input_ids"]).log_softmax(-1) for row in rows] for model in (student, teacher)]
    return float(F.kl_div(*(torch.cat(each) for each in answers), reduction="batchmean", log_target=True))


@pytest.fixture(scope="module")
def sentiment(tmp_path_factory):
    """Return a folder with labelled files that the tiny teacher's labels fit, single- and multi-label."""
    folder = tmp_path_factory.mktemp("data")
    lines = [{"text": f"{text} {i}", "label": LABELS[i % 3]} for i, text in enumerate(TEXTS * 3)]
    (folder / "train.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    lines = [{"text": line["text"], "labels": LABELS[: i % 3 + 1]} for i, line in enumerate(lines)]
    (folder / "several.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("verb", "keep", "data", "metric"),
    [("distil", "spaced", "train", "accuracy"), ("prune", "important", "several", "macro_f1")],
)
def test_one_command_makes_a_served_student_and_a_table_of_variants(
    verb, keep, data, metric, sentiment, tiny_checkpoints, tmp_path, capsys
):
    sizes = ["--layers", "1", "--feed-forward", "24"]
    fields = ("training.epochs=1", "export.max_length=64", "export.max_metric_drop=50")
    settings = [argument for field in fields for argument in ("--set", field)]
    where = ["--data", str(sentiment), "--models", str(tmp_path / "models"), "--run-dir", str(tmp_path / "run")]
    teacher = str(tiny_checkpoints["classify"])
    main(
        [verb, "--task", "classification", "--train", f"{data}.jsonl", "--teacher", teacher, *sizes, *settings, *where]
    )

    folder = tmp_path / "models" / data / "1"
    assert str(folder) in capsys.readouterr().out
    manifest = read_bundle(folder, name=data, version=1).manifest
    assert manifest.labels == list(LABELS)
    recipe = manifest.provenance["training"]["distillation"]
    assert (recipe["keep"], recipe["layers"], recipe["feed_forward"]) == (keep, 1, 24)
    decision = manifest.graphs["int8"].quantisation
    assert (decision["metric"], decision["max_drop"], decision["kept_fp32"]) == (metric, 50.0, [])

    rows = json.loads((tmp_path / "run" / "variants.json").read_text(encoding="utf-8"))
    assert [row["variant"] for row in rows] == ["teacher fp32", "student fp32", "student int8"]
    sizes_mb = [row["size_mb"] for row in rows]
    assert sizes_mb == sorted(sizes_mb, reverse=True)
    assert rows[0]["parameters"] > rows[1]["parameters"] == rows[2]["parameters"]
    assert all(row["texts_per_second"] > 0 and row["tokens_per_second"] > row["texts_per_second"] for row in rows)
    assert [row["metric"] for row in rows] == [metric] * 3
    assert rows[2]["score"] == pytest.approx(manifest.graphs["int8"].metrics[metric])


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "give the teacher with --teacher"),
        (["--layers", "1"], "distillation.teacher: field required"),
        (["--teacher", "nowhere", "--weight", "2"], "distillation.weight: input should be less than or equal to 1"),
        (["--teacher", "nowhere"], "the teacher nowhere cannot be used"),
        (["--teacher", "nowhere", "--task", "fill-mask"], "the task must be classification or ner"),
    ],
    ids=str,
)
def test_a_student_that_cannot_be_made_is_one_sentence(arguments, sentence, sentiment, tmp_path):
    where = ["--data", str(sentiment), "--models", str(tmp_path / "models"), "--run-dir", str(tmp_path / "run")]
    with pytest.raises(SystemExit, match=f"roberta-train: .*{sentence}"):
        main(["distil", "--task", "classification", "--train", "train.jsonl", *where, *arguments])
    assert not (tmp_path / "models").exists()
