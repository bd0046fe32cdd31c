"""Fill-mask: hidden tokens of plain documents are guessed. Such models are pretrained, not fine-tuned."""

from __future__ import annotations

import random
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import AutoModelForMaskedLM, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import ModelOutput

from app.tasks.fill_mask import GENERIC_MASK, mask_token_of
from app.tasks.text import EncodedText, TextEncoder
from app.window import Floats, Ints, Window
from training.config import Recipe, RecipeError
from training.data import Labeling
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer
from training.evaluation.fill_mask import FilledMasks, fill_masks, mask_scorer
from training.evaluation.fill_mask_details import fill_mask_details
from training.evaluation.predict import torch_mask_filler
from training.evaluation.protocols import FloatArray
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.reading.fill_mask import FillMaskReading
from training.tasks.base import Collator, Loss, TrainingTask

MASKED_SHARE = 0.15  # of the tokens of a calibration window
PROBE_COLUMNS = 16  # of a vocabulary's logits, only the greatest are stored
ROW_STEP = 8  # of the tokens of a window, every eighth is verified: a row is as wide as the vocabulary


class FillMaskTraining(FillMaskReading, TrainingTask[str, FilledMasks]):
    """Examples are documents; predictions are the guesses at tokens that are hidden in them."""

    auto_model = AutoModelForMaskedLM
    has_examples = False

    # --- Model and training -----------------------------------------------------------------------------

    def base_settings(self, labeling: Labeling) -> dict[str, Any]:
        return {}

    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        return encoder.language_head(model)

    def features(
        self, examples: Sequence[str], labeling: Labeling, tokenizer: PreTrainedTokenizerBase, max_length: int
    ) -> Dataset:
        raise not_finetuned()

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        raise not_finetuned()

    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        raise not_finetuned()

    def main_metric(self, labeling: Labeling) -> str:
        return "masked_accuracy"

    # --- Predictions and scores -------------------------------------------------------------------------

    def predict_checkpoint(
        self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, examples: Sequence[str], max_length: int
    ) -> FilledMasks:
        return fill_masks(examples, tokenizer, torch_mask_filler(model, tokenizer))

    def predict_graph(self, graph: ServedGraph, examples: Sequence[str]) -> FilledMasks:
        return fill_masks(examples, graph.tokenizer, partial(logits_at, graph))

    def scorer(self, examples: Sequence[str], predictions: FilledMasks, labeling: Labeling, scoring: Scoring) -> Scorer:
        return mask_scorer(predictions.guesses)

    def count(self, examples: Sequence[str], predictions: FilledMasks) -> int:
        return len(predictions.guesses)

    def evaluate(
        self, examples: Sequence[str], predictions: FilledMasks, labeling: Labeling, scoring: Scoring, trial: Trial
    ) -> Evaluation:
        return fill_mask_details(predictions, trial)

    # --- Proof of a graph -------------------------------------------------------------------------------

    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        pairs = zip(outputs.logits, windows, strict=True)  # (S, vocabulary) each
        return [logits[window.head_rows].float().numpy() for logits, window in pairs]

    def rows_to_verify(self, length: int) -> Ints:
        return np.arange(0, length, ROW_STEP)

    def calibration_window(self, text: EncodedText, encoder: TextEncoder, generator: np.random.Generator) -> Window:
        """Mask some tokens of the window, as there are when serving."""
        window = super().calibration_window(text, encoder, generator)
        content = np.arange(len(encoder.special.prefix), len(window) - len(encoder.special.suffix))
        masked = max(1, round(MASKED_SHARE * len(content)))
        rows = np.sort(generator.choice(content, masked, replace=False))
        ids = window.input_ids.copy()
        ids[rows] = mask_token_of(encoder)[1]
        return Window(ids, rows)

    def probe_text(self, text: str, generator: random.Random) -> str | None:
        words = text.split()
        if GENERIC_MASK in words:
            return text
        if len(words) < 3:
            return None
        words[generator.randrange(1, len(words))] = GENERIC_MASK
        return " ".join(words)

    def probe_columns(self, outputs: Floats) -> list[int] | None:
        return sorted({int(column) for row in outputs for column in np.argsort(-row)[:PROBE_COLUMNS]})

    def summary(self, answer: Any) -> str:
        candidates = answer[0] if isinstance(answer[0], list) else answer
        return ", ".join(f"{item['token_str'].strip()} {item['score']:.2f}" for item in candidates[:5])


def logits_at(
    graph: ServedGraph, windows: Sequence[list[int]], positions: Sequence[Sequence[int]] | None = None
) -> list[FloatArray]:
    """Return logits (positions, vocabulary) per window of token ids; without positions, those of its masks."""
    arrays = [np.array(ids, np.int64) for ids in windows]
    mask_id = graph.task.mask_id
    rows = [np.flatnonzero(ids == mask_id) for ids in arrays]
    if positions is not None:
        rows = [np.array(each, np.int64) for each in positions]
    return graph.run([Window(*each) for each in zip(arrays, rows, strict=True)])


def not_finetuned() -> RecipeError:
    return RecipeError(
        "finetune trains on labeled examples; train on masked text with `roberta-train pretrain`, or publish a model "
        "as it is with `roberta-train export`"
    )
