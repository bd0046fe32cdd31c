"""Loading a checkpoint for export: a folder or a Hub id, safetensors only, in float32, with its own head."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from training.encoders.base import UnsupportedModelError
from training.encoders.modules import transformer_path
from training.encoders.sources import find_source

WITHOUT_TOKENIZER = (
    "{} has no tokenizer that can be loaded; put its tokenizer.json, or that of its base, beside config.json"
)


def load_checkpoint(source: str) -> PreTrainedModel:
    """Load the model class that the checkpoint's config names, ready for inference.

    Pickled weights are refused. Raises `UnsupportedModelError` with a sentence when it cannot be loaded.
    """
    answers_vectors = transformer_path(source) is not None  # whatever head its encoder was pretrained with
    source = find_source(source)
    try:
        config = AutoConfig.from_pretrained(source)
        architecture = (config.architectures or ["none"])[0]
        model_class: Any = AutoModel if answers_vectors else getattr(transformers, architecture, None)
        if model_class is None:
            raise UnsupportedModelError(f"{source}: config.json names no architecture of transformers")
        model: PreTrainedModel = model_class.from_pretrained(
            source, dtype=torch.float32, attn_implementation="eager", use_safetensors=True
        )
    except UnsupportedModelError:
        raise
    except Exception as error:  # the Hub's client, safetensors and every config have errors of their own
        raise UnsupportedModelError(f"{source} cannot be loaded: {reason_of(error)}") from error
    return model.eval()


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    """Load a checkpoint's fast tokenizer; raises `UnsupportedModelError` when it has none."""
    source = find_source(source, weights=False)
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(source)
    except Exception as error:  # tokenizers raises bare exceptions
        if Path(source).is_dir() and not (Path(source) / "tokenizer.json").is_file():
            raise UnsupportedModelError(WITHOUT_TOKENIZER.format(source)) from error
        raise UnsupportedModelError(f"{source} has no tokenizer that can be loaded: {reason_of(error)}") from error
    if not tokenizer.get_vocab().keys() - set(tokenizer.all_special_tokens):  # made of nothing, where there is no file
        raise UnsupportedModelError(WITHOUT_TOKENIZER.format(source))
    if not tokenizer.is_fast:
        raise UnsupportedModelError(f"{source} has no fast tokenizer; save it with one (tokenizer.json)")
    return tokenizer


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, model: PreTrainedModel) -> None:
    """Raise `UnsupportedModelError` when the tokenizer knows tokens that the model has no vectors for."""
    tokens, vectors = len(tokenizer), model.config.vocab_size
    if tokens > vectors:
        raise UnsupportedModelError(
            f"its tokenizer has {tokens} tokens, and the model vectors for {vectors}; "
            "put the tokenizer beside it that it was trained with"
        )


def reason_of(error: Exception) -> str:
    """Return the first line of what a library says, without its full stop."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
