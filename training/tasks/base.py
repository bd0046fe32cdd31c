"""What a task is in training: its data, its head, its loss, its predictions, its scores, and what proves its graph.

`TrainingTask.serving` is the class in `app.tasks` that serves the same task. Every other module of training is handed a
task and calls it; none looks at which one it is.
"""

from __future__ import annotations

import random
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from datasets import Dataset
from torch import Tensor, nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import ModelOutput

from app.bundle import Manifest
from app.tasks.text import EncodedText, TextEncoder
from app.window import Floats, Ints, Window
from training.config import Recipe, RecipeError
from training.data import Labeling
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer, score_once
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.reading.base import Reading

ExampleT = TypeVar("ExampleT")
PredictionsT = TypeVar("PredictionsT")

Batch = Mapping[str, Tensor]  # what a collator makes: the model's inputs and the targets
Loss = Callable[[Any, Batch, "Tensor | int | None"], Tensor]  # (outputs of the model, batch, items in the whole step)
Collator = Callable[[list[dict[str, Any]]], Any]
FIRST_TOKEN = np.zeros(1, np.int64)


class TrainingTask(Reading[ExampleT], Generic[ExampleT, PredictionsT]):
    """One task. `ExampleT` is what a row of its data becomes; `PredictionsT` is what a model predicts for many of them.

    A checkpoint and a graph give their predictions in the same form, so that the same code scores both.
    """

    auto_model: ClassVar[Any]  # the class of transformers that loads a base with this task's head
    targets: ClassVar[tuple[str, ...]] = ("labels",)  # columns that the loss reads, and the model does not
    has_examples: ClassVar[bool] = True  # False: the task is not fine-tuned on labeled examples but pretrained on text

    # --- Model ------------------------------------------------------------------------------------------

    def base_settings(self, labeling: Labeling) -> dict[str, Any]:
        """Return what is set in a base's config: the names of the outputs, and the kind of classification."""
        return {
            "id2label": dict(enumerate(labeling.labels)),
            "label2id": {label: index for index, label in enumerate(labeling.labels)},
            "problem_type": labeling.problem_type,
        }

    def labeling_of(self, config: Mapping[str, Any]) -> Labeling:
        """Return what the outputs of a checkpoint stand for, by its config."""
        fields = self.serving.manifest_fields(dict(config))
        return Labeling(tuple(fields.get("labels", ())), fields.get("problem_type"))

    def labeling_for(self, examples: Sequence[ExampleT], labeling: Labeling) -> Labeling:
        """Return the labeling by which a checkpoint is scored on some examples."""
        return labeling

    def adapt(self, model: PreTrainedModel, source: str, settings: Mapping[str, Any]) -> None:
        """Give a checkpoint that was loaded from `source` what the task needs beside what transformers loads.

        `settings`: what the recipe says of it in `task_settings`. Raises `RecipeError` for settings that there are
        none of.
        """
        if settings:
            raise RecipeError(f"task_settings: {self.name} has none; leave them out")

    def task_settings(self, model: PreTrainedModel) -> dict[str, Any]:
        """Return what a bundle's manifest keeps for the task alone, of a model that was adapted."""
        return {}

    def longest(self, model: PreTrainedModel) -> int | None:
        """Return the most tokens of a text that the checkpoint is used with; None: as many as it has positions for."""
        return None

    def rebuild(self, model: PreTrainedModel, manifest: Manifest, dense: Sequence[nn.Sequential]) -> None:
        """Put behind a fresh encoder, in place of `adapt`, what a bundle has there; `dense`: the layers of its graph.

        Raises `UnsupportedModelError`.
        """

    def save_beside(self, model: PreTrainedModel, folder: Path) -> None:
        """Write beside a checkpoint what transformers does not write."""

    @abstractmethod
    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        """Return the checkpoint's head, and whether it reads rows of tokens or whole windows of the encoder."""

    # --- Training ---------------------------------------------------------------------------------------

    def as_read(self, examples: Sequence[ExampleT], model: PreTrainedModel) -> Sequence[ExampleT]:
        """Return examples as the model is to read them."""
        return examples

    @abstractmethod
    def features(
        self, examples: Sequence[ExampleT], labeling: Labeling, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Dataset:
        """Return a row for each example: the model's inputs, the targets, and `length` in tokens."""

    def config_of(self, rows: Dataset, max_length: int) -> dict[str, Any]:
        """Return what a trained checkpoint's config keeps of its features, for whoever serves it."""
        return {}

    def window_features(
        self, examples: Sequence[ExampleT], labeling: Labeling, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Dataset:
        """Return such a row for each window of an example, cut as the service cuts it. Raises `RecipeError`."""
        raise RecipeError(f"data.windows is not for {self.name}; leave it out")

    @abstractmethod
    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        """Return the function that makes a batch of rows."""

    @abstractmethod
    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        """Return the loss: summed over the batch, divided by the items of all accumulated batches and devices."""

    @abstractmethod
    def main_metric(self, labeling: Labeling) -> str:
        """Return the metric that chooses the best epoch, gates int8 and heads the report."""

    # --- Predictions ------------------------------------------------------------------------------------

    def request_body(self, examples: Sequence[ExampleT]) -> dict[str, Any]:
        """Return the body of the request by which the service would be asked about examples."""
        return {"inputs": [self.input_of(self.text_of(example)) for example in examples]}

    def input_of(self, text: str) -> Any:
        """Return an input of a request for a text, written as `text_of` writes it."""
        return text

    @abstractmethod
    def predict_checkpoint(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[ExampleT],
        max_length: int,
    ) -> PredictionsT:
        """Predict with PyTorch; a text is cut at `max_length` tokens."""

    def predict_windows(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[ExampleT],
        max_length: int,
    ) -> PredictionsT:
        """Predict with PyTorch as the service does: long texts whole, by windows. Raises `RecipeError`."""
        raise RecipeError(f"data.windows is not for {self.name}; leave it out")

    @abstractmethod
    def predict_graph(self, graph: ServedGraph, examples: Sequence[ExampleT]) -> PredictionsT:
        """Predict as the service does: long texts whole, by windows."""

    # --- Scores -----------------------------------------------------------------------------------------

    def fit_scoring(self, examples: Sequence[ExampleT], predictions: PredictionsT, labeling: Labeling) -> Scoring:
        """Fit on validation what turns logits into scores and decisions. By default nothing is fitted."""
        return Scoring()

    @abstractmethod
    def scorer(
        self, examples: Sequence[ExampleT], predictions: PredictionsT, labeling: Labeling, scoring: Scoring
    ) -> Scorer:
        """Return the scorer of the task's metrics, the main one among them; see `training.evaluation.bootstrap`."""

    def count(self, examples: Sequence[ExampleT], predictions: PredictionsT) -> int:
        """Return how many units the scorer weighs: the examples, unless a task says otherwise."""
        return len(examples)

    def score(
        self, examples: Sequence[ExampleT], predictions: PredictionsT, labeling: Labeling, scoring: Scoring
    ) -> dict[str, float]:
        """Return the metrics of predictions; nothing for no examples."""
        if not examples:
            return {}
        return score_once(self.scorer(examples, predictions, labeling, scoring), self.count(examples, predictions))

    def renderings(self, examples: Sequence[ExampleT]) -> Mapping[str, Sequence[ExampleT]]:
        """Return the same examples in other spellings, by suffix; the main metric of each is reported too."""
        return {}

    @abstractmethod
    def evaluate(
        self,
        examples: Sequence[ExampleT],
        predictions: PredictionsT,
        labeling: Labeling,
        scoring: Scoring,
        trial: Trial,
    ) -> Evaluation:
        """Return all that the report shows of predictions: scores, intervals, tables, curves, mistakes."""

    # --- Proof of a graph -------------------------------------------------------------------------------

    @abstractmethod
    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        """Return what a checkpoint answers to each of some windows of one length: (rows, width) float32."""

    def rows_to_verify(self, length: int) -> Ints:
        """Return the head rows by which a window of `length` tokens is verified."""
        return FIRST_TOKEN

    def calibration_window(self, text: EncodedText, encoder: TextEncoder, generator: np.random.Generator) -> Window:
        """Return the first window of a text as the service would run it, for int8's activation ranges."""
        return encoder.window(text.ids, text.pieces[0], FIRST_TOKEN)

    def probe_text(self, text: str, generator: random.Random) -> str | None:
        """Turn a text of the data into one to probe with; None where it cannot serve as one."""
        return text

    def probe_columns(self, outputs: Floats) -> list[int] | None:
        """Return the columns of (rows, width) that a probe stores; None for all of them."""
        return None

    @abstractmethod
    def summary(self, answer: Any) -> str:
        """Return one line of the model card for the service's answer to an example."""


def rows_of(columns: Mapping[str, object]) -> Dataset:
    """Make rows of columns, and add the column `length` by which batches are grouped."""
    rows = Dataset.from_dict(dict(columns))
    return rows.add_column("length", [len(ids) for ids in rows["input_ids"]])
