"""Embeddings: encoders that answer a vector for each text, trained on texts that are similar."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from pydantic import ValidationError
from torch import nn
from transformers import AutoModel, PreTrainedModel, PreTrainedTokenizerBase
from transformers.modeling_outputs import ModelOutput

from app.bundle import Manifest
from app.bundle.files import first_problem
from app.tasks.embed import EmbedSettings
from app.tasks.text import EncodedText, TextEncoder
from app.window import Floats, Ints, Window
from training.config import Recipe, RecipeError
from training.contrastive import CosineLoss, Similar, contrastive_loss
from training.data import Labeling
from training.data.similarity import SimilarityExample
from training.encoders import Encoder, Head, UnsupportedModelError
from training.encoders.modules import Modules, read_modules, write_modules
from training.encoders.sentences import PART, VECTOR, add_modules, drop_pooler, modules_of
from training.evaluation.bootstrap import Scorer
from training.evaluation.predict import torch_embedder
from training.evaluation.protocols import FloatArray
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.evaluation.similarity import distinct_texts, similarity_scorer
from training.evaluation.similarity_details import similarity_details
from training.reading.embed import EmbedReading
from training.tasks.base import Collator, Loss, TrainingTask

TOKENS = "tokens"  # the pooling that is none
PROBE_COLUMNS = 64  # or a few more, evenly taken, are stored of each vector
TEXTS_AT_ONCE = 512  # of one request to a graph

log = logging.getLogger(__name__)


class EmbedTraining(EmbedReading, TrainingTask[SimilarityExample, FloatArray]):
    """Predictions are vectors (texts, width), of the distinct texts of the examples, in order."""

    auto_model = AutoModel
    targets = ("labels", "numbers")

    # --- Model ------------------------------------------------------------------------------------------

    def base_settings(self, labeling: Labeling) -> dict[str, Any]:
        return {"problem_type": labeling.problem_type}

    def labeling_of(self, config: Mapping[str, Any]) -> Labeling:
        return Labeling((), "regression" if config.get("problem_type") == "regression" else None)

    def adapt(self, model: PreTrainedModel, source: str, settings: Mapping[str, Any]) -> None:
        """Put pooling and dense layers behind an encoder, as its modules.json and `task_settings` say."""
        modules = read_modules(source) or Modules()
        try:
            chosen = EmbedSettings.model_validate({**fields_of(model, modules), **settings})
        except ValidationError as error:
            raise RecipeError(f"task_settings: {first_problem(error)}") from error
        if chosen.trained_pooling not in (None, chosen.pooling):
            log.warning(
                "%s was trained with the pooling %s: with %s its vectors are worse, until it is trained so",
                source,
                chosen.trained_pooling,
                chosen.pooling,
            )
        modules.pooling, modules.normalizes, modules.lowercase = chosen.pooling, chosen.normalize, chosen.lowercase
        modules.prompts, modules.default_prompt = dict(chosen.prompts), chosen.default_prompt
        add_modules(model, modules)

    def rebuild(self, model: PreTrainedModel, manifest: Manifest, dense: Sequence[nn.Sequential]) -> None:
        settings = EmbedSettings.model_validate(manifest.task_settings)
        if settings.is_normalized:
            raise UnsupportedModelError("its graph normalizes vectors itself; give the checkpoint that it was made of")
        drop_pooler(model)
        modules = Modules(
            settings.pooling,
            settings.trained_pooling,
            list(dense),
            settings.normalize,
            manifest.max_length,
            settings.lowercase,
            dict(settings.prompts),
            settings.default_prompt,
        )
        add_modules(model, modules)

    def task_settings(self, model: PreTrainedModel) -> dict[str, Any]:
        return fields_of(model, modules_of(model))

    def longest(self, model: PreTrainedModel) -> int | None:
        return modules_of(model).max_length

    def save_beside(self, model: PreTrainedModel, folder: Path) -> None:
        """Make the checkpoint a folder of sentence-transformers.

        Where its base was none, its vectors are normalized: their cosines are what was trained.
        """
        modules = modules_of(model)
        if modules.pooling == TOKENS:
            return
        modules.normalizes = modules.normalizes or modules.trained_pooling is None
        write_modules(folder, modules, int(model.config.hidden_size))

    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        behind = getattr(model, PART, None)
        return Head(nn.Identity()) if behind is None else Head(behind, "window")

    # --- Training ---------------------------------------------------------------------------------------

    def as_read(self, examples: Sequence[SimilarityExample], model: PreTrainedModel) -> list[SimilarityExample]:
        """Put the model's own prompt before each text."""
        modules = modules_of(model)
        return [each.map(modules.prepared) for each in examples]

    def features(
        self,
        examples: Sequence[SimilarityExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """A row has `input_ids` and `numbers` of each text; a text alone is similar to itself, under other dropout.

        Equal texts have one number. `labels` is the score, or the number of the first text.
        """
        texts = distinct_texts(examples)
        number = {text: place for place, text in enumerate(texts)}
        ids = tokenizer(texts, truncation=True, max_length=max_length)["input_ids"]
        both = [(each.text, each.other or each.text, *each.negatives) for each in examples]
        numbers = [[number[text] for text in each] for each in both]
        rows = {
            "input_ids": [[ids[place] for place in each] for each in numbers],
            "numbers": numbers,
            "labels": [each.score if each.score is not None else number[each.text] for each in examples],
            "length": [max(len(ids[place]) for place in each) for each in numbers],
        }
        return Dataset.from_dict(rows)

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        return Similar(tokenizer)

    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        """Scored pairs learn their scores; their scale is said."""
        if recipe.task_settings.get("pooling") == TOKENS:
            raise RecipeError("task_settings: pooling tokens cannot be trained; choose another, and export with tokens")
        labels = rows["labels"][:]
        if not isinstance(labels[0], float):
            return contrastive_loss
        loss = CosineLoss(labels)
        log.info(
            "Scores from %g to %g are read as of %g to %g, and cosines are fitted to them.",
            *(min(labels), max(labels)),
            *(loss.low, loss.high),
        )
        return loss

    def main_metric(self, labeling: Labeling) -> str:
        return "spearman" if labeling.problem_type == "regression" else "mrr"

    # --- Predictions and scores -------------------------------------------------------------------------

    def request_body(self, examples: Sequence[SimilarityExample]) -> dict[str, Any]:
        return {"inputs": distinct_texts(examples)}

    def predict_checkpoint(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[SimilarityExample],
        max_length: int,
    ) -> FloatArray:
        texts = [modules_of(model).prepared(text) for text in distinct_texts(examples)]
        return np.stack(torch_embedder(model, tokenizer, max_length)(texts))

    def predict_graph(self, graph: ServedGraph, examples: Sequence[SimilarityExample]) -> FloatArray:
        texts = distinct_texts(examples)
        parts = [texts[start : start + TEXTS_AT_ONCE] for start in range(0, len(texts), TEXTS_AT_ONCE)]
        answers = (answer for part in parts for answer in graph.answer({"inputs": part}))
        return np.stack([np.atleast_2d(np.array(answer, np.float32)).mean(axis=0) for answer in answers])

    def scorer(
        self,
        examples: Sequence[SimilarityExample],
        predictions: FloatArray,
        labeling: Labeling,
        scoring: Scoring,
    ) -> Scorer:
        return similarity_scorer(examples, predictions)

    def evaluate(
        self,
        examples: Sequence[SimilarityExample],
        predictions: FloatArray,
        labeling: Labeling,
        scoring: Scoring,
        trial: Trial,
    ) -> Evaluation:
        metric = self.main_metric(self.labeling_for(examples, labeling))
        return similarity_details(examples, predictions, replace(trial, main_metric=metric))

    # --- Proof of a graph -------------------------------------------------------------------------------

    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        if VECTOR in outputs:
            return [vector[None] for vector in outputs[VECTOR].float().numpy()]  # (1, width) each
        pairs = zip(outputs.last_hidden_state, windows, strict=True)  # (S, hidden) each
        return [hidden[window.head_rows].float().numpy() for hidden, window in pairs]

    def rows_to_verify(self, length: int) -> Ints:
        """Every token, where the graph does not pool them."""
        return np.arange(length)

    def calibration_window(self, text: EncodedText, encoder: TextEncoder, generator: np.random.Generator) -> Window:
        window = super().calibration_window(text, encoder, generator)
        return Window(window.input_ids, np.arange(len(window)))

    def probe_columns(self, outputs: Floats) -> list[int] | None:
        width = outputs.shape[1]
        return list(range(0, width, max(1, width // PROBE_COLUMNS)))

    def summary(self, answer: Any) -> str:
        vector = np.atleast_2d(np.array(answer[0]))[0]
        return f"{len(vector)} numbers, the first of them {', '.join(f'{number:.3f}' for number in vector[:4])}"


def fields_of(model: PreTrainedModel, modules: Modules) -> dict[str, Any]:
    """Return what a manifest says of an encoder and what is behind it."""
    widths = [layer[0].out_features for layer in modules.dense]
    settings = EmbedSettings(
        dimensions=widths[-1] if widths and modules.pooling != TOKENS else int(model.config.hidden_size),
        pooling=modules.pooling,
        trained_pooling=modules.trained_pooling,
        normalize=modules.normalizes,
        prompts=modules.prompts,
        default_prompt=modules.default_prompt,
        lowercase=modules.lowercase,
    )
    return settings.model_dump(mode="json")
