"""Text classification: one label of several, any number of them, or a number, of texts and pairs of texts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
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
from training.config import DataConfig, Recipe
from training.data import (
    ClassificationExample,
    Convention,
    DataError,
    Item,
    LabeledText,
    Labeling,
    Part,
    Source,
    Splits,
    choose_problem_type,
    find_problem_type,
    label_names,
    label_remarks,
    label_values,
    labeled_texts,
    raw_labels,
    read_labeled_texts,
    sample,
    say,
    to_example,
)
from training.data.parts import complete, train_source
from training.data.splits import refuse_too_few, refuse_unknown, refuse_unseen
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
from training.tasks.base import Collator, Loss, TrainingTask, rows_of

LEAST_LABELS: dict[ProblemType, int] = {
    "single_label_classification": 2,
    "multi_label_classification": 1,
    "regression": 0,
}
MAIN_METRICS: dict[ProblemType, str] = {
    "single_label_classification": "accuracy",
    "multi_label_classification": "macro_f1",
    "regression": "pearson",
}


class ClassifyTraining(TrainingTask[ClassificationExample, FloatArray]):
    """Predictions are logits (N, C) in the order of the labels."""

    serving = Classify
    auto_model = AutoModelForSequenceClassification

    # --- Data -------------------------------------------------------------------------------------------

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        data = recipe.data
        source = train_source(recipe, data_dir)
        train = read_labeled_texts(source, data, recipe.problem_type)
        kind = choose_problem_type([row.label for row in train], data.label_separator, recipe.problem_type)
        say(label_remarks(spelled(train, data), are_numbers=kind == "regression"))

        def strata(row: LabeledText) -> Sequence[str]:
            return () if kind == "regression" else label_values(row.label, data.label_separator)

        read = partial(read_labeled_texts, data=data, problem_type=kind)
        rows = complete(recipe, data_dir, train, read, lambda row: row.words, strata)
        examples = rows.map(lambda row: to_example(row, kind, data))
        if kind == "regression":
            return Splits(examples.train, examples.validation, examples.test, Labeling((train[0].column,), kind))
        labels = label_names(examples.train)
        refuse_too_few(source, labels, LEAST_LABELS[kind])
        for part, found in ((rows.validation, examples.validation), (rows.test, examples.test)):
            placed = ((row.where, each.labels) for row, each in zip(part, found, strict=True))
            refuse_unseen(placed, labels, source)
        return Splits(examples.train, examples.validation, examples.test, Labeling(labels, kind))

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[ClassificationExample]:
        kind = kind_of(labeling)
        everything = read_labeled_texts(source, data, kind)
        found = sample(everything, limit, seed, lambda row: label_values(row.label, data.label_separator))
        examples = [to_example(each, kind, data) for each in found]
        placed = ((row.where, each.labels) for row, each in zip(found, examples, strict=True))
        refuse_unknown(placed, labeling.labels)
        return examples

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        data = recipe.data
        found = labeled_texts(source, data, part.refused.append, convention.problem_type)
        kind = convention.problem_type
        if kind is None:
            kind, _ = find_problem_type([each.label for each in found], data.label_separator)
            convention.problem_type = kind
        part.least_labels, part.are_numbers = LEAST_LABELS[kind], kind == "regression"
        part.spelled.update(spelled(found, data))
        for each in found:
            try:
                example = to_example(each, kind, data)
            except DataError as error:
                part.refused.append(error)
                continue
            answer = tuple(sorted(example.labels)) if example.target is None else (str(example.target),)
            yield Item(each.where, each.text, example.labels, answer, each.text_pair, example.target)

    def text_of(self, example: ClassificationExample) -> str:
        return example.text

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


def spelled(found: Sequence[LabeledText], data: DataConfig) -> Counter[str]:
    return Counter(label for row in found for label in raw_labels(row.label, data.label_separator))


def kind_of(labeling: Labeling) -> ProblemType:
    return labeling.problem_type or "single_label_classification"


def targets_for(examples: Sequence[ClassificationExample], labeling: Labeling) -> list[object]:
    if kind_of(labeling) == "regression":
        return [float(example.target) for example in examples if example.target is not None]
    matrix = label_matrix(examples, labeling.labels)  # (N, C)
    is_multi_label = kind_of(labeling) == "multi_label_classification"
    targets = matrix.astype(float) if is_multi_label else matrix.argmax(axis=1)
    listed: list[object] = targets.tolist()
    return listed
