"""The whole evaluation of guesses at hidden tokens."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from training.config import EvaluationConfig, Task
from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.fill_mask import (
    Guesses,
    MaskedWindow,
    guess_tokens,
    mask_scorer,
    masked_windows,
    mix_masks,
)
from training.evaluation.protocols import FillMasks
from training.evaluation.record import Evaluation, Row, worst

CONTEXT_TOKENS = 20  # shown on each side of a hidden token


def fill_mask_details(
    documents: Sequence[str],
    tokenizer: PreTrainedTokenizerBase,
    predict: FillMasks,
    *,
    variant: str,
    split: str,
    task: Task,
    config: EvaluationConfig,
    seed: int,
) -> Evaluation:
    """Score guesses at masked tokens, all of them masked, and again 80/10/10; an example is a hidden token."""
    windows = masked_windows(documents, tokenizer)
    mixed = mix_masks(windows, len(tokenizer), seed=0)
    guesses, mixed_guesses = guess_tokens(windows, predict), guess_tokens(mixed, predict)
    scorer, mixed_scorer = mask_scorer(guesses), mask_scorer(mixed_guesses)
    metrics, intervals = score_once(scorer, len(windows)), {}
    metrics["masked_accuracy_80_10_10"] = score_once(mixed_scorer, len(mixed))["masked_accuracy"]
    if config.bootstrap_samples:
        intervals = bootstrap_intervals(scorer, len(windows), config.bootstrap_samples, seed)
        again = bootstrap_intervals(mixed_scorer, len(mixed), config.bootstrap_samples, seed)
        intervals["masked_accuracy_80_10_10"] = again["masked_accuracy"]
    predictions = [row for pair in zip(windows, guesses, strict=True) for row in prediction_rows(*pair, tokenizer)]
    return Evaluation(
        variant,
        split,
        task,
        None,
        (),
        len(predictions),
        metrics=metrics,
        intervals=intervals,
        predictions=predictions,
        mistakes=worst(predictions, config.mistakes),
    )


def prediction_rows(window: MaskedWindow, guesses: Guesses, tokenizer: PreTrainedTokenizerBase) -> list[Row]:
    """Return an object per hidden token; `text` is what the model saw around it, `start` and `end` its place."""
    rows: list[Row] = []
    columns = (guesses.hidden, guesses.best, guesses.probability, guesses.loss)
    for position, hidden, best, probability, loss in zip(window.positions, *columns, strict=True):
        before = tokenizer.decode(window.shown[max(1, position - CONTEXT_TOKENS) : position])
        mask = tokenizer.decode(window.shown[position : position + 1])
        after = tokenizer.decode(window.shown[position + 1 : -1][:CONTEXT_TOKENS])
        guess = tokenizer.decode([int(best)])
        rows.append(
            {
                "text": before + mask + after,
                "start": len(before),
                "end": len(before + mask),
                "truth": tokenizer.decode([int(hidden)]),
                "prediction": guess,
                "correct": bool(hidden == best),
                "scores": {guess: round(float(probability), 5)},
                "loss": round(float(loss), 5),
            }
        )
    return rows
