"""Loading a checkpoint for export: a folder or a Hub id, safetensors only, in float32, with its own head."""

from __future__ import annotations

from typing import Any

import torch
import transformers
from transformers import AutoConfig, PreTrainedModel

from training.export.heads import UnsupportedModelError


def load_checkpoint(source: str) -> PreTrainedModel:
    """Load the model class that the checkpoint's config names, ready for inference.

    Pickled weights are refused. Raises `UnsupportedModelError` with a sentence when it cannot be loaded.
    """
    try:
        config = AutoConfig.from_pretrained(source)
        architecture = (config.architectures or ["none"])[0]
        model_class: Any = getattr(transformers, architecture, None)
        if model_class is None:
            raise UnsupportedModelError(f"{source}: config.json names no architecture of transformers")
        model: PreTrainedModel = model_class.from_pretrained(
            source, dtype=torch.float32, attn_implementation="eager", use_safetensors=True
        )
    except (OSError, ValueError) as error:
        if isinstance(error, UnsupportedModelError):
            raise
        raise UnsupportedModelError(f"{source} cannot be loaded: {str(error).splitlines()[0]}") from error
    return model.eval()
