"""Question answering: trained on questions about contexts with the places of their answers, as SQuAD has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from torch import Tensor
from torch.nn import functional as F
from transformers import (
    AutoModelForQuestionAnswering,
    DataCollatorWithPadding,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import ModelOutput

from app.bundle import Graph, Manifest
from app.tasks.answer_spans import Found
from app.tasks.base import Encoded
from app.tasks.question_answering import (
    NO_ANSWER,
    TASK_PARAMS,
    QuestionAnswering,
    QuestionAnsweringSettings,
    split_pair,
)
from app.tasks.questions import QuestionAnsweringRequest
from app.tasks.text import EncodedPair, EncodedText, Piece, TextEncoder
from app.window import Floats, Ints, Window
from training.config import Recipe, RecipeError
from training.data import Labeling
from training.data.questions import Place, QuestionExample
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer
from training.evaluation.predict import forward
from training.evaluation.question_details import question_details
from training.evaluation.questions import Guess, fit_threshold, question_scorer
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.evaluation.windows import WindowCutter
from training.reading.question_answering import QuestionAnsweringReading
from training.tasks.base import Batch, Collator, Loss, TrainingTask, rows_of

LONGEST_PERCENT = 99.5  # of the answers are no longer than what is served
BATCH_SIZE = 32  # windows of a checkpoint's predictions

Guesses = list[Guess]


class QuestionAnsweringTraining(QuestionAnsweringReading, TrainingTask[QuestionExample, Guesses]):
    """Predictions are the best answer to each question, and how much likelier none is.

    Contexts are always read whole, by windows as the service cuts them; see `QuestionAnswering`.
    """

    auto_model = AutoModelForQuestionAnswering

    # --- Model and training -----------------------------------------------------------------------------

    def base_settings(self, labeling: Labeling) -> dict[str, Any]:
        return {"num_labels": 2}  # begins here, ends here

    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        return encoder.span_head(model)

    def features(
        self,
        examples: Sequence[QuestionExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """A row for each window; `labels` are the first and the last token of its answer, 0 twice where it has none."""
        cutter = WindowCutter(tokenizer, max_length)
        encoded = encode(task_with(cutter.encoder, {}, max_seq_len=max_length), examples)
        windows = iter(encoded.windows)
        rows = []
        for example, pair in zip(examples, encoded.state, strict=True):
            offsets = pair.second.offsets()
            for piece in pair.pieces:
                window = next(windows)
                answer = example.answers[0] if example.answers else None
                rows.append(cutter.inputs(window) | {"labels": target_of(answer, offsets, piece, window)})
        return rows_of({name: [row[name] for row in rows] for name in rows[0]})

    def config_of(self, rows: Dataset, max_length: int) -> dict[str, Any]:
        """Windows are served as they were trained on; answers may be as long as nearly all were."""
        longest = int(np.percentile([last - first + 1 for first, last in rows["labels"]], LONGEST_PERCENT))
        usual = QuestionAnsweringSettings()
        settings = {
            "max_seq_len": min(usual.max_seq_len, max_length),
            "doc_stride": min(usual.doc_stride, max_length // 2),
            "max_answer_len": max(usual.max_answer_len, longest),
        }
        return {TASK_PARAMS: {self.name: settings}}

    def window_features(
        self,
        examples: Sequence[QuestionExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        return self.features(examples, labeling, tokenizer, max_length)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        collate: Collator = DataCollatorWithPadding(tokenizer)
        return collate

    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        if recipe.training.class_weights != "none":
            raise RecipeError(f"training.class_weights is not for {self.name}, which has no classes; leave it out")
        return partial(span_loss, label_smoothing=recipe.training.label_smoothing)

    def main_metric(self, labeling: Labeling) -> str:
        return "token_f1"

    # --- Predictions and scores -------------------------------------------------------------------------

    def input_of(self, text: str) -> Any:
        question, context = split_pair(text)
        return {"question": question, "context": context}

    def predict_checkpoint(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[QuestionExample],
        max_length: int,
    ) -> Guesses:
        cutter = WindowCutter(tokenizer, max_length)
        task = task_with(cutter.encoder, model.config.to_dict())
        encoded = encode(task, examples)
        inputs = [cutter.inputs(window) for window in encoded.windows]
        logits = forward(model, tokenizer, inputs, BATCH_SIZE, both_logits)  # (S, 2) each
        return guesses(task, encoded, [each[w.head_rows] for each, w in zip(logits, encoded.windows, strict=True)])

    def predict_windows(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[QuestionExample],
        max_length: int,
    ) -> Guesses:
        return self.predict_checkpoint(model, tokenizer, examples, max_length)

    def predict_graph(self, graph: ServedGraph, examples: Sequence[QuestionExample]) -> Guesses:
        encoded = encode(graph.task, examples)
        return guesses(graph.task, encoded, graph.run(encoded.windows))

    def fit_scoring(self, examples: Sequence[QuestionExample], predictions: Guesses, labeling: Labeling) -> Scoring:
        threshold = fit_threshold(examples, predictions)
        return Scoring() if threshold is None else Scoring(thresholds={NO_ANSWER: threshold})

    def scorer(
        self, examples: Sequence[QuestionExample], predictions: Guesses, labeling: Labeling, scoring: Scoring
    ) -> Scorer:
        return question_scorer(examples, predictions, threshold_in(scoring))

    def evaluate(
        self,
        examples: Sequence[QuestionExample],
        predictions: Guesses,
        labeling: Labeling,
        scoring: Scoring,
        trial: Trial,
    ) -> Evaluation:
        return question_details(examples, predictions, threshold_in(scoring), trial)

    # --- Proof of a graph -------------------------------------------------------------------------------

    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        logits: Floats = both_logits(outputs).float().numpy()  # (B, S, 2)
        return [rows[window.head_rows] for rows, window in zip(logits, windows, strict=True)]

    def rows_to_verify(self, length: int) -> Ints:
        return np.arange(length)

    def calibration_window(self, text: EncodedText, encoder: TextEncoder, generator: np.random.Generator) -> Window:
        return task_with(encoder, {}).probe(text.text)

    def summary(self, answer: Any) -> str:
        return f"{answer['answer'] or 'no answer'} {answer['score']:.2f}"


def task_with(encoder: TextEncoder, config: dict[str, Any], **settings: int) -> QuestionAnswering:
    """Return the task as the service has it, for windows of this encoder and a checkpoint's config."""
    graph = Graph(file="model.fp32.onnx", tolerance=1.0)
    fields = {"task_settings": settings} if settings else QuestionAnswering.manifest_fields(config)
    manifest = Manifest(
        name="checkpoint",
        version=1,
        task=QuestionAnswering.name,
        layout="padded",
        max_length=encoder.max_length,
        graphs={"fp32": graph},
        **fields,
    )
    return QuestionAnswering(manifest, encoder, graph)


def encode(task: QuestionAnswering, examples: Sequence[QuestionExample]) -> Encoded[list[EncodedPair]]:
    """Return the windows of examples; a question has half of a window at most."""
    return task.encode(request_about(task, [{"question": each.question, "context": each.context} for each in examples]))


def request_about(task: QuestionAnswering, inputs: list[dict[str, str]]) -> QuestionAnsweringRequest:
    most = max(1, min(task.encoder.max_length, task.settings.max_seq_len) // 2)
    return QuestionAnsweringRequest.model_validate({"inputs": inputs, "parameters": {"max_question_len": most}})


def guesses(task: QuestionAnswering, encoded: Encoded[list[EncodedPair]], outputs: Sequence[Floats]) -> Guesses:
    """Return the best answer to each question, of (1 + tokens, 2) logits of each window."""
    rows, parameters = iter(outputs), QuestionAnswering.request_type.model_fields["parameters"].default
    return [guess_of(pair, task.find(pair, [next(rows) for _ in pair.pieces], parameters)) for pair in encoded.state]


def guess_of(pair: EncodedPair, found: Found) -> Guess:
    score, start, end = found.spans[0] if found.spans else (0.0, 0, 0)
    return Guess(pair.second.text[start:end], score, found.margin)


def threshold_in(scoring: Scoring) -> float | None:
    return None if scoring.thresholds is None else scoring.thresholds[NO_ANSWER]


def target_of(answer: Place | None, offsets: Ints, piece: Piece, window: Window) -> list[int]:
    """Return the rows of a window with an answer's first and last token, the first special token's where it lacks one.

    `offsets` (tokens, 2) are those of the context's tokens.
    """
    if answer is None:
        return [0, 0]
    text, start = answer
    touched = np.flatnonzero((offsets[:, 1] > start) & (offsets[:, 0] < start + len(text)))
    if not len(touched) or touched[0] < piece.start or touched[-1] >= piece.end:
        return [0, 0]
    rows = window.head_rows[1:]  # of the context's tokens in this window
    return [int(rows[touched[0] - piece.start]), int(rows[touched[-1] - piece.start])]


def both_logits(outputs: Any) -> Tensor:
    """Return (B, S, 2): for each token a logit that an answer begins with it, and one that it ends with it."""
    return torch.stack([outputs.start_logits, outputs.end_logits], dim=-1)


def span_loss(
    outputs: Any, batch: Batch, num_items_in_batch: Tensor | int | None = None, *, label_smoothing: float = 0.0
) -> Tensor:
    """Return the cross-entropy of both ends, summed, over the ends of all accumulated batches and devices."""
    starts, ends = batch["labels"].unbind(dim=1)
    total = F.cross_entropy(outputs.start_logits, starts, reduction="sum", label_smoothing=label_smoothing)
    total = total + F.cross_entropy(outputs.end_logits, ends, reduction="sum", label_smoothing=label_smoothing)
    return total / (batch["labels"].numel() if num_items_in_batch is None else num_items_in_batch)
