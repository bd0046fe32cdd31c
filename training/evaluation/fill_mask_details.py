"""The whole evaluation of guesses at hidden tokens."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from training.evaluation.bootstrap import bootstrap_intervals, score_once
from training.evaluation.fill_mask import FilledMasks, Guesses, MaskedWindow, mask_scorer
from training.evaluation.record import Evaluation, Row, Trial, Words, worst

CONTEXT_TOKENS = 20  # shown on each side of a hidden token


def fill_mask_details(filled: FilledMasks, trial: Trial) -> Evaluation:
    """Evaluate guesses at masked tokens, all of them masked, and again 80/10/10; an example is a hidden token."""
    scorer, mixed_scorer = mask_scorer(filled.guesses), mask_scorer(filled.mixed_guesses)
    count, samples = len(filled.windows), trial.config.bootstrap_samples
    metrics, intervals = score_once(scorer, count), {}
    metrics["masked_accuracy_80_10_10"] = score_once(mixed_scorer, count)["masked_accuracy"]
    if samples:
        intervals = bootstrap_intervals(scorer, count, samples, trial.seed)
        again = bootstrap_intervals(mixed_scorer, count, samples, trial.seed)
        intervals["masked_accuracy_80_10_10"] = again["masked_accuracy"]
    pairs = zip(filled.windows, filled.guesses, strict=True)
    predictions = [row for pair in pairs for row in prediction_rows(*pair, filled.tokenizer)]
    return Evaluation(
        trial,
        None,
        (),
        len(predictions),
        metrics=metrics,
        intervals=intervals,
        predictions=predictions,
        mistakes=worst(predictions, trial.config.mistakes),
        words=Words(counted="hidden tokens", resampled="windows"),
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
