"""Text classification: one label of several, any number of them, or a number, of texts and pairs of texts."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForSequenceClassification,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import ModelOutput

from app.bundle import ProblemType
from app.tasks.classify import Classify
from app.window import Floats, Window
from training.config import Recipe
from training.data import ClassificationExample, Labeling
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer
from training.evaluation.calibration import calibration_errors, fit_scoring
from training.evaluation.classification import decide, label_matrix, label_scorer, scores_of
from training.evaluation.classification_details import classification_details
from training.evaluation.predict import torch_classifier
from training.evaluation.protocols import FloatArray
from training.evaluation.record import Evaluation, Trial
from training.evaluation.regression import regression_scorer, targets_of
from training.evaluation.regression_details import regression_details
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.evaluation.windows import WindowCutter, classify_windows
from training.losses import class_weights, exact_loss
from training.reading.classify import ClassifyReading, kind_of
from training.tasks.base import Collator, Loss, TrainingTask, rows_of

MAIN_METRICS: dict[ProblemType, str] = {
    "single_label_classification": "accuracy",
    "multi_label_classification": "macro_f1",
    "regression": "pearson",
}


class ClassifyTraining(ClassifyReading, TrainingTask[ClassificationExample, FloatArray]):
    """Predictions are logits (N, C) in the order of the labels."""

    auto_model = AutoModelForSequenceClassification

    # --- Model and training -----------------------------------------------------------------------------

    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        return encoder.sequence_head(model)

    def features(
        self,
        examples: Sequence[ClassificationExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """`labels` is a class id, a float per class (multi-label) or a float (regression)."""
        texts = [example.text for example in examples]
        pairs = [example.text_pair for example in examples] if examples[0].text_pair is not None else None
        encoded = dict(tokenizer(texts, pairs, truncation=True, max_length=max_length))
        return rows_of(encoded | {"labels": targets_for(examples, labeling)})

    def window_features(
        self,
        examples: Sequence[ClassificationExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """Each window has the target of its text."""
        cut = WindowCutter(tokenizer, max_length).windows([each.model_input for each in examples])
        pairs = zip(cut, targets_for(examples, labeling), strict=True)
        rows = [window | {"labels": target} for windows, target in pairs for window in windows]
        return rows_of({name: [row[name] for row in rows] for name in rows[0]})

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        collate: Collator = DataCollatorWithPadding(tokenizer)
        return collate

    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        weights = class_weights(recipe.training, labeling, rows["labels"])
        return partial(exact_loss, label_smoothing=recipe.training.label_smoothing, weights=weights)

    def main_metric(self, labeling: Labeling) -> str:
        return MAIN_METRICS[kind_of(labeling)]

    # --- Predictions and scores -------------------------------------------------------------------------

    def request_body(self, examples: Sequence[ClassificationExample]) -> dict[str, Any]:
        pairs = [(each.text, each.text_pair) for each in examples]
        return {"inputs": [one if other is None else {"text": one, "text_pair": other} for one, other in pairs]}

    def predict_checkpoint(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[ClassificationExample],
        max_length: int,
    ) -> FloatArray:
        return np.stack(torch_classifier(model, tokenizer, max_length)([each.model_input for each in examples]))

    def predict_windows(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[ClassificationExample],
        max_length: int,
    ) -> FloatArray:
        return np.stack(classify_windows(model, tokenizer, [each.model_input for each in examples], max_length))

    def predict_graph(self, graph: ServedGraph, examples: Sequence[ClassificationExample]) -> FloatArray:
        task: Classify = graph.task
        encoded = graph.encode(self.request_body(examples))
        rows = iter(graph.run(encoded.windows))
        pooled = [task.pool(np.concatenate([next(rows) for _ in lengths]), lengths) for lengths in encoded.state]
        return np.stack(pooled)

    def fit_scoring(
        self, examples: Sequence[ClassificationExample], predictions: FloatArray, labeling: Labeling
    ) -> Scoring:
        if not examples or kind_of(labeling) == "regression":
            return Scoring()
        return fit_scoring(predictions, label_matrix(examples, labeling.labels), labeling)

    def scorer(
        self,
        examples: Sequence[ClassificationExample],
        predictions: FloatArray,
        labeling: Labeling,
        scoring: Scoring,
    ) -> Scorer:
        kind = kind_of(labeling)
        if kind == "regression":
            return regression_scorer(targets_of(examples), predictions[:, 0].astype(np.float64))
        scores = scores_of(predictions, kind, scoring.temperature)
        guess = decide(scores, kind, scoring.thresholds_of(labeling.labels))
        return label_scorer(label_matrix(examples, labeling.labels), guess, kind)

    def score(
        self,
        examples: Sequence[ClassificationExample],
        predictions: FloatArray,
        labeling: Labeling,
        scoring: Scoring,
    ) -> dict[str, float]:
        """Beside the metrics, return the calibration errors before and after the temperature."""
        metrics = super().score(examples, predictions, labeling, scoring)
        if not examples or kind_of(labeling) == "regression":
            return metrics
        truth = label_matrix(examples, labeling.labels)
        return metrics | calibration_errors(predictions, truth, labeling, scoring.temperature)

    def evaluate(
        self,
        examples: Sequence[ClassificationExample],
        predictions: FloatArray,
        labeling: Labeling,
        scoring: Scoring,
        trial: Trial,
    ) -> Evaluation:
        if kind_of(labeling) == "regression":
            return regression_details(examples, predictions, labeling, trial)
        return classification_details(examples, predictions, labeling, scoring, trial)

    # --- Proof of a graph -------------------------------------------------------------------------------

    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        logits: Floats = outputs.logits.float().numpy()  # (B, C)
        return [row[None] for row in logits]

    def summary(self, answer: Any) -> str:
        labels = answer[0][:5]
        return ", ".join(f"{item['label'].strip()} {item['score']:.2f}" for item in labels) or "nothing"


def targets_for(examples: Sequence[ClassificationExample], labeling: Labeling) -> list[object]:
    if kind_of(labeling) == "regression":
        return [float(example.target) for example in examples if example.target is not None]
    matrix = label_matrix(examples, labeling.labels)  # (N, C)
    is_multi_label = kind_of(labeling) == "multi_label_classification"
    targets = matrix.astype(float) if is_multi_label else matrix.argmax(axis=1)
    listed: list[object] = targets.tolist()
    return listed
