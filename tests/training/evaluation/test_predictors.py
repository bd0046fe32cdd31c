"""PyTorch models answer in batches what they answer alone."""

import numpy as np
import torch
from transformers import RobertaForMaskedLM, RobertaForSequenceClassification, RobertaForTokenClassification

from training.evaluation.predict import torch_classifier, torch_mask_filler, torch_tagger

TEXTS = [
    "a good film",
    "the café in São Paulo isn't open ( yet ) .",
    "Ada",
    "a bad and awful film , cold and dull .",
]


def by_hand(model, tokenizer, text):
    model.eval()
    with torch.inference_mode():
        return model(**tokenizer(text, return_tensors="pt")).logits[0].numpy()


def test_torch_classifier_batches_as_it_answers_alone(tiny_config, tokenizer):
    model = RobertaForSequenceClassification(tiny_config).train()
    logits = torch_classifier(model, tokenizer, max_length=64, batch_size=3)([*TEXTS, ("Ada", "a film")])
    assert model.training
    for text, row in zip(TEXTS, logits, strict=False):
        np.testing.assert_allclose(row, by_hand(model, tokenizer, text), atol=1e-5)
    pair = tokenizer("Ada", "a film", return_tensors="pt")
    np.testing.assert_allclose(logits[-1], model.eval()(**pair).logits[0].detach().numpy(), atol=1e-5)


def test_torch_tagger_leaves_specials_out_and_cuts(tiny_config, tokenizer):
    model = RobertaForTokenClassification(tiny_config)
    text = TEXTS[1]
    for offsets, logits in torch_tagger(model, tokenizer, max_length=64)([text]):
        np.testing.assert_allclose(logits, by_hand(model, tokenizer, text)[1:-1], atol=1e-5)
        assert "".join(text[start:end] for start, end in offsets) == text.replace(" ", "")
    [(offsets, logits)] = torch_tagger(model, tokenizer, max_length=8)([text])
    assert offsets.shape == (6, 2)
    assert logits.shape == (6, 2)


def test_torch_mask_filler_answers_at_masks(tiny_config, tokenizer):
    model = RobertaForMaskedLM(tiny_config)
    windows = [tokenizer(text)["input_ids"] for text in ("a <mask> film", "<mask> and a <mask> , warm")]
    first, second = torch_mask_filler(model, tokenizer)(windows)
    assert first.shape == (1, len(tokenizer))
    positions = np.array(windows[1]) == tokenizer.mask_token_id
    expected = by_hand(model, tokenizer, "<mask> and a <mask> , warm")[positions]
    np.testing.assert_allclose(second, expected, atol=1e-5)
    [elsewhere] = torch_mask_filler(model, tokenizer)(windows[:1], [[0, 2]])
    np.testing.assert_allclose(elsewhere, by_hand(model, tokenizer, "a <mask> film")[[0, 2]], atol=1e-5)
