"""Turns examples into what the Trainer takes: token ids, and a label per text or per token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from training.config import ProblemType
from training.data import ClassificationExample, NerExample, Span
from training.evaluation import label_matrix

IGNORED = -100  # cross_entropy's and the Trainer's mark of a position without a label


def classification_features(
    examples: Sequence[ClassificationExample],
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    problem_type: ProblemType | None = "single_label_classification",
) -> Dataset:
    """Return a row per example: `labels` is a class id, a float per class (multi-label) or a float (regression)."""
    texts = [example.text for example in examples]
    pairs = [example.text_pair for example in examples] if examples[0].text_pair is not None else None
    encoded = dict(tokenizer(texts, pairs, truncation=True, max_length=max_length))
    return dataset(encoded | {"labels": targets_of(examples, labels, problem_type)})


def targets_of(
    examples: Sequence[ClassificationExample], labels: Sequence[str], problem_type: ProblemType | None
) -> list[object]:
    if problem_type == "regression":
        return [float(example.target) for example in examples if example.target is not None]
    matrix = label_matrix(examples, labels)  # (N, C)
    targets = matrix.astype(float) if problem_type == "multi_label_classification" else matrix.argmax(axis=1)
    listed: list[object] = targets.tolist()
    return listed


def ner_features(
    examples: Sequence[NerExample],
    labels: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    problem_type: ProblemType | None = None,
) -> Dataset:
    """Return a row per example: `labels` is an IOB2 label id for every token of the raw text."""
    encoded = dict(
        tokenizer(
            [example.text for example in examples],
            truncation=True,
            max_length=max_length,
            return_offsets_mapping=True,
            return_special_tokens_mask=True,
        )
    )
    ids = {label: index for index, label in enumerate(labels)}
    aligned = zip(examples, encoded.pop("offset_mapping"), encoded.pop("special_tokens_mask"), strict=True)
    targets = [token_labels(each.text, each.spans, offsets, special, ids) for each, offsets, special in aligned]
    return dataset(encoded | {"labels": targets})


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


def dataset(columns: Mapping[str, object]) -> Dataset:
    """Add the `length` column by which the Trainer groups rows."""
    rows = Dataset.from_dict(dict(columns))
    return rows.add_column("length", [len(ids) for ids in rows["input_ids"]])
