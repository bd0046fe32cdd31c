"""Batches, gradients, learning rates, checkpoints: what the Trainer does beyond transformers' own."""

import logging
import random

import pytest
import torch
from transformers import (
    DataCollatorWithPadding,
    RobertaForSequenceClassification,
    TrainerCallback,
)

from tests.support.learnable import recipe_of
from training.config import TrainingConfig
from training.data import ClassificationExample, Labeling
from training.fit.finetune import finetune
from training.fit.optimizer import default_learning_rate, parameter_groups
from training.fit.progress import note, summary
from training.fit.sampling import LengthGroupedSampler, SeededCollator, generator, group_by_length
from training.fit.trainer import ScoredTrainer, training_arguments
from training.losses import exact_loss
from training.tasks.classify import ClassifyTraining

TEXTS = ["a good film", "a bad and awful film , cold and dull", "Ada", "the café", "warm", "great", "dull", "cold"]


@pytest.fixture
def rows(tokenizer):
    examples = [ClassificationExample(text, (label,)) for text, label in zip(TEXTS, "npnpnnpn", strict=True)]
    return ClassifyTraining().features(examples, Labeling(("n", "p")), tokenizer, 32)


@pytest.fixture
def model(tiny_config):
    torch.manual_seed(0)
    changes = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    return RobertaForSequenceClassification(type(tiny_config)(**tiny_config.to_dict() | changes)).train()


def gradients_of(model):
    return {name: tensor.grad.clone() for name, tensor in model.named_parameters() if tensor.grad is not None}


@pytest.mark.parametrize("accumulation", [1, 4])
def test_accumulated_gradients_are_those_of_one_batch(accumulation, rows, model, tokenizer, tmp_path):
    collator = DataCollatorWithPadding(tokenizer)
    batch = collator(rows.remove_columns("length").to_list())
    labels = batch.pop("labels")
    torch.nn.functional.cross_entropy(model(**batch).logits, labels).backward()
    expected = gradients_of(model)
    model.zero_grad()

    seen = []

    class Catch(TrainerCallback):
        def on_pre_optimizer_step(self, args, state, control, model, **kwargs):
            seen.append(gradients_of(model))

    sizes = {"batch_size": 8 // accumulation, "gradient_accumulation": accumulation}
    settings = TrainingConfig(epochs=1, max_grad_norm=0, mixed_precision="no", **sizes)
    ScoredTrainer(
        model=model,
        args=training_arguments(settings, 0, "accuracy", tmp_path),
        train_dataset=rows,
        data_collator=collator,
        loss=exact_loss,
        score=lambda: {"accuracy": 0.0},
        callbacks=[Catch()],
    ).train()
    [actual] = seen
    torch.testing.assert_close(actual, expected, atol=1e-6, rtol=1e-4)


def test_lower_layers_learn_more_slowly(model):
    rates = rates_of(model, parameter_groups(model, 1.0, 0.1, 0.5))
    assert {rate for name, rate in rates.items() if name.startswith("classifier")} == {1.0}
    assert {rate for name, rate in rates.items() if "layer.1." in name} == {0.5}
    assert {rate for name, rate in rates.items() if "layer.0." in name} == {0.25}
    assert {rate for name, rate in rates.items() if "embeddings" in name} == {0.125}


def test_biases_and_norms_are_not_decayed(model):
    groups = parameter_groups(model, 1.0, 0.1, 1.0)
    assert [(group["lr"], group["weight_decay"]) for group in groups] == [(1.0, 0.0), (1.0, 0.1)]
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    free, decayed = ({names[id(parameter)] for parameter in group["params"]} for group in groups)
    assert free | decayed == set(names.values())
    assert free == {name for name in names.values() if name.endswith("bias") or "LayerNorm" in name}


def rates_of(model, groups):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(parameter)]: group["lr"] for group in groups for parameter in group["params"]}


def test_the_trainer_uses_the_groups(rows, model, tokenizer, tmp_path):
    settings = TrainingConfig(layer_decay=0.5, learning_rate=1e-3, mixed_precision="no")
    trainer = ScoredTrainer(
        model=model,
        args=training_arguments(settings, 0, "accuracy", tmp_path),
        train_dataset=rows,
        data_collator=DataCollatorWithPadding(tokenizer),
        loss=exact_loss,
        score=dict,
        layer_decay=settings.layer_decay,
    )
    optimizer = trainer.create_optimizer()
    assert {group["lr"] for group in optimizer.param_groups} == {1e-3, 5e-4, 2.5e-4, 1.25e-4}
    assert all(group["fused"] and group["betas"] == (0.9, 0.98) for group in optimizer.param_groups)


def test_batches_hold_all_texts_once_and_similar_lengths_together():
    rng = random.Random(0)
    lengths = [rng.randint(1, 100) for _ in range(1003)]
    order = group_by_length(lengths, 16, generator(0, 0))
    assert sorted(order) == list(range(1003))
    batches = [[lengths[i] for i in order[start : start + 16]] for start in range(0, 1003, 16)]
    spreads = [max(batch) - min(batch) for batch in batches[:-1]]
    assert sum(spreads) / len(spreads) < 8  # of 100; at random it would be about 88
    assert len(batches[-1]) == 1003 % 16
    longest = [max(batch) for batch in batches[:-1]]
    assert longest not in (sorted(longest), sorted(longest, reverse=True))


def test_the_order_depends_on_seed_and_epoch_alone():
    def order(seed, epoch):
        sampler = LengthGroupedSampler(list(range(100)), 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    torch.manual_seed(1)
    first = order(0, 0)
    torch.manual_seed(2)
    assert order(0, 0) == first
    assert order(0, 1) != first
    assert order(1, 0) != first


def test_what_a_collator_draws_depends_on_the_batch_alone():
    def draw(epoch, index):
        sampler = LengthGroupedSampler([1, 1, 1], 1, 0)
        sampler.set_epoch(epoch)
        return SeededCollator(lambda rows: torch.rand(1).item(), sampler)([(index, {})])

    torch.manual_seed(0)
    before = torch.get_rng_state()
    assert draw(0, 0) == draw(0, 0)
    assert len({draw(epoch, index) for epoch in (0, 1) for index in (0, 1, 2)}) == 6
    assert torch.equal(torch.get_rng_state(), before)


# --- What a person sees ----------------------------------------------------------------------------------


def test_each_evaluation_is_a_line(tiny_base, data_dir, tmp_path, caplog, capsys):
    caplog.set_level(logging.INFO)
    finetune(recipe_of("single", tiny_base, epochs=2), data_dir, tmp_path)
    lines = [message for message in caplog.messages if message.startswith("epoch ")]
    assert len(lines) == 2
    assert lines[1].startswith("epoch 2: loss ")
    assert ", accuracy " in lines[1]
    captured = capsys.readouterr()
    assert "{" not in captured.out + captured.err  # the Trainer prints its log as dicts


def test_the_words_beside_the_bar():
    assert note(0.31234, "eval_accuracy", None) == "loss 0.3123"
    assert note(0.31234, "eval_accuracy", 0.9) == "loss 0.3123, best accuracy 0.9"
    assert summary(1.5, None, {"eval_f1": 0.25, "epoch": 1.5}) == "epoch 1.5: f1 0.25"


@pytest.mark.parametrize(("parameters", "rate"), [(125_000_000, 2e-5), (82_000_000, 5e-5), (30_000_000, 1e-4)])
def test_the_learning_rate_follows_the_size_where_none_is_given(parameters, rate):
    weights = torch.empty(parameters, device="meta")
    assert default_learning_rate(torch.nn.ParameterList([torch.nn.Parameter(weights)])) == rate
