"""Pretrains a masked language model: from a checkpoint, a transplant or nothing, to a checkpoint."""

from __future__ import annotations

import json
import logging
import random
import time
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForMaskedLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    TrainingArguments,
    set_seed,
)
from transformers.modeling_outputs import ModelOutput

from training.config import PretrainingConfig, PretrainRecipe, RecipeError
from training.data import DataError, read_documents
from training.data.fingerprint import fingerprint
from training.encoders import UnsupportedModelError, family_of, family_of_config, model_types
from training.encoders.loading import check_vocabulary, load_tokenizer, reason_of
from training.encoders.sources import find_source
from training.evaluation.fill_mask import evaluate_fill_mask
from training.evaluation.predict import torch_mask_filler
from training.export.restore import base_folder
from training.fit.bases import longest_input
from training.fit.checkpoints import disk_space
from training.fit.distributed import from_main, is_main_process, join_processes, wait_for_everyone
from training.fit.hardware import attention_implementation, tune_allocator
from training.fit.optimizer import step_arguments
from training.fit.runs import claim, quiet_libraries, save_run
from training.fit.trackers import trackers
from training.fit.trainer import ScoredTrainer, fit
from training.losses import IGNORED, exact_loss
from training.pretraining.blocks import pack_documents
from training.pretraining.masking import MaskingCollator
from training.pretraining.transplant import transplant
from training.pretraining.vocabulary import fresh_model, train_vocabulary
from training.progress import Phases
from training.trained import TrainedCheckpoint

log = logging.getLogger(__name__)

# The part of a recipe on which the weights depend.
WHAT_TRAINS = frozenset({"base", "transplant", "architecture", "seed", "data", "pretraining"})


def pretrain(recipe: PretrainRecipe, data_dir: Path, run_dir: Path, phases: Phases | None = None) -> TrainedCheckpoint:
    """Train what `recipe` says on files under `data_dir` and write the model to `run_dir`/checkpoint.

    A run that was cut off goes on from its last checkpoint when called again with the same recipe and folder;
    one that was finished is not repeated. Under `torchrun` every process calls this, and the main
    one writes. Raises `DataError` and `RecipeError` for what cannot be used, and `TrainingError` when the disk
    is full.
    """
    join_processes()
    phases = phases or Phases()
    with phases("read"):
        documents, validation = read_corpus(recipe, data_dir)
    data = {"train": fingerprint(documents), "validation": fingerprint(validation)}
    checkpoint = run_dir / "checkpoint"
    with disk_space(run_dir):
        if is_main_process():
            claim(run_dir, recipe, WHAT_TRAINS, data)
        if not from_main(checkpoint.exists()):
            with quiet_libraries():
                make(recipe, documents, validation, run_dir, phases)
        wait_for_everyone()
    seconds: float = json.loads((run_dir / "history.json").read_text(encoding="utf-8"))["seconds"]
    return TrainedCheckpoint(
        source=str(checkpoint),
        base=start_of(recipe),
        texts=documents,
        validation=validation,
        training=recipe.model_dump(mode="json", exclude={"card", "export"}),
        training_seconds=seconds,
        data_sha256=data,
    )


def start_of(recipe: PretrainRecipe) -> str:
    """Say what the training begins with."""
    if recipe.transplant:
        return f"{recipe.transplant.body} with the vocabulary of {recipe.transplant.tokenizer}"
    return recipe.base or "nothing"


def read_corpus(recipe: PretrainRecipe, data_dir: Path) -> tuple[list[str], list[str]]:
    """Read the documents of all training files, shuffled, and those of the validation file."""
    limits = zip_longest(recipe.data.train, recipe.data.max_documents[: len(recipe.data.train)], fillvalue=0)
    documents = [text for name, limit in limits for text in read_documents(data_dir / str(name), limit or None)]
    random.Random(recipe.seed).shuffle(documents)
    return documents, read_documents(data_dir / recipe.data.validation)


def start(recipe: PretrainRecipe, documents: Sequence[str]) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Make or load the model that training begins with, in float32."""
    if recipe.transplant:
        return transplant(recipe.transplant.body, recipe.transplant.tokenizer)
    if recipe.architecture:
        shape = recipe.architecture
        log.info("training a vocabulary of %d tokens on %d documents", shape.vocabulary_size, len(documents))
        tokenizer = train_vocabulary(documents, shape.vocabulary_size, shape.positions)
        return fresh_model(shape, tokenizer), tokenizer
    try:
        base = find_source(base_folder(str(recipe.base)), weights=False)
        config = AutoConfig.from_pretrained(base)
        if not family_of_config(config).can_be_pretrained:
            takes = ", ".join(model_types("can_be_pretrained"))
            raise UnsupportedModelError(f"its config is a {type(config).__name__}; pretraining takes {takes}")
        find_source(base)
        model = AutoModelForMaskedLM.from_pretrained(base, dtype=torch.float32, use_safetensors=True)
        tokenizer = load_tokenizer(base)
        check_vocabulary(tokenizer, model)
        tokenizer.model_max_length = longest_input(model, min(tokenizer.model_max_length, 512))
    except Exception as error:  # the Hub's client, safetensors and every config have errors of their own
        raise RecipeError(f"base {recipe.base} cannot be loaded: {reason_of(error)}") from error
    return model, tokenizer


def make(
    recipe: PretrainRecipe, documents: Sequence[str], validation: Sequence[str], run_dir: Path, phases: Phases
) -> None:
    """Train and save; the checkpoint appears under its name only when it is whole, its history beside it."""
    started = time.perf_counter()
    tune_allocator()
    set_seed(recipe.seed)
    with phases("start"):
        model, tokenizer = start(recipe, documents)
        configure(model, recipe.pretraining.dropout)
    with phases("tokenize"):
        rows = sequences(recipe, model, tokenizer, documents)
    with phases("train"):
        history = train_model(recipe, model, tokenizer, rows, validation, run_dir / "trainer")
    if is_main_process():
        save_run(run_dir, model, tokenizer, {"seconds": round(time.perf_counter() - started, 1), "log": history})


def configure(model: PreTrainedModel, dropout: float) -> None:
    """Set the attention that is fastest here, and this training's dropout; fine-tuning goes by the config's."""
    model.set_attn_implementation(attention_implementation())
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = dropout


def sequences(
    recipe: PretrainRecipe, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, documents: Sequence[str]
) -> Dataset:
    """Return the documents as rows of tokens, each as long as the recipe says. Raises `RecipeError` and `DataError`."""
    config = recipe.pretraining
    if longest_input(model, config.sequence_length) < config.sequence_length:
        raise RecipeError(f"pretraining.sequence_length {config.sequence_length} is more than the model has positions")
    try:
        rows = pack_documents(documents, tokenizer, config.sequence_length)
    except ValueError as error:
        raise DataError(f"{' and '.join(recipe.data.train)}: {error}") from error
    log.info("%d sequences of %d tokens", len(rows), config.sequence_length)
    return rows


def train_model(
    recipe: PretrainRecipe,
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Dataset,
    validation: Sequence[str],
    folder: Path,
) -> list[dict[str, float]]:
    config = recipe.pretraining
    trainer = MaskedLanguageTrainer(
        model=model,
        args=training_arguments(config, recipe.seed, folder),
        train_dataset=rows,
        data_collator=MaskingCollator(tokenizer, config.masked_share, whole_words=config.whole_words),
        loss=masked_loss,
        callbacks=trackers(config.report_to, folder.parent),
        score=lambda: evaluate_fill_mask(validation, tokenizer, torch_mask_filler(model, tokenizer)),
    )
    return fit(trainer, folder)


def training_arguments(config: PretrainingConfig, seed: int, folder: Path) -> TrainingArguments:
    """Translate a recipe's section into the Trainer's arguments."""
    return TrainingArguments(
        output_dir=str(folder.resolve()),
        max_steps=config.steps,
        learning_rate=config.learning_rate,
        eval_strategy="steps",
        eval_steps=config.evaluate_every,
        save_strategy="steps",
        save_steps=config.save_every,
        logging_steps=max(1, config.steps // 50),
        seed=seed,
        **step_arguments(config),
    )


class MaskedLanguageTrainer(ScoredTrainer):
    """Computes logits of the masked positions only: the loss reads no others."""

    def compute_loss(self, model: nn.Module, inputs: dict[str, Tensor], *args: Any, **kwargs: Any) -> Any:
        """Compute the loss as any Trainer does, with logits (M, vocabulary) of the M masked tokens."""
        masked = inputs["labels"] != IGNORED  # (B, S)
        whole = self.accelerator.unwrap_model(model)
        head = family_of(whole).language_head_entry(whole)
        hook = head.register_forward_pre_hook(lambda module, args: (args[0][masked],))  # (B, S, hidden) -> (M, hidden)
        try:
            return super().compute_loss(model, inputs, *args, **kwargs)
        finally:
            hook.remove()


def masked_loss(
    outputs: ModelOutput, batch: Mapping[str, Tensor], num_items_in_batch: Tensor | int | None = None
) -> Tensor:
    """Return the mean loss of the masked tokens of all accumulated batches; `outputs.logits`: (M, vocabulary)."""
    labels = batch["labels"]
    return exact_loss(outputs, {"labels": labels[labels != IGNORED]}, num_items_in_batch)
