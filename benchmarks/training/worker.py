"""One measurement of `benchmarks.training`, in a process of its own: ARM SETTINGS_JSON; prints a line of JSON."""

from __future__ import annotations

import json
import logging
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoModelForMaskedLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    Trainer,
    TrainerCallback,
    TrainingArguments,
    default_data_collator,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from training.config import PretrainingConfig, Recipe
from training.data import Splits, read_documents
from training.evaluation.classification import evaluate_classification
from training.evaluation.fill_mask import evaluate_fill_mask
from training.evaluation.predict import torch_classifier, torch_mask_filler
from training.fit.finetune import peak_memory_mb
from training.fit.hardware import attention_implementation, tune_allocator
from training.fit.preparing import prepare
from training.fit.trainer import ScoredTrainer, training_arguments
from training.losses import exact_loss
from training.pretraining.blocks import pack_documents
from training.pretraining.masking import MaskingCollator
from training.pretraining.run import MaskedLanguageTrainer, masked_loss
from training.pretraining.run import training_arguments as pretraining_arguments
from training.tasks import training_task

WARM_UP_STEPS = 10  # unmeasured
LEARNING_RATE, MAX_LENGTH = 1e-4, 128
VALIDATION = 2000  # examples; 200 documents of text
Arm = Callable[[dict[str, str], Path], tuple[Trainer, Callable[[], float]]]


class Clock(TrainerCallback):
    """Notes when the warm-up and the last step ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.ends.append(time.perf_counter())

    def examples_per_s(self, batch_size: int) -> float:
        return (len(self.ends) - WARM_UP_STEPS) * batch_size / (self.ends[-1] - self.ends[WARM_UP_STEPS - 1])


def ours(settings: dict[str, str], folder: Path) -> tuple[Trainer, Callable[[], float]]:
    """The fine-tuning of this project, cut off after the given steps."""
    recipe, splits = sentiment(settings)
    tune_allocator()
    plan = prepare(recipe, splits, folder / "cache")
    trainer = ScoredTrainer(
        model=plan.model,
        args=bounded(training_arguments(recipe.training, recipe.seed, "accuracy", folder), settings),
        train_dataset=plan.rows,
        data_collator=plan.collator,
        loss=plan.loss,
        score=dict,
    )
    return trainer, lambda: accuracy(plan.model, plan.tokenizer, splits)


def glue(settings: dict[str, str], folder: Path) -> tuple[Trainer, Callable[[], float]]:
    """The same data and rates the way `run_glue.py` trains by default: every text padded to 128 tokens."""
    recipe, splits = sentiment(settings)
    tokenizer = AutoTokenizer.from_pretrained(recipe.base)
    model = AutoModelForSequenceClassification.from_pretrained(
        recipe.base, dtype=torch.float32, attn_implementation="sdpa", num_labels=len(splits.labeling.labels)
    )
    texts = [example.text for example in splits.train]
    encoded = dict(tokenizer(texts, truncation=True, max_length=MAX_LENGTH, padding="max_length"))
    ids = {label: number for number, label in enumerate(splits.labeling.labels)}
    rows = Dataset.from_dict(encoded | {"labels": [ids[example.labels[0]] for example in splits.train]})
    rates = recipe.training
    args = TrainingArguments(
        output_dir=str(folder),
        per_device_train_batch_size=rates.batch_size,
        learning_rate=rates.learning_rate,
        warmup_steps=rates.warmup_ratio,
        weight_decay=rates.weight_decay,
        adam_beta2=rates.adam_beta2,
        adam_epsilon=rates.adam_epsilon,
        seed=recipe.seed,
        report_to="none",
        dataloader_pin_memory=False,
    )
    trainer = Trainer(model, bounded(args, settings), default_data_collator, rows)
    return trainer, lambda: accuracy(model, tokenizer, splits)


def masked(settings: dict[str, str], folder: Path) -> tuple[Trainer, Callable[[], float]]:
    return masked_language_model(MaskedLanguageTrainer, settings, folder)


def everywhere(settings: dict[str, str], folder: Path) -> tuple[Trainer, Callable[[], float]]:
    return masked_language_model(ScoredTrainer, settings, folder)


def masked_language_model(
    kind: type[ScoredTrainer], settings: dict[str, str], folder: Path
) -> tuple[Trainer, Callable[[], float]]:
    """Continued pretraining on full sequences of 128 tokens; ``kind`` decides where logits are computed."""
    tune_allocator()
    tokenizer = AutoTokenizer.from_pretrained(settings["base"])
    model = AutoModelForMaskedLM.from_pretrained(
        settings["base"], dtype=torch.float32, attn_implementation=attention_implementation()
    )
    corpus = Path(settings["data"]) / "text"
    steps, batch_size = int(settings["steps"]), int(settings["batch_size"])
    rows = pack_documents(read_documents(corpus / "news.txt.gz", 20 * steps), tokenizer, MAX_LENGTH)
    config = PretrainingConfig(steps=steps, batch_size=batch_size, sequence_length=MAX_LENGTH, learning_rate=1e-4)
    trainer = kind(
        model=model,
        args=bounded(pretraining_arguments(config, int(settings["seed"]), folder), settings),
        train_dataset=rows,
        data_collator=MaskingCollator(tokenizer, config.masked_share),
        loss=masked_loss if kind is MaskedLanguageTrainer else exact_loss,
        score=dict,
    )
    documents = read_documents(corpus / "validation.txt.gz", VALIDATION // 10)
    fill = torch_mask_filler(model, tokenizer)
    return trainer, lambda: evaluate_fill_mask(documents, tokenizer, fill)["masked_accuracy"]


def sentiment(settings: dict[str, str]) -> tuple[Recipe, Splits]:
    """Return the recipe, with the rates of the shipped one, and its data."""
    data = {split: f"sentiment/{split}.jsonl" for split in ("train", "validation")} | {"test_share": 0.0}
    rates = {
        "learning_rate": LEARNING_RATE,
        "batch_size": int(settings["batch_size"]),
        "max_length": MAX_LENGTH,
        "attention_dropout": 0.0,
        "max_samples": max(int(settings["steps"]) * int(settings["batch_size"]), VALIDATION),
    }
    fields = {"name": "benchmark", "task": "classification", "base": settings["base"], "seed": int(settings["seed"])}
    recipe = Recipe.model_validate(fields | {"data": data, "training": rates})
    return recipe, training_task(recipe.task).read_splits(recipe, Path(settings["data"]))


def bounded(args: TrainingArguments, settings: dict[str, str]) -> TrainingArguments:
    """Stop after the given steps, without checkpoints, evaluations and logs in between."""
    args.max_steps = int(settings["steps"])
    for strategy in ("eval_strategy", "save_strategy", "logging_strategy"):
        setattr(args, strategy, "no")
    args.load_best_model_at_end = False
    args.metric_for_best_model = None
    return args


def accuracy(model: Any, tokenizer: Any, splits: Splits) -> float:
    some: Any = splits.validation[:VALIDATION]
    predict = torch_classifier(model, tokenizer, MAX_LENGTH)
    return evaluate_classification(some, splits.labeling.labels, predict)["accuracy"]


ARMS: dict[str, Arm] = {"ours": ours, "glue": glue, "masked": masked, "all": everywhere}


def main() -> None:
    arm, settings = sys.argv[1], json.loads(sys.argv[2])
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    transformers_logging.set_verbosity_error()
    set_seed(int(settings["seed"]))
    with tempfile.TemporaryDirectory() as folder:
        trainer, score = ARMS[arm](settings, Path(folder))
        clock = Clock()
        trainer.add_callback(clock)
        trainer.train()
        speed, memory = clock.examples_per_s(int(settings["batch_size"])), peak_memory_mb()
        result = {"examples_per_s": speed, "peak_memory_mb": memory, "score": score(), "cpu_s": time.process_time()}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
