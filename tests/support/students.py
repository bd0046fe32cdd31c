"""What tests of compression share: labels, texts, and what a model answers."""

import torch

LABELS = ("negative", "neutral", "positive")
TEXTS = ["a good film", "bad and awful", "the café in Paris isn't open ( yet ) .", "warm", "cold and dull ."] * 4


def logits(model, ids=(0, 7, 8, 9, 2)):
    with torch.inference_mode():
        return model(torch.tensor([ids])).logits
