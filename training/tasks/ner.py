"""Named entities: a tag for every token of raw text, read from words with tags."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
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

from app.tasks.ner import Ner
from app.window import Floats, Ints, Window
from training.config import DataConfig, Recipe
from training.data import (
    Convention,
    DataError,
    Item,
    Labeling,
    NerExample,
    Part,
    Sentence,
    Source,
    Span,
    Splits,
    TaggedWords,
    label_remarks,
    read_tagged_words,
    render,
    render_all,
    sample,
    say,
    scheme_of,
    split_tag,
    tag_names,
    tagged_words,
    to_sentence,
    with_usual_tags,
)
from training.data.parts import complete, train_source
from training.data.spans import is_torn
from training.data.splits import refuse_unknown, refuse_unseen
from training.encoders import Encoder, Head
from training.evaluation.bootstrap import Scorer
from training.evaluation.ner import entity_scorer, in_iob2, tags_of, types_of
from training.evaluation.ner_details import ner_details
from training.evaluation.predict import torch_tagger
from training.evaluation.protocols import TokenLogits
from training.evaluation.record import Evaluation, Trial
from training.evaluation.scoring import Scoring
from training.evaluation.served import ServedGraph
from training.evaluation.windows import WindowCutter, tag_windows
from training.losses import IGNORED, class_weights, exact_loss
from training.tasks.base import Collator, Loss, TrainingTask, rows_of

log = logging.getLogger(__name__)

Tagged = list[TokenLogits]


class NerTraining(TrainingTask[NerExample, Tagged]):
    """Predictions are, for each text, offsets (n, 2) and logits (n, labels) of its tokens.

    Each training sentence is written with spaces between all words or as ordinary text, by a seeded coin, so that the
    model learns both; validation and test are ordinary text.
    """

    serving = Ner
    auto_model = AutoModelForTokenClassification

    # --- Data -------------------------------------------------------------------------------------------

    def read_splits(self, recipe: Recipe, data_dir: Path) -> Splits:
        data = recipe.data
        source = train_source(recipe, data_dir)
        train = read_tagged_words(source, data)
        say(label_remarks(spelled(train)))
        scheme = scheme_of(train, data)
        if data.tag_scheme is None and any(each.text is None for each in train):
            log.info("Tags: %s, found from the training split. To choose another scheme, set data.tag_scheme.", scheme)
        read = partial(read_tagged_words, data=data)
        rows = complete(recipe, data_dir, train, read, lambda row: " ".join(row.words), entity_types)
        sentences = rows.map(lambda row: to_sentence(row, scheme))
        examples = render_all(sentences.train, None, recipe.seed)
        labels = tag_names(examples)
        if labels == ("O",):
            raise DataError(f"{source}: holds no entities, so there is nothing to learn; add tags such as B-PER")
        for part in (rows.validation, rows.test):
            refuse_unseen(((row.where[0], entity_types(row)) for row in part), entity_types(*rows.train), source)
        validation, test = render_all(sentences.validation, "natural"), render_all(sentences.test, "natural")
        return Splits(examples, validation, test, Labeling(labels))

    def read_examples(
        self, source: Source, data: DataConfig, labeling: Labeling, limit: int | None, seed: int = 0
    ) -> list[NerExample]:
        everything = read_tagged_words(source, data)
        scheme = scheme_of(everything, data)
        found = sample(everything, limit, seed, entity_types)
        examples = render_all((to_sentence(each, scheme) for each in found), "natural")
        placed = ((row.where[0], entity_types(row)) for row in found)
        refuse_unknown(placed, types_of(labeling.labels))
        return examples

    def check_items(self, source: Source, recipe: Recipe, convention: Convention, part: Part) -> Iterator[Item]:
        found = with_usual_tags(list(tagged_words(source, recipe.data, part.refused.append)))
        scheme = convention.scheme or scheme_of(found, recipe.data)
        convention.scheme = scheme
        part.spelled.update(spelled(found))
        part.least_labels = 1
        for each in found:
            try:
                sentence = to_sentence(each, scheme)
            except DataError as error:
                part.refused.append(error)
                continue
            example = render(sentence, "natural")
            kinds = tuple(kind for _, _, kind in example.spans)
            entities = tuple(f"{example.text[start:end].casefold()}/{kind}" for start, end, kind in example.spans)
            bare = each.text is None and scheme == "IOB2" and sentence.tags != each.tags
            torn = [span for span in example.spans if each.text is not None and is_torn(each.text, *span[:2])]
            doubts = tuple(f"{start}..{end} {example.text[start:end]!r} {kind!r}" for start, end, kind in torn)
            count = 0 if each.text is not None else len(each.words)
            yield Item(each.place, example.text, kinds, entities, bare=bare, doubts=doubts, word_count=count)

    def text_of(self, example: NerExample) -> str:
        return example.text

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


def entity_types(*sentences: TaggedWords) -> list[str]:
    return sorted({split_tag(tag)[1] for each in sentences for tag in each.tags if tag != "O"})


def spelled(found: Sequence[TaggedWords]) -> Counter[str]:
    return Counter(kind for each in found for tag in each.tags if (kind := split_tag(tag)[1]))


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
