"""A checkpoint in the shape in which it will be served, before any graph of it is verified."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import onnx
from onnx import ModelProto
from tokenizers import Tokenizer
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.bundle import Bundle, Graph, Manifest, Precision, read_json
from app.tasks.text import TextEncoder
from training.config import ExportConfig
from training.data import Labeling
from training.encoders import Encoder, check_vocabulary, family_of, load_checkpoint, load_tokenizer
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.tasks import task_of_config
from training.tasks.base import TrainingTask
from training.trained import TrainedCheckpoint

# The least drift of logits that the service must accept from another machine: CPUs add in another order, which
# int8 rounding enlarges; fp16 runs on CUDA alone, so that its drift cannot be measured on a CPU.
NONE: Mapping[str, Any] = {}
LEAST_TOLERANCE: dict[Precision, float] = {"fp32": 1e-3, "int8": 0.05, "fp16": 0.1}


@dataclass(frozen=True)
class Draft:
    """One bundle in the making, in a temporary folder that has its config and its tokenizer already."""

    checkpoint: TrainedCheckpoint
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    family: Encoder
    task: TrainingTask[Any, Any]
    labeling: Labeling
    manifest: Manifest
    folder: Path

    @property
    def bundle(self) -> Bundle:
        return Bundle(self.folder, self.manifest, read_json(self.folder / "config.json"))

    @cached_property
    def encoder(self) -> TextEncoder:
        return TextEncoder(self.folder / "tokenizer.json", self.manifest.max_length)

    def save(self, graph: ModelProto, precision: Precision) -> None:
        onnx.save(graph, self.folder / self.manifest.graphs[precision].file)

    def open(self, precision: Precision) -> Candidate:
        """Open a graph that was saved, and predict the validation split with it, once."""
        served, examples = ServedGraph(self.bundle, precision), self.checkpoint.validation
        if not examples:
            return Candidate(served, None, Scoring())
        predictions = self.task.predict_graph(served, examples)
        return Candidate(served, predictions, self.task.fit_scoring(examples, predictions, self.labeling))


@dataclass(frozen=True)
class Candidate:
    """A graph that may be published, its predictions on the validation split, and what was fitted on them."""

    served: ServedGraph
    validation: Any
    scoring: Scoring

    @property
    def precision(self) -> Precision:
        return self.served.precision


def load_model(source: str, settings: Mapping[str, Any] = NONE) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a checkpoint and its tokenizer; `settings`: those of its task.

    Raises `UnsupportedModelError` for what cannot be exported, `RecipeError` for settings that its task has not.
    """
    model = load_checkpoint(source)
    family_of(model)
    task_of_config({"architectures": [type(model).__name__]}).adapt(model, source, settings)
    tokenizer = load_tokenizer(source)
    check_vocabulary(tokenizer, model)
    return model, tokenizer


def describe(
    name: str,
    version: int,
    checkpoint: TrainedCheckpoint,
    loaded: tuple[PreTrainedModel, PreTrainedTokenizerBase],
    export: ExportConfig,
    folder: Path,
) -> Draft:
    """Write config and tokenizer into `folder`, and say what the bundle will be."""
    model, tokenizer = loaded
    family = family_of(model)
    config = write_config(model, folder)
    write_tokenizer(tokenizer, folder)
    task = task_of_config(config)
    fields = task.serving.manifest_fields(config)
    fields["task_settings"] = fields.get("task_settings", {}) | task.task_settings(model)
    manifest = Manifest(
        name=name,
        version=version,
        task=task.name,
        layout=family.layout,
        max_length=min(export.max_length, family.positions(model.config), task.longest(model) or export.max_length),
        position_offset=family.position_offset(model.config),
        local_attention=family.local_attention(model.config),
        graphs={p: Graph(file=f"model.{p}.onnx", tolerance=LEAST_TOLERANCE[p]) for p in precisions(export)},
        **fields,
    )
    examples = checkpoint.validation or checkpoint.test
    labeling = task.labeling_of(config)
    labeling = task.labeling_for(examples, labeling) if examples else labeling
    return Draft(checkpoint, model, tokenizer, family, task, labeling, manifest, folder)


def precisions(export: ExportConfig) -> Sequence[Precision]:
    """Return the graphs to make: those that are asked for, and fp32, with which the others are compared."""
    return ["fp32", *(p for p in export.precisions if p != "fp32")]


def write_tokenizer(tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write the fast tokenizer without truncation or padding, which are the service's to decide."""
    fast: Tokenizer = tokenizer.backend_tokenizer
    fast.no_truncation()
    fast.no_padding()
    fast.save(str(folder / "tokenizer.json"))


def write_config(model: PreTrainedModel, folder: Path) -> dict[str, Any]:
    """Write config.json, and return what a reader of it finds."""
    config = model.config.to_dict() | {"architectures": [type(model).__name__]}
    if (labels := getattr(model.config, "id2label", None)) is not None:  # transformers leaves its default names out
        config["id2label"] = {str(number): str(label) for number, label in labels.items()}
    config.pop("_name_or_path", None)
    (folder / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return read_json(folder / "config.json")
