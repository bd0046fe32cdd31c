"""Scores of predicted entities, and what is wrong with those that are wrong."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from app.tasks.schemes import as_iob2, read_labels
from training.data import NerExample, legal_iob2
from training.data.tags import types_of
from training.evaluation.bootstrap import Scorer, Scores, Weights, score_once
from training.evaluation.classification import f1_of, share_of
from training.evaluation.protocols import FloatArray, IntArray, Offsets, TagTokens, TokenLogits

Entity = tuple[int, int, str]  # first word, word after the last, type
TagLists = Sequence[Sequence[str]]

ERRORS = ("correct", "wrong type", "wrong boundary", "wrong boundary and type", "missed", "spurious")


def evaluate_ner(examples: Sequence[NerExample], labels: Sequence[str], predict: TagTokens) -> dict[str, float]:
    """Return entity scores in 0..1, over words.

    Span and type must match. `f1`, `precision`, `recall` and `f1_<TYPE>` are of the entities that are
    served: an I- that continues nothing is read as B-, the lenient reading of conlleval and of seqeval by default.
    `strict_f1` is seqeval's strict IOB2 mode, in which such an I- is no entity; it can be the higher of the two,
    because it drops fragments that the service answers with. A word takes the tag of the first token that overlaps
    it, O where none does (a text cut short).
    """
    truth = [example.tags for example in examples]
    answers = predict([example.text for example in examples])
    return score_once(entity_scorer(truth, tags_of(examples, labels, answers)), len(examples))


def tags_of(examples: Sequence[NerExample], labels: Sequence[str], answers: Sequence[TokenLogits]) -> list[list[str]]:
    """Return the predicted tag of every word, as the model gives it: it need not be legal IOB2."""
    return [
        word_tags(example.word_offsets, offsets, [labels[index] for index in logits.argmax(axis=1)])
        for example, (offsets, logits) in zip(examples, answers, strict=True)
    ]


def word_tags(word_offsets: Sequence[tuple[int, int]], token_offsets: Offsets, token_tags: Sequence[str]) -> list[str]:
    """Return a tag per word from the tags of tokens; both kinds of offsets ascend in the same text."""
    return ["O" if token is None else token_tags[token] for token in first_tokens(word_offsets, token_offsets)]


def first_tokens(word_offsets: Sequence[tuple[int, int]], token_offsets: Offsets) -> list[int | None]:
    """Return the first token that overlaps each word, or None."""
    firsts: list[int | None] = []
    token = 0
    for start, end in word_offsets:
        while token < len(token_offsets) and token_offsets[token, 1] <= start:
            token += 1
        firsts.append(token if token < len(token_offsets) and token_offsets[token, 0] < end else None)
    return firsts


def strict_entities(tags: Sequence[str]) -> list[Entity]:
    """Return what B- begins and I- of the same type continues; any other I- is no entity."""
    entities: list[Entity] = []
    for word, tag in enumerate(tags):
        if tag.startswith("B-"):
            entities.append((word, word + 1, tag[2:]))
        elif tag.startswith("I-") and entities and entities[-1][1:] == (word, tag[2:]):
            entities[-1] = (entities[-1][0], word + 1, tag[2:])
    return entities


def lenient_entities(tags: Sequence[str]) -> list[Entity]:
    """Return the entities as conlleval and the service read them: an I- that continues nothing begins one."""
    return strict_entities(legal_iob2(tags))


def types_in(*taggings: TagLists) -> list[str]:
    """Return the entity types in use, sorted."""
    return sorted({tag[2:] for tagging in taggings for tags in tagging for tag in tags if tag != "O"})


def entity_counts(truth: TagLists, guess: TagLists, types: Sequence[str], *, strict: bool) -> IntArray:
    """Return (N, 3, types): per sentence and type the entities that are right, that are predicted, that there are."""
    read = strict_entities if strict else lenient_entities
    column = {kind: index for index, kind in enumerate(types)}
    counts = np.zeros((len(truth), 3, len(types)), np.int64)
    for row, (true_tags, guessed_tags) in enumerate(zip(truth, guess, strict=True)):
        true, guessed = set(read(true_tags)), set(read(guessed_tags))
        for place, entities in enumerate((true & guessed, guessed, true)):
            for *_, kind in entities:
                counts[row, place, column[kind]] += 1
    return counts


def entity_scorer(truth: TagLists, guess: TagLists) -> Scorer:
    """Return a scorer of whole sentences: entities of one sentence stand or fall together."""
    types = types_in(truth, guess)
    shape = (-1, 3, len(types))
    strict, lenient = (
        entity_counts(truth, guess, types, strict=mode).reshape(len(truth), -1) for mode in (True, False)
    )

    def score(weights: Weights) -> Scores:
        by_type = (weights @ lenient).reshape(shape).transpose(1, 0, 2)  # (3, R, types)
        hits, guessed, true = by_type.sum(axis=2)  # (R,)
        scores = {
            "f1": f1_of(hits, guessed, true),
            "precision": share_of(hits, guessed),
            "recall": share_of(hits, true),
            "strict_f1": f1_of(*(weights @ strict).reshape(shape).sum(axis=2).T),
        }
        return scores | {f"f1_{kind}": f1_of(*by_type[:, :, column]) for column, kind in enumerate(types)}

    return score


def entity_errors(true: Sequence[Entity], guessed: Sequence[Entity]) -> dict[str, int]:
    """Count the entities of one sentence by what is right or wrong with them; keys are `ERRORS`.

    An entity is paired with one prediction at most: the same span first, then an overlap of the same type,
    then any overlap. What is left was missed, or is spurious.
    """
    pairings = {
        "correct": lambda t, g: t == g,
        "wrong type": lambda t, g: t[:2] == g[:2],
        "wrong boundary": lambda t, g: overlap(t, g) and t[2] == g[2],
        "wrong boundary and type": overlap,
    }
    left_true, left_guessed = list(true), list(guessed)
    counts = dict.fromkeys(ERRORS, 0)
    for name, fits in pairings.items():
        for entity in list(left_true):
            if (partner := next((g for g in left_guessed if fits(entity, g)), None)) is not None:
                left_true.remove(entity)
                left_guessed.remove(partner)
                counts[name] += 1
    return counts | {"missed": len(left_true), "spurious": len(left_guessed)}


def overlap(one: Entity, other: Entity) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def in_iob2(labels: Sequence[str], predictions: list[TokenLogits]) -> tuple[Sequence[str], list[TokenLogits]]:
    """Return IOB2 labels, and predictions for them: of columns that mean the same, the greatest.

    A model that was trained elsewhere may have another scheme. A label that it lacks is never predicted.
    """
    names = [as_iob2(mark) for mark in read_labels(labels)]
    known = ["O", *(f"{letter}-{kind}" for kind in types_of(labels) for letter in "BI")]
    if sorted(names) == sorted(known):
        return names, predictions
    columns = [[i for i, name in enumerate(names) if name == label] for label in known]

    def merged(logits: FloatArray) -> FloatArray:
        least = np.full((len(logits), 1), -np.inf, logits.dtype)
        return np.stack([np.hstack([least, logits[:, each]]).max(axis=1) for each in columns], axis=1)

    return known, [(offsets, merged(logits)) for offsets, logits in predictions]
