"""Families of encoders: how a checkpoint is loaded, and which of its layers are packed and how."""

from training.encoders.base import Attention, Encoder, Head, Inputs, Reads, UnsupportedModelError
from training.encoders.loading import check_vocabulary, load_checkpoint, load_tokenizer
from training.encoders.registry import family_of, family_of_config, model_types

__all__ = [
    "Attention",
    "Encoder",
    "Head",
    "Inputs",
    "Reads",
    "UnsupportedModelError",
    "check_vocabulary",
    "family_of",
    "family_of_config",
    "load_checkpoint",
    "load_tokenizer",
    "model_types",
]
