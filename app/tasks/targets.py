"""What an explanation is of: the score of a label, or of an entity, for each set of words that is left of an input."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from app.tasks.base import softmax
from app.tasks.classify import Classify, FunctionToApply
from app.tasks.masking import Masked
from app.tasks.ner import Entity, Ner, Token, group_entity, group_tags
from app.tasks.partition import Values
from app.tasks.schemes import OUTSIDE
from app.tasks.text import EncodedText
from app.window import Floats

MOST_ENTITIES = 10  # where a request names no number


class Target(NamedTuple):
    """A label or an entity as its own task answers it, without its score, and its scores, (sets,)."""

    about: dict[str, Any]
    scores: Values


def label_targets(
    judge: Classify,
    masked: Masked,
    views: Sequence[Floats],
    labels: Sequence[str] | None,
    top_k: int | None,
    function: FunctionToApply | None,
) -> list[Target]:
    """Return the best label, or those that are asked for, the best first; `views` are (windows, 1, labels)."""
    lengths = [len(view.window) for view in masked.views]
    numbers = zip(views, masked.of_sets, strict=True)
    logits = np.stack([view[:, 0][of_sets] for view, of_sets in numbers], axis=1)  # (sets, views, labels)
    function = function or judge.default_function
    scores = np.array([judge.apply(judge.pool(each, lengths).tolist(), function) for each in logits])  # (sets, labels)
    known = judge.manifest.labels
    chosen = range(len(known)) if labels is None else [known.index(label) for label in dict.fromkeys(labels)]
    best = sorted(chosen, key=lambda label: -scores[masked.plan.everything, label])
    return [Target({"label": known[i]}, scores[:, i]) for i in best[: top_k or (1 if labels is None else len(best))]]


def entity_targets(
    tagger: Ner, masked: Masked, views: Sequence[Floats], groups: Sequence[str] | None, top_k: int | None
) -> list[Target]:
    """Return the surest entities in the order of the text; `views` are (windows, tokens, labels).

    Its score is the mean of those that its tokens have for the labels that they are found with.
    """
    text = masked.item
    assert isinstance(text, EncodedText)
    whole = [view[of_sets[masked.plan.everything]] for view, of_sets in zip(views, masked.of_sets, strict=True)]
    found = [each for each in entities_of(tagger, text, whole) if not groups or each[0]["entity_group"] in groups]
    surest = sorted(range(len(found)), key=lambda number: -found[number][0]["score"])[: top_k or MOST_ENTITIES]
    shares = [softmax(view / tagger.temperature) for view in views]
    firsts = np.cumsum([0, *(len(part) for part in whole)])
    targets = []
    for entity, tokens in (found[number] for number in sorted(surest)):
        scores = []
        for token in tokens:
            view = int(np.searchsorted(firsts, token.position, side="right")) - 1
            scores.append(shares[view][masked.of_sets[view], token.position - firsts[view], token.best])
        about = {name: value for name, value in entity.items() if name != "score"}
        targets.append(Target(about, np.mean(scores, axis=0, dtype=np.float64)))
    return targets


def entities_of(tagger: Ner, text: EncodedText, parts: Sequence[Floats]) -> Iterator[tuple[Entity, list[Token]]]:
    """Yield the entities of a text, each with its tokens; `parts` are (tokens, labels)."""
    tokens, start = list(tagger.tokens(text, parts)), 0
    for group in group_tags(tagger.tag_tokens(text, iter(tokens))):
        end = start + len(group)
        if group[0].mark.kind != OUTSIDE:
            yield group_entity(text.text, group), tokens[start:end]
        start = end
