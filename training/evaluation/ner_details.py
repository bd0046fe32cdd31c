"""The whole evaluation of named-entity recognition."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from scipy.special import log_softmax

from training.data import NerExample
from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.classification import f1_of, share_of
from training.evaluation.ner import (
    ERRORS,
    Entity,
    TagLists,
    entity_counts,
    entity_errors,
    entity_scorer,
    first_tokens,
    lenient_entities,
    types_in,
)
from training.evaluation.protocols import FloatArray, Offsets, TokenLogits
from training.evaluation.record import Evaluation, Row, Table, Trial, Words


def ner_details(
    examples: Sequence[NerExample], answers: Sequence[TokenLogits], labels: Sequence[str], trial: Trial
) -> Evaluation:
    """Evaluate tagged tokens; the worst mistakes are the sentences with most wrong entities."""
    read = [read_answer(example, labels, *answer) for example, answer in zip(examples, answers, strict=True)]
    truth, guess = [example.tags for example in examples], [tags for tags, _ in read]
    scorer = entity_scorer(truth, guess)
    predictions = [prediction(example, labels, *each) for example, each in zip(examples, read, strict=True)]
    return Evaluation(
        trial,
        None,
        tuple(labels),
        len(examples),
        metrics=score_once(scorer, len(examples)),
        intervals=bootstrap_intervals(scorer, len(examples), trial.config.bootstrap_samples, trial.seed),
        tables={"per_label": per_type(truth, guess), "errors": error_table(truth, guess)},
        predictions=predictions,
        mistakes=most_wrong(predictions, trial.config.mistakes),
        words=Words(per_label="Entity types", mistakes="Sentences with the most wrong entities."),
    )


def per_type(truth: TagLists, guess: TagLists) -> Table:
    """Return precision, recall and F1 of each type as served, its strict F1, and how many entities there are."""
    types = types_in(truth, guess)
    hits, guessed, true = entity_counts(truth, guess, types, strict=False).sum(axis=0).astype(np.float64)  # (types,)
    strict = entity_counts(truth, guess, types, strict=True).sum(axis=0).astype(np.float64)
    columns = [share_of(hits, guessed), share_of(hits, true), f1_of(hits, guessed, true), f1_of(*strict)]
    rows = zip(types, *(column.tolist() for column in columns), true.astype(int).tolist(), strict=True)
    return Table(("type", "precision", "recall", "f1", "strict_f1", "support"), list(rows))


def error_table(truth: TagLists, guess: TagLists) -> Table:
    """Count what is right and wrong with entities, read as the service reads them, and each count's share."""
    total: Counter[str] = Counter()
    for true, guessed in zip(truth, guess, strict=True):
        total.update(entity_errors(lenient_entities(true), lenient_entities(guessed)))
    whole = max(1, total.total())
    return Table(("outcome", "entities", "share"), [(name, total[name], total[name] / whole) for name in ERRORS])


def read_answer(
    example: NerExample, labels: Sequence[str], offsets: Offsets, logits: FloatArray
) -> tuple[list[str], FloatArray]:
    """Return the predicted tag of each word, and log-probabilities (words, labels); certain O for no token."""
    likely = log_softmax(logits.astype(np.float64), axis=1)  # (tokens, labels)
    absent = np.where(np.array(labels) == "O", 0.0, -np.inf)  # (labels,)
    firsts = first_tokens(example.word_offsets, offsets)
    words = np.stack([absent if token is None else likely[token] for token in firsts])
    return [labels[index] for index in words.argmax(axis=1)], words


def prediction(example: NerExample, labels: Sequence[str], tags: list[str], likely: FloatArray) -> Row:
    """Return the sentence's object; `loss` is the mean cross-entropy of its words, a cut-off one counting 10."""
    errors = entity_errors(lenient_entities(example.tags), guessed := lenient_entities(tags))
    column = {label: index for index, label in enumerate(labels)}
    true = likely[np.arange(len(example.tags)), [column[tag] for tag in example.tags]]
    confidence = likely.max(axis=1)
    return {
        "text": example.text,
        "truth": [entity_row(example, each) for each in lenient_entities(example.tags)],
        "prediction": [
            entity_row(example, each) | {"score": round(float(np.exp(confidence[each[0] : each[1]]).mean()), 5)}
            for each in guessed
        ],
        "correct": sum(errors.values()) == errors["correct"],
        "errors": {name: count for name, count in errors.items() if count and name != "correct"},
        "loss": round(float(np.minimum(-true, 10.0).mean()), 5),
    }


def entity_row(example: NerExample, entity: Entity) -> Row:
    start, end = example.word_offsets[entity[0]][0], example.word_offsets[entity[1] - 1][1]
    return {"entity": entity[2], "start": start, "end": end, "word": example.text[start:end]}


def most_wrong(rows: Sequence[Row], count: int) -> list[Row]:
    def badness(row: Row) -> tuple[int, float]:
        errors, loss = row["errors"], row["loss"]
        assert isinstance(errors, dict)
        assert isinstance(loss, float)
        return sum(errors.values()), loss

    return sorted((row for row in rows if not row["correct"]), key=badness, reverse=True)[:count]
