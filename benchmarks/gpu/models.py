"""Randomly initialized RoBERTa classifiers of known shapes as bundles, and what one forward pass of them multiplies.

Speed and rounding do not need trained weights; nothing is downloaded.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from transformers import RobertaConfig, RobertaForSequenceClassification

from app.bundle import Bundle, Precision
from benchmarks.serving.bundles import NAME, extract
from training.config import ExportConfig
from training.export.publication import Publication
from training.export.publish import publish
from training.pretraining.vocabulary import train_vocabulary
from training.trained import TrainedCheckpoint

VOCABULARY, POSITIONS = 50_265, 512
WORDS = ("light", "river", "engine", "paper", "market", "winter", "signal", "garden", "letter", "mirror")

# layers, hidden size, heads, intermediate size. base and large: Liu et al. 2019, arXiv:1907.11692, section 3.1 and
# 5; small: the shape of the shipped bundles.
SHAPES = {
    "tiny": (2, 64, 2, 128),
    "small": (6, 384, 12, 1536),
    "base": (12, 768, 12, 3072),
    "large": (24, 1024, 16, 4096),
}


def make_random_bundles(
    shape: str, precisions: Sequence[Precision], folder: Path
) -> tuple[Path, dict[Precision, Bundle]]:
    """Make a checkpoint of a shape and a bundle of each precision; what is in `folder` already is used again."""
    checkpoint, published = folder / "checkpoint", folder / f"published-{'-'.join(precisions)}"
    if not checkpoint.is_dir():
        random_model(shape).save_pretrained(checkpoint)
        train_vocabulary([" ".join(WORDS)] * 4, VOCABULARY, POSITIONS).save_pretrained(checkpoint)
    if not published.is_dir():
        publication = Publication(name=NAME, export=ExportConfig(precisions=tuple(precisions), max_length=POSITIONS))
        publish(publication, TrainedCheckpoint(str(checkpoint), f"random-{shape}", make_texts(64)), published)
    return checkpoint, {precision: extract(published, precision, folder / precision) for precision in precisions}


def random_model(shape: str) -> RobertaForSequenceClassification:
    """Return a model whose biases and norms are random as well: as they begin, an exporter would leave them out."""
    torch.manual_seed(0)
    model = RobertaForSequenceClassification(config_of(shape))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter += model.config.initializer_range * torch.randn_like(parameter)
    return model


def config_of(shape: str) -> RobertaConfig:
    layers, hidden, heads, intermediate = SHAPES[shape]
    return RobertaConfig(
        vocab_size=VOCABULARY,
        num_hidden_layers=layers,
        hidden_size=hidden,
        num_attention_heads=heads,
        intermediate_size=intermediate,
        max_position_embeddings=POSITIONS + 2,
        type_vocab_size=1,
        num_labels=2,
    )


def make_texts(count: int) -> list[str]:
    """Return texts of 8 to 40 words, none like another."""
    return [" ".join(WORDS[(i * 7 + j * (i % 9 + 1)) % len(WORDS)] for j in range(8 + i % 33)) for i in range(count)]


def forward_flops(shape: str, lengths: Sequence[int]) -> int:
    """Return the floating-point operations of the encoder's matrix products for windows of these lengths.

    Two for each multiply-add: for a token and layer 2 * (4 h**2 + 2 h f) in the linear layers and 4 h n in QK' and
    AV, n being the length of its window. In the last layer, what follows attention, 2 * (h**2 + 2 h f), is computed
    for one token of each window. Embeddings, norms, softmax and the head are left out. Source: Kaplan et al. 2020,
    arXiv:2001.08361, section 2.1, whose attention term is for one of the two products of a causal mask.
    """
    layers, hidden, _, intermediate = SHAPES[shape]
    linear = 2 * (4 * hidden**2 + 2 * hidden * intermediate)
    after_attention = 2 * (hidden**2 + 2 * hidden * intermediate)
    spared = after_attention * sum(n - 1 for n in lengths)
    return layers * sum(n * linear + 4 * hidden * n**2 for n in lengths) - spared
