"""Fine-tunes a checkpoint on labelled text: from a recipe to a folder with the best epoch's weights."""

import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import (
    AutoModelForMaskedLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    set_seed,
)
from transformers.utils import logging as transformers_logging

from training.config import Recipe, RecipeError
from training.data import ClassificationExample, DataError, NerExample, read_documents
from training.evaluate import MAIN_METRIC
from training.problems import PROBLEMS, Split
from training.trainer import train

Examples = list[ClassificationExample] | list[NerExample] | list[str]


@dataclass(frozen=True)
class FinetuneResult:
    """A trained checkpoint and the data that exporting it needs.

    ``checkpoint``: a folder with model.safetensors (fp32), config.json and the tokenizer.
    ``labels``: names of the logits in order; empty for fill-mask.
    ``train_texts``: raw training texts, for calibration. ``validation`` and ``test``: examples of the task
    (documents for fill-mask), empty for a split without a file; NER's are rendered with natural spacing.
    ``seconds``: wall time of the call that made the checkpoint.
    """

    checkpoint: Path
    labels: tuple[str, ...]
    train_texts: list[str]
    validation: Examples
    test: Examples
    seconds: float


@dataclass(frozen=True)
class Splits:
    """The examples in a recipe's files and the labels of the training split."""

    train: Examples
    validation: Examples
    test: Examples
    labels: tuple[str, ...]


def finetune(recipe: Recipe, data_dir: Path, run_dir: Path) -> FinetuneResult:
    """Train what ``recipe`` says on files under ``data_dir``; write the best epoch to ``run_dir``/checkpoint.

    A run that was cut off goes on from its last epoch when called again with the same recipe and folder; one
    that was finished is not repeated. A fill-mask recipe is not trained: its base is written out as it is.
    Raises ``DataError`` for unusable data and ``RecipeError`` for a recipe that cannot be run or that differs
    from the one whose run ``run_dir`` holds.
    """
    splits = read_splits(recipe, data_dir)
    _claim(run_dir, recipe)
    checkpoint = run_dir / "checkpoint"
    if not checkpoint.exists():
        with _quiet():
            _make(recipe, splits, run_dir, checkpoint)
    seconds: float = json.loads((run_dir / "history.json").read_text(encoding="utf-8"))["seconds"]
    texts = [each if isinstance(each, str) else each.text for each in splits.train]
    return FinetuneResult(checkpoint, splits.labels, texts, splits.validation, splits.test, seconds)


def read_splits(recipe: Recipe, data_dir: Path) -> Splits:
    """Read the recipe's files; raises ``DataError`` when one is unusable or has a label that train lacks."""
    train, validation = _read(recipe, data_dir, "train"), _read(recipe, data_dir, "validation")
    test = _read(recipe, data_dir, "test") if recipe.data.test else []
    if recipe.task == "fill-mask":
        return Splits(train, validation, test, ())
    name_labels = PROBLEMS[recipe.task].labels
    labels = name_labels(train)
    for file, examples in ((recipe.data.validation, validation), (recipe.data.test, test)):
        if unseen := sorted(set(name_labels(examples)) - set(labels)):
            raise DataError(f"{file}: label {unseen[0]!r} does not occur in {recipe.data.train}.")
    return Splits(train, validation, test, labels)


def load_base(recipe: Recipe, splits: Splits) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load the recipe's base in fp32 with a head for its labels; raises ``RecipeError`` when it cannot be."""
    settings: dict[str, object] = {"dtype": torch.float32}
    auto_model = AutoModelForMaskedLM
    if recipe.task != "fill-mask":
        problem = PROBLEMS[recipe.task]
        auto_model = problem.auto_model
        settings["id2label"] = dict(enumerate(splits.labels))
        settings["label2id"] = {label: index for index, label in enumerate(splits.labels)}
        settings["problem_type"] = problem.problem_type(splits.train)
        if recipe.training.attention_dropout is not None:
            settings["attention_probs_dropout_prob"] = recipe.training.attention_dropout
    try:
        model = auto_model.from_pretrained(recipe.base, **settings)
        tokenizer = AutoTokenizer.from_pretrained(recipe.base)
    except (OSError, ValueError) as exc:
        reason = str(exc).splitlines()[0]
        raise RecipeError(f"base {recipe.base} cannot be loaded for {recipe.task}: {reason}") from exc
    if not tokenizer.is_fast:
        raise RecipeError(f"base {recipe.base} has no fast tokenizer (tokenizer.json).")
    tokenizer.model_max_length = min(tokenizer.model_max_length, 512)  # 1e30 where the base does not say
    return model, tokenizer


def _make(recipe: Recipe, splits: Splits, run_dir: Path, checkpoint: Path) -> None:
    """Train and save; the checkpoint appears under its name only when it is whole, its history beside it."""
    started = time.perf_counter()
    set_seed(recipe.seed)
    model, tokenizer = load_base(recipe, splits)
    is_trained = recipe.task != "fill-mask"
    log = _train(recipe, splits, model, tokenizer, run_dir / "trainer") if is_trained else []
    history = {"seconds": round(time.perf_counter() - started, 1), "log": log}
    (run_dir / "history.json").write_text(json.dumps(history, indent=1) + "\n", encoding="utf-8")
    unfinished = run_dir / "checkpoint.unfinished"
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(checkpoint)
    shutil.rmtree(run_dir / "trainer", ignore_errors=True)


def _train(
    recipe: Recipe, splits: Splits, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path
) -> list[dict[str, float]]:
    problem = PROBLEMS[recipe.task]
    length = recipe.training.max_length
    return train(
        model,
        rows=problem.features(splits.train, splits.labels, tokenizer, length),
        collator=problem.collator(tokenizer),
        score=lambda: problem.score(model, tokenizer, splits.validation, splits.labels, length),
        metric=MAIN_METRIC[recipe.task],
        training=recipe.training,
        seed=recipe.seed,
        folder=folder,
    )


def _read(recipe: Recipe, data_dir: Path, split: Split) -> Examples:
    name: str | None = getattr(recipe.data, split)
    if name is None:
        raise RecipeError(f"data.{split} names no file; the recipe {recipe.name} needs one.")
    if recipe.task == "fill-mask":
        return read_documents(data_dir / name, recipe.training.max_samples)
    examples: Examples = PROBLEMS[recipe.task].read(recipe, data_dir / name, split)
    return examples


def _claim(run_dir: Path, recipe: Recipe) -> None:
    """Store the recipe in the folder, or make sure that the one stored there describes the same training."""
    stored = run_dir / "recipe.json"
    if stored.exists():
        before = Recipe.model_validate_json(stored.read_text(encoding="utf-8"))
        if _what_trains(before) != _what_trains(recipe):
            raise RecipeError(f"{run_dir} holds a run of another recipe; name another folder or delete it.")
    run_dir.mkdir(parents=True, exist_ok=True)
    stored.write_text(recipe.model_dump_json(indent=1) + "\n", encoding="utf-8")


def _what_trains(recipe: Recipe) -> dict[str, object]:
    """Return the part of a recipe on which the weights depend; a folder is the same by any path."""
    base = Path(recipe.base).resolve() if Path(recipe.base).is_dir() else recipe.base
    return recipe.model_dump(include={"task", "seed", "data", "training"}) | {"base": base}


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence remarks on new head weights, which fine-tuning is about, and bars for files read and written.

    The Trainer's own bar stays.
    """
    verbosity, bars = transformers_logging.get_verbosity(), transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
