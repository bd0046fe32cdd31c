"""What can be evaluated: each served graph of a bundle, or a checkpoint, with all that its report says of it."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from transformers import PreTrainedModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from app.bundle import (
    MANIFEST,
    Bundle,
    BundleError,
    Precision,
    labels_of,
    problem_type_of,
    read_bundle,
    read_json,
    task_of,
)
from app.runtime.session import SessionError
from app.tasks.fill_mask import mask_token_of
from app.tasks.text import TextEncoder
from training.config import EvaluationConfig, ProblemType, RecipeError, Task
from training.encoders import UnsupportedModelError, family_of
from training.encoders.loading import check_vocabulary, load_checkpoint, load_tokenizer, reason_of
from training.evaluation import Evaluation, evaluate, torch_predictor
from training.evaluation.score import Examples, evaluate_graph
from training.evaluation.served import ServedGraph

log = logging.getLogger(__name__)


class Evaluate(Protocol):
    """Scores every variant on examples of a split."""

    def __call__(self, examples: Examples, split: str, config: EvaluationConfig, seed: int, /) -> list[Evaluation]: ...


@dataclass(frozen=True)
class Subject:
    """A model to evaluate, its labels in order, and what is known of how it was made."""

    title: str
    task: Task
    labels: tuple[str, ...]
    problem_type: ProblemType | None
    evaluate: Evaluate
    about: dict[str, object] = field(default_factory=dict)
    recipe: dict[str, Any] | None = None
    history: dict[str, Any] | None = None


def is_bundle(folder: Path) -> bool:
    """Return whether a folder holds a manifest or ONNX graphs, rather than a checkpoint."""
    return (folder / MANIFEST).is_file() or any(folder.glob("model*.onnx")) or any(folder.glob("onnx/model*.onnx"))


def bundle_subject(folder: Path, precisions: Sequence[Precision] | None = None) -> Subject:
    """Return the graphs of a bundle, by default all that a CPU runs; raises `RecipeError` when it has no such."""
    bundle = read(folder)
    manifest = bundle.manifest
    if missing := [each for each in precisions or () if each not in manifest.graphs]:
        raise RecipeError(f"{folder}: has no {missing[0]} graph, only {', '.join(manifest.graphs)}")
    chosen = list(precisions or manifest.graphs)
    if "fp16" in chosen and not precisions:
        log.warning("fp16 needs CUDA and is not scored here")
        chosen.remove("fp16")
    tokenizer = bundle_tokenizer(bundle)

    def score(examples: Examples, split: str, config: EvaluationConfig, seed: int) -> list[Evaluation]:
        evaluations = []
        for precision in chosen:
            log.info("scoring %s on %d examples", precision, len(examples))
            try:
                graph = ServedGraph(bundle, precision)
            except SessionError as error:
                raise RecipeError(f"{folder}: the {precision} graph does not run here: {error}") from error
            evaluations.append(
                evaluate_graph(graph, examples, tokenizer, variant=precision, split=split, config=config, seed=seed)
            )
        return evaluations

    sources = manifest.provenance.get("data") or ()
    return Subject(
        f"{manifest.name}:{manifest.version}",
        manifest.task,
        tuple(manifest.labels),
        manifest.problem_type,
        score,
        about={
            "trained from": manifest.provenance.get("base", "unknown"),
            "trained on": "; ".join(sources) or "unknown",
        },
        recipe=manifest.provenance.get("training"),
    )


def checkpoint_subject(source: str) -> Subject:
    """Return a checkpoint, in fp32; raises `UnsupportedModelError` or `RecipeError` when it cannot be used."""
    model = load_checkpoint(source)
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    config["id2label"] = {str(key): label for key, label in (config.get("id2label") or {}).items()}
    try:
        tokenizer = load_tokenizer(source)
        check_vocabulary(tokenizer, model)
        task = task_of(config)
    except (UnsupportedModelError, BundleError) as error:
        raise RecipeError(f"{source}: cannot be evaluated: {reason_of(error)}") from error
    labels = () if task == "fill-mask" else tuple(labels_of(config))
    problem_type = problem_type_of(config) if task == "text-classification" else None
    length = min(512, family_of(model).positions(model.config))

    def score(examples: Examples, split: str, evaluation: EvaluationConfig, seed: int) -> list[Evaluation]:
        return [
            checkpoint_evaluation(
                model,
                tokenizer,
                examples,
                task,
                labels,
                problem_type,
                length,
                split=split,
                config=evaluation,
                seed=seed,
            )
        ]

    run = Path(source).parent
    return Subject(
        Path(source).name if Path(source).is_dir() else source,
        task,
        labels,
        problem_type,
        score,
        recipe=json_beside(run / "recipe.json"),
        history=json_beside(run / "history.json"),
    )


def checkpoint_evaluation(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Examples,
    task: Task,
    labels: Sequence[str],
    problem_type: ProblemType | None,
    max_length: int,
    *,
    split: str,
    variant: str = "checkpoint fp32",
    temperature: float = 1.0,
    thresholds: Sequence[float] | None = None,
    config: EvaluationConfig | None = None,
    seed: int = 0,
) -> Evaluation:
    """Return the whole evaluation of a PyTorch model; a text is cut at `max_length` tokens."""
    predict = torch_predictor(model, tokenizer, task, max_length)
    return evaluate(
        task,
        examples,
        labels,
        predict,
        variant=variant,
        split=split,
        problem_type=problem_type,
        temperature=temperature,
        thresholds=thresholds,
        tokenizer=tokenizer,
        config=config,
        seed=seed,
    )


def bundle_tokenizer(bundle: Bundle) -> PreTrainedTokenizerBase:
    """Return the bundle's tokenizer as transformers has it, which knows what its special tokens are for."""
    encoder = TextEncoder(bundle.tokenizer_file, bundle.manifest.max_length)
    special = encoder.special
    tokens = {
        "cls_token": encoder.tokenizer.id_to_token(special.prefix[0]),
        "sep_token": encoder.tokenizer.id_to_token(special.suffix[-1]),
    }
    if bundle.manifest.task == "fill-mask":
        tokens["mask_token"] = mask_token_of(encoder)[0]
    length = bundle.manifest.max_length
    return PreTrainedTokenizerFast(tokenizer_file=str(bundle.tokenizer_file), model_max_length=length, **tokens)


def read(folder: Path) -> Bundle:
    """Read a bundle wherever it lies: its name and version are those of its manifest."""
    try:
        if (folder / MANIFEST).is_file():
            manifest = read_json(folder / MANIFEST)
            return read_bundle(folder, name=str(manifest.get("name")), version=int(manifest.get("version", 1)))
        return read_bundle(folder, name="model", version=1)
    except (BundleError, ValueError) as error:
        raise RecipeError(f"{folder}: {str(error).rstrip('.')}") from error


def json_beside(path: Path) -> dict[str, Any] | None:
    """Read what a run left beside its checkpoint, if it did."""
    if not path.is_file():
        return None
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content
