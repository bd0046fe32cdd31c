"""Predictions of a PyTorch checkpoint, in the form in which the served graph gives them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter, itemgetter

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from transformers.utils import ModelOutput

from training.data import ModelInput
from training.encoders.sentences import VECTOR
from training.evaluation.protocols import Classify, Embed, FillMasks, FloatArray, Offsets, TagTokens


def torch_classifier(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 32
) -> Classify:
    """Return a function that classifies texts with a checkpoint; a text is cut at `max_length` tokens."""

    def predict(inputs: Sequence[ModelInput]) -> list[FloatArray]:
        encoded = [tokenizer(*as_pair(each), truncation=True, max_length=max_length) for each in inputs]
        return forward(model, tokenizer, [dict(each) for each in encoded], batch_size)

    return predict


def torch_tagger(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 32
) -> TagTokens:
    """Return a function that tags the tokens of raw texts; a text is cut at `max_length` tokens.

    Special tokens are left out of its answers; a token's offsets are the tokenizer's.
    """

    def predict(texts: Sequence[str]) -> list[tuple[Offsets, FloatArray]]:
        extra = {"return_offsets_mapping": True, "return_special_tokens_mask": True}
        encoded = [dict(tokenizer(text, truncation=True, max_length=max_length, **extra)) for text in texts]
        offsets = [np.array(each.pop("offset_mapping"), dtype=np.int64) for each in encoded]  # (S, 2)
        own = [np.array(each.pop("special_tokens_mask")) == 0 for each in encoded]  # (S,)
        logits = forward(model, tokenizer, encoded, batch_size)  # (S, labels) each
        return [(o[keep], scores[keep]) for o, scores, keep in zip(offsets, logits, own, strict=True)]

    return predict


def torch_mask_filler(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> FillMasks:
    """Return a function that scores the vocabulary at some positions of each window, by default its masks."""

    def predict(windows: Sequence[list[int]], positions: Sequence[Sequence[int]] | None = None) -> list[FloatArray]:
        encoded = [{"input_ids": ids, "attention_mask": [1] * len(ids)} for ids in windows]
        logits = forward(model, tokenizer, encoded, len(windows))  # (S, vocabulary) each
        if positions is None:
            positions = [np.flatnonzero(np.array(ids) == tokenizer.mask_token_id).tolist() for ids in windows]
        return [scores[rows] for scores, rows in zip(logits, positions, strict=True)]

    return predict


def torch_embedder(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, max_length: int, batch_size: int = 32
) -> Embed:
    """Return a function that makes vectors (width,) of texts; a text is cut at `max_length` tokens."""

    def predict(texts: Sequence[str]) -> list[FloatArray]:
        encoded = [dict(tokenizer(text, truncation=True, max_length=max_length)) for text in texts]
        return forward(model, tokenizer, encoded, batch_size, itemgetter(VECTOR))

    return predict


def as_pair(model_input: ModelInput) -> tuple[str, ...]:
    return (model_input,) if isinstance(model_input, str) else model_input


@torch.inference_mode()
def forward(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    encoded: Sequence[dict[str, list[int]]],
    batch_size: int,
    read: Callable[[ModelOutput], torch.Tensor] = attrgetter("logits"),
) -> list[FloatArray]:
    """Run the model on batches of similar length; return logits per input, in order, without padding.

    `read` takes them out of the model's output: (B, labels) or (B, S, labels).
    """
    training = model.training
    model.eval()
    lengths = [len(each["input_ids"]) for each in encoded]
    order = sorted(range(len(encoded)), key=lengths.__getitem__)
    outputs: dict[int, FloatArray] = {}
    for start in range(0, len(order), batch_size):
        batch = order[start : start + batch_size]
        padded = tokenizer.pad([encoded[index] for index in batch], return_tensors="pt").to(model.device)
        logits = read(model(**padded)).float().cpu().numpy()
        for index, scores in zip(batch, logits, strict=True):
            outputs[index] = scores[: lengths[index]] if scores.ndim > 1 else scores
    model.train(training)
    return [outputs[index] for index in range(len(encoded))]
