"""Named entities: a tag for every token of raw text, read from words with tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from datasets import Dataset
from transformers import (
    AutoModelForTokenClassification,
    DataCollatorForTokenClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.modeling_outputs import ModelOutput

from app.window import Floats, Ints, Window
from training.config import Recipe
from training.data import Labeling, NerExample, Sentence, Span, render
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer
from training.evaluation.ner import entity_scorer, in_iob2, tags_of
from training.evaluation.ner_details import ner_details
from training.evaluation.predict import torch_tagger
from training.evaluation.protocols import TokenLogits
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.evaluation.windows import WindowCutter, tag_windows
from training.losses import IGNORED, class_weights, exact_loss
from training.reading.ner import NerReading
from training.tasks.base import Collator, Loss, TrainingTask, rows_of

Tagged = list[TokenLogits]


class NerTraining(NerReading, TrainingTask[NerExample, Tagged]):
    """Predictions are, for each text, offsets (n, 2) and logits (n, labels) of its tokens.

    Each training sentence is written with spaces between all words or as ordinary text, by a seeded coin, so that the
    model learns both; validation and test are ordinary text.
    """

    auto_model = AutoModelForTokenClassification

    # --- Model and training -----------------------------------------------------------------------------

    def head(self, encoder: Encoder, model: PreTrainedModel) -> Head:
        return encoder.token_head(model)

    def features(
        self,
        examples: Sequence[NerExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """`labels` is an IOB2 label id for every token of the raw text."""
        encoded = dict(
            tokenizer(
                [example.text for example in examples],
                truncation=True,
                max_length=max_length,
                return_offsets_mapping=True,
                return_special_tokens_mask=True,
            )
        )
        ids = {label: index for index, label in enumerate(labeling.labels)}
        aligned = zip(examples, encoded.pop("offset_mapping"), encoded.pop("special_tokens_mask"), strict=True)
        targets = [token_labels(each.text, each.spans, offsets, special, ids) for each, offsets, special in aligned]
        return rows_of(encoded | {"labels": targets})

    def window_features(
        self,
        examples: Sequence[NerExample],
        labeling: Labeling,
        tokenizer: PreTrainedTokenizerBase,
        max_length: int,
    ) -> Dataset:
        """A token in two windows has its label in both."""
        cutter = WindowCutter(tokenizer, max_length)
        ids = {label: index for index, label in enumerate(labeling.labels)}
        rows = []
        for example, text in zip(examples, cutter.tokens([each.text for each in examples]), strict=True):
            offsets = text.offsets().tolist()
            targets = token_labels(example.text, example.spans, offsets, [0] * len(offsets), ids)
            for piece in text.pieces:
                labels = cutter.around(targets[piece.start : piece.end], IGNORED)
                rows.append(cutter.piece(text, piece) | {"labels": labels})
        return rows_of({name: [row[name] for row in rows] for name in rows[0]})

    def collator(self, tokenizer: PreTrainedTokenizerBase) -> Collator:
        collate: Collator = DataCollatorForTokenClassification(tokenizer)
        return collate

    def loss(self, recipe: Recipe, labeling: Labeling, rows: Dataset) -> Loss:
        weights = class_weights(recipe.training, labeling, rows["labels"])
        return partial(exact_loss, label_smoothing=recipe.training.label_smoothing, weights=weights)

    def main_metric(self, labeling: Labeling) -> str:
        return "f1"

    # --- Predictions and scores -------------------------------------------------------------------------

    def predict_checkpoint(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[NerExample],
        max_length: int,
    ) -> Tagged:
        return torch_tagger(model, tokenizer, max_length)([each.text for each in examples])

    def predict_windows(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        examples: Sequence[NerExample],
        max_length: int,
    ) -> Tagged:
        return tag_windows(model, tokenizer, [each.text for each in examples], max_length)

    def predict_graph(self, graph: ServedGraph, examples: Sequence[NerExample]) -> Tagged:
        encoded = graph.encode(self.request_body(examples))
        rows = iter(graph.run(encoded.windows))
        return [(text.offsets(), np.concatenate([next(rows) for _ in text.pieces])) for text in encoded.state]

    def scorer(
        self, examples: Sequence[NerExample], predictions: Tagged, labeling: Labeling, scoring: Scoring
    ) -> Scorer:
        labels, predictions = in_iob2(labeling.labels, predictions)
        return entity_scorer([each.tags for each in examples], tags_of(examples, labels, predictions))

    def renderings(self, examples: Sequence[NerExample]) -> Mapping[str, Sequence[NerExample]]:
        """`spaced`: as CoNLL files have sentences, with a space between all words, punctuation too."""
        return {"spaced": [as_spaced(example) for example in examples]}

    def evaluate(
        self,
        examples: Sequence[NerExample],
        predictions: Tagged,
        labeling: Labeling,
        scoring: Scoring,
        trial: Trial,
    ) -> Evaluation:
        labels, predictions = in_iob2(labeling.labels, predictions)
        return ner_details(examples, predictions, labels, trial)

    # --- Proof of a graph -------------------------------------------------------------------------------

    def outputs_of(self, outputs: ModelOutput, windows: Sequence[Window]) -> list[Floats]:
        logits: Floats = outputs.logits.float().numpy()  # (B, S, labels)
        return [rows[window.head_rows] for rows, window in zip(logits, windows, strict=True)]

    def rows_to_verify(self, length: int) -> Ints:
        return np.arange(length)

    def summary(self, answer: Any) -> str:
        found = [f"{item['word']} ({item['entity_group']}) {item['score']:.2f}" for item in answer[:5]]
        return ", ".join(found) or "nothing"


def as_spaced(example: NerExample) -> NerExample:
    words = tuple(example.text[start:end] for start, end in example.word_offsets)
    return render(Sentence(words, example.tags), "spaced")


def token_labels(
    text: str,
    spans: Sequence[Span],
    offsets: Sequence[tuple[int, int]],
    special: Sequence[int],
    ids: Mapping[str, int],
) -> list[int]:
    """Return a label id per token: B- for the first token that overlaps an entity, I- for the rest, else O.

    Whitespace at the ends of a token does not count: byte-level BPE puts the space before a word into the
    word's first token. Special tokens, by their mask, and tokens of nothing but whitespace get `IGNORED`.
    A token that overlaps two entities belongs to the first. `spans` ascend and do not overlap.
    """
    labels = []
    begun: set[Span] = set()
    for (start, end), is_special in zip(offsets, special, strict=True):
        word = text[start:end]
        start, end = end - len(word.lstrip()), start + len(word.rstrip())
        if is_special or start >= end:
            labels.append(IGNORED)
            continue
        entity = next((span for span in spans if span[0] < end and start < span[1]), None)
        if entity is None:
            labels.append(ids["O"])
        else:
            labels.append(ids[f"{'I' if entity in begun else 'B'}-{entity[2]}"])
            begun.add(entity)
    return labels
