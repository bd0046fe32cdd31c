"""What is hidden of documents, and how the guesses are scored."""

import numpy as np
import pytest

from training.evaluation.bootstrap import score_once
from training.evaluation.fill_mask import (
    evaluate_fill_mask,
    fill_masks,
    guess_tokens,
    mask_scorer,
    masked_windows,
    mix_masks,
)


def score(documents, tokenizer, predict, **settings):
    guesses = guess_tokens(masked_windows(documents, tokenizer, **settings), predict)
    return score_once(mask_scorer(guesses), len(guesses))


@pytest.fixture
def documents():
    return ["a good and lovely film , warm and great . " * 9, "Ada", ""]


def test_fill_mask_hides_the_stated_share(tokenizer, documents):
    seen = []

    def predict(windows, positions):
        seen.extend(windows)
        return [np.zeros((len(each), len(tokenizer)), dtype=np.float32) for each in positions]

    scores = score(documents, tokenizer, predict, window=22)
    whole = tokenizer(documents[0], add_special_tokens=False)["input_ids"]
    assert scores["masked_loss"] == pytest.approx(np.log(len(tokenizer)))
    bodies = [ids[1:-1] for ids in seen]
    assert [len(ids) for ids in bodies[:-2]] == [20] * (len(whole) // 20)
    assert [ids.count(tokenizer.mask_token_id) for ids in bodies[:-2]] == [3] * (len(whole) // 20)
    assert all((ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id) for ids in seen)
    shown = [token for ids in bodies[:-1] for token in ids]
    assert all(token in (hidden, tokenizer.mask_token_id) for token, hidden in zip(shown, whole, strict=True))


def test_fill_mask_knows_right_from_wrong_and_repeats(tokenizer, documents):
    whole = tokenizer(documents[0], add_special_tokens=False)["input_ids"]
    asked = []

    def oracle(windows, positions):
        asked.append(windows)
        body = windows[0][1:-1]
        hidden = [own for own, token in zip(whole, body, strict=True) if token == tokenizer.mask_token_id]
        return [np.eye(len(tokenizer))[hidden] * 50]

    arguments = (documents[:1], tokenizer, oracle)
    assert score(*arguments, window=512) == {
        "masked_accuracy": 1.0,
        "masked_loss": pytest.approx(0),
        "perplexity": pytest.approx(1),
    }
    score(*arguments, window=512)
    score(*arguments, window=512, seed=1)
    assert asked[0] == asked[1]
    assert asked[0] != asked[2]


def test_fill_mask_as_in_training_keeps_and_replaces_some(tokenizer, documents):
    windows = masked_windows(documents[:1] * 40, tokenizer)
    mixed = mix_masks(windows, len(tokenizer), seed=0)
    pairs = [(each.shown[at], each.ids[at]) for each in mixed for at in each.positions]
    masked = sum(shown == tokenizer.mask_token_id for shown, _ in pairs) / len(pairs)
    kept = sum(shown == own for shown, own in pairs) / len(pairs)
    assert masked == pytest.approx(0.8, abs=0.04)
    assert kept == pytest.approx(0.1, abs=0.03)
    assert [each.positions for each in mixed] == [each.positions for each in windows]

    def copies(shown, positions):  # knows what it sees, and nothing else
        rows = ([ids[at] for at in where] for ids, where in zip(shown, positions, strict=True))
        return [np.eye(len(tokenizer))[row] * 50 for row in rows]

    assert evaluate_fill_mask(documents[:1] * 40, tokenizer, copies)["masked_accuracy"] == 0
    again = fill_masks(documents[:1] * 40, tokenizer, copies).mixed_guesses
    assert score_once(mask_scorer(again), len(again))["masked_accuracy"] == pytest.approx(kept)
