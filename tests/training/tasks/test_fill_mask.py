"""Fill-mask in training: what its graphs are calibrated and probed with, and that it is pretrained, not fine-tuned."""

from __future__ import annotations

import random

import numpy as np
import pytest

from app.tasks.fill_mask import GENERIC_MASK
from app.tasks.text import TextEncoder
from training.config import RecipeError
from training.data import Labeling
from training.tasks.fill_mask import MASKED_SHARE, FillMaskTraining

FILL_MASK = FillMaskTraining()


@pytest.fixture(scope="module")
def encoder(tokenizer, tmp_path_factory) -> TextEncoder:
    file = tmp_path_factory.mktemp("tokenizer") / "tokenizer.json"
    tokenizer.backend_tokenizer.save(str(file))
    return TextEncoder(file, 64)


def test_a_calibration_window_has_masks_at_its_head_rows_and_nowhere_else(encoder, tokenizer):
    (text,) = encoder.encode(["the good film of Ada Byron and the bad film of Bob"])
    window = FILL_MASK.calibration_window(text, encoder, np.random.default_rng(0))
    masked = window.input_ids == tokenizer.mask_token_id
    assert np.flatnonzero(masked).tolist() == window.head_rows.tolist()
    assert len(window.head_rows) == round(MASKED_SHARE * (len(window) - 2))
    assert np.array_equal(window.input_ids[~masked], np.array(tokenizer(text.text)["input_ids"])[~masked])


def test_the_shortest_text_has_a_mask_to_calibrate_with(encoder):
    (text,) = encoder.encode(["Ada"])
    assert FILL_MASK.calibration_window(text, encoder, np.random.default_rng(0)).head_rows.size == 1


def test_a_probe_hides_one_word_but_the_first():
    for seed in range(20):
        words = str(FILL_MASK.probe_text("Ada met Bob", random.Random(seed))).split()
        assert words in (["Ada", GENERIC_MASK, "Bob"], ["Ada", "met", GENERIC_MASK])
    masked = f"a {GENERIC_MASK} film"
    assert FILL_MASK.probe_text(masked, random.Random(0)) == masked
    assert FILL_MASK.probe_text("too short", random.Random(0)) is None


def test_a_probe_stores_the_greatest_logits_of_every_row():
    outputs = np.zeros((2, 100), np.float32)
    outputs[0, 7], outputs[1, 93] = 5.0, 4.0
    columns = FILL_MASK.probe_columns(outputs)
    assert columns is not None
    assert {7, 93} <= set(columns)
    assert columns == sorted(set(columns))
    assert len(columns) <= 2 * 16


def test_it_is_not_fine_tuned(tokenizer):
    with pytest.raises(RecipeError, match="roberta-train pretrain"):
        FILL_MASK.features(["a text"], Labeling(()), tokenizer, 64)
