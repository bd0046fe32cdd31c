"""Texts in overlapping windows, cut as the service cuts them, for training and for predictions of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from app.errors import InvalidRequestError
from app.tasks.text import EncodedText, Piece, TextEncoder
from app.window import Window
from training.data import ModelInput
from training.evaluation.predict import forward
from training.evaluation.protocols import FloatArray, TokenLogits

NO_ROWS = np.zeros(0, np.int64)
Encoded = dict[str, Any]  # a model's inputs for one window


class WindowCutter:
    """Cuts texts with the service's own encoder, made of a tokenizer of transformers."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, max_length: int) -> None:
        self.tokenizer, self.max_length = tokenizer, max_length
        with TemporaryDirectory() as folder:
            file = Path(folder) / "tokenizer.json"
            tokenizer.backend_tokenizer.save(str(file))
            self.encoder = TextEncoder(file, max_length)

    def windows(self, inputs: Sequence[ModelInput]) -> list[list[Encoded]]:
        """Return the windows of each text or pair; a pair that has none, as both are too long, is cut into one."""
        texts = iter(self.encoder.encode([each for each in inputs if isinstance(each, str)], with_offsets=False))
        return [self.of_text(next(texts)) if isinstance(each, str) else self.of_pair(each) for each in inputs]

    def of_text(self, text: EncodedText) -> list[Encoded]:
        return [self.piece(text, piece) for piece in text.pieces]

    def of_pair(self, pair: tuple[str, str]) -> list[Encoded]:
        try:
            [encoded] = self.encoder.encode_pairs([pair], with_offsets=False)
        except InvalidRequestError:
            return [dict(self.tokenizer(*pair, truncation=True, max_length=self.max_length))]
        return [self.inputs(self.encoder.pair_window(encoded, piece, NO_ROWS)) for piece in encoded.pieces]

    def tokens(self, texts: Sequence[str]) -> list[EncodedText]:
        """Return the tokens of each text with their places, and the pieces that windows are made of."""
        return self.encoder.encode(texts)

    def piece(self, text: EncodedText, piece: Piece) -> Encoded:
        return self.inputs(self.encoder.window(text.ids, piece, NO_ROWS))

    def around(self, values: Sequence[int], filler: int) -> list[int]:
        """Put a filler for each special token around what belongs to the tokens of a window."""
        special = self.encoder.special
        return [*[filler] * len(special.prefix), *values, *[filler] * len(special.suffix)]

    def inputs(self, window: Window) -> Encoded:
        columns: Mapping[str, Any] = {
            "input_ids": window.input_ids.tolist(),
            "attention_mask": [1] * len(window),
            "token_type_ids": [0] * len(window) if window.token_type_ids is None else window.token_type_ids.tolist(),
        }
        return {name: columns[name] for name in self.tokenizer.model_input_names if name in columns}


def classify_windows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    inputs: Sequence[ModelInput],
    max_length: int,
    batch_size: int = 32,
) -> list[FloatArray]:
    """Return logits (C,) for each text: the mean of its windows', weighted by tokens, as bundles pool them."""
    cut = WindowCutter(tokenizer, max_length).windows(inputs)
    logits = iter(forward(model, tokenizer, [window for windows in cut for window in windows], batch_size))
    pooled = []
    for windows in cut:
        rows = np.stack([next(logits) for _ in windows])  # (windows, C)
        pooled.append(np.average(rows, axis=0, weights=[len(each["input_ids"]) for each in windows]).astype(np.float32))
    return pooled


def tag_windows(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    max_length: int,
    batch_size: int = 32,
) -> list[TokenLogits]:
    """Return offsets (n, 2) and logits (n, labels) of every token, from the window in which it has most context."""
    cutter = WindowCutter(tokenizer, max_length)
    encoded = cutter.tokens(texts)
    windows = [cutter.piece(text, piece) for text in encoded for piece in text.pieces]
    outputs = iter(forward(model, tokenizer, windows, batch_size))
    found = []
    for text in encoded:
        rows = [next(outputs)[cutter.encoder.home_rows(piece)] for piece in text.pieces]
        found.append((text.offsets(), np.concatenate(rows)))
    return found
