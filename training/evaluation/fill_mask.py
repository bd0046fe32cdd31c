"""Scores of guesses at hidden tokens."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp
from transformers import PreTrainedTokenizerBase

from training.evaluation.bootstrap import Scorer, Scores, Weights, score_once
from training.evaluation.protocols import FillMasks, FloatArray, IntArray

KEPT_SHARE, RANDOM_SHARE = 0.1, 0.1  # of the chosen tokens; the other 80 % become <mask> (arXiv:1810.04805, 3.1)


@dataclass(frozen=True)
class MaskedWindow:
    """A window of token ids, what the model is shown of it, and the positions that it must guess, ascending."""

    ids: list[int]
    shown: list[int]
    positions: list[int]


@dataclass(frozen=True)
class Guesses:
    """Of one window: the hidden tokens, the best guess at each, its probability, and the truth's loss in nats."""

    hidden: IntArray  # (M,)
    best: IntArray  # (M,)
    probability: FloatArray  # (M,)
    loss: FloatArray  # (M,)


@dataclass(frozen=True)
class FilledMasks:
    """A model's guesses at masked tokens of documents, all chosen tokens masked."""

    tokenizer: PreTrainedTokenizerBase
    windows: list[MaskedWindow]
    guesses: list[Guesses]
    predict: FillMasks

    @cached_property
    def mixed_guesses(self) -> list[Guesses]:
        """The guesses at the same tokens with 80 % of them masked, 10 % replaced by a random one, 10 % as they are."""
        return guess_tokens(mix_masks(self.windows, len(self.tokenizer), seed=0), self.predict)


def fill_masks(documents: Sequence[str], tokenizer: PreTrainedTokenizerBase, predict: FillMasks) -> FilledMasks:
    """Mask tokens of `documents` and have them guessed."""
    windows = masked_windows(documents, tokenizer)
    return FilledMasks(tokenizer, windows, guess_tokens(windows, predict), predict)


def evaluate_fill_mask(
    documents: Sequence[str], tokenizer: PreTrainedTokenizerBase, predict: FillMasks
) -> dict[str, float]:
    """Score the model's guesses at masked tokens of `documents`.

    Returns `masked_accuracy`, the share of masked tokens whose best guess is right, 0..1; `masked_loss`,
    their mean cross-entropy in nats; and `perplexity`, its exponential. All chosen tokens become <mask>: a
    served text holds masks and nothing else that is made up.
    """
    guesses = guess_tokens(masked_windows(documents, tokenizer), predict)
    return score_once(mask_scorer(guesses), len(guesses))


def masked_windows(
    documents: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    *,
    window: int = 128,
    share: float = 0.15,
    seed: int = 0,
) -> list[MaskedWindow]:
    """Cut documents into windows and mask some tokens of each.

    Each document is tokenized without special tokens and cut into consecutive pieces of `window` - 2
    tokens, the last piece of a document as short as it falls; <s> and </s> make a piece a window. Of the n
    tokens of each piece, round(`share` * n) but at least one are chosen by one generator, seeded once.
    """
    rng = random.Random(seed)
    window = min(window, tokenizer.model_max_length)
    pieces = (piece for document in documents for piece in pieces_of(document, tokenizer, window))
    return [mask(ids, tokenizer.mask_token_id, share, rng) for ids in pieces]


def mix_masks(windows: Sequence[MaskedWindow], vocabulary: int, seed: int) -> list[MaskedWindow]:
    """Return the windows with a tenth of their masks replaced by the token itself, a tenth by a random one."""
    rng = random.Random(seed)
    mixed = []
    for each in windows:
        shown = list(each.shown)
        for position in each.positions:
            fate = rng.random()
            if fate < KEPT_SHARE:
                shown[position] = each.ids[position]
            elif fate < KEPT_SHARE + RANDOM_SHARE:
                shown[position] = rng.randrange(vocabulary)
        mixed.append(MaskedWindow(each.ids, shown, each.positions))
    return mixed


def guess_tokens(windows: Sequence[MaskedWindow], predict: FillMasks, batch_size: int = 16) -> list[Guesses]:
    """Return what the model guesses, and how it likes the truth, per window."""
    guesses: list[Guesses] = []
    for start in range(0, len(windows), batch_size):
        batch = windows[start : start + batch_size]
        logits = predict([each.shown for each in batch], [each.positions for each in batch])
        guesses += [guesses_of(each, rows) for each, rows in zip(batch, logits, strict=True)]
    return guesses


def mask_scorer(guesses: Sequence[Guesses]) -> Scorer:
    """Return a scorer of whole windows: tokens of one window stand or fall together."""
    rows = [(sum(each.hidden == each.best), each.loss.sum(), len(each.hidden)) for each in guesses]
    sums: NDArray[np.float64] = np.array(rows, dtype=np.float64)  # (windows, 3)

    def score(weights: Weights) -> Scores:
        hits, loss, count = (weights @ sums).T  # (R,)
        return {"masked_accuracy": hits / count, "masked_loss": loss / count, "perplexity": np.exp(loss / count)}

    return score


def guesses_of(window: MaskedWindow, logits: FloatArray) -> Guesses:
    hidden = np.array([window.ids[position] for position in window.positions], dtype=np.int64)
    total = logsumexp(logits, axis=1)  # (M,)
    best = logits.argmax(axis=1)
    rows = np.arange(len(hidden))
    return Guesses(hidden, best, np.exp(logits[rows, best] - total), total - logits[rows, hidden])


def pieces_of(document: str, tokenizer: PreTrainedTokenizerBase, window: int) -> Iterator[list[int]]:
    ids = tokenizer(document, add_special_tokens=False, verbose=False)["input_ids"]
    bounds = range(0, len(ids) + window - 2, window - 2)
    for start, end in pairwise(bounds):
        yield [tokenizer.cls_token_id, *ids[start:end], tokenizer.sep_token_id]


def mask(ids: list[int], mask_id: int, share: float, rng: random.Random) -> MaskedWindow:
    positions = sorted(rng.sample(range(1, len(ids) - 1), max(1, round(share * (len(ids) - 2)))))
    shown = list(ids)
    for position in positions:
        shown[position] = mask_id
    return MaskedWindow(ids, shown, positions)
