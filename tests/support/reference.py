"""What a PyTorch checkpoint answers, computed window by window: what graphs and services are held against."""

from __future__ import annotations

import numpy as np
import torch
from transformers import PreTrainedModel

from app.window import Floats, Window


def reference_logits(model: PreTrainedModel, task: str, window: Window) -> Floats:
    """Return the checkpoint's own answer for one window: (rows, width), float32, computed without padding."""
    inputs = {"input_ids": torch.from_numpy(window.input_ids)[None]}
    if window.token_type_ids is not None and model.config.type_vocab_size > 1:
        inputs["token_type_ids"] = torch.from_numpy(window.token_type_ids)[None]
    with torch.inference_mode():
        output = model(**inputs)
    if "start_logits" in output:
        logits = torch.stack([output.start_logits[0], output.end_logits[0]], dim=-1).float().numpy()  # (S, 2)
    else:
        logits = np.asarray(output.logits[0].float())
    return logits[None] if task == "text-classification" else logits[window.head_rows]
