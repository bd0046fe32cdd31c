"""Random checkpoints of every family, and their graphs beside them: what a test needs to hold one to the other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnxruntime as ort
import torch
from onnx import ModelProto
from transformers import PretrainedConfig, PreTrainedModel

from app.runtime.packing import PackedLayout
from app.window import Floats, Window
from training.encoders import family_of

VOCABULARY = 320


def random_model(model_class: type[PreTrainedModel], config: PretrainedConfig) -> PreTrainedModel:
    """Return a random model whose weights are large enough for its positions and attention to matter."""
    torch.manual_seed(1)
    config.architectures = [model_class.__name__]
    config._attn_implementation = "eager"
    model = model_class(config).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
            elif name.endswith("bias"):
                parameter.normal_(std=0.2)
    return model


def random_windows(
    lengths: Sequence[int], *, all_rows: bool, limit: int, types: bool = False, seed: int = 0
) -> list[Window]:
    """Return windows of random tokens, no longer than `limit`; the head reads all rows, or the first."""
    generator = np.random.default_rng(seed)
    windows = []
    for length in (min(length, limit) for length in lengths):
        rows = np.arange(length) if all_rows else np.zeros(1, np.int64)
        kinds = np.repeat([0, 1], [length // 2, length - length // 2]) if types else None
        windows.append(Window(generator.integers(5, VOCABULARY - 20, length), rows, kinds))
    return windows


def torch_answer(model: PreTrainedModel, window: Window) -> Floats:
    """Return what the checkpoint itself answers for one window: (rows, width)."""
    inputs = {"input_ids": torch.from_numpy(window.input_ids)[None]}
    if window.token_type_ids is not None:
        inputs["token_type_ids"] = torch.from_numpy(window.token_type_ids)[None]
    with torch.inference_mode():
        logits: Floats = model(**inputs).logits.float().numpy()
    return logits if logits.ndim == 2 else logits[0][window.head_rows]


class PackedGraph:
    """A packed graph on the CPU."""

    def __init__(self, graph: ModelProto, model: PreTrainedModel) -> None:
        family = family_of(model)
        self.names = [value.name for value in graph.graph.input]
        self.layout = PackedLayout(
            self.names, family.position_offset(model.config), family.local_attention(model.config)
        )
        self.session = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(self, windows: Sequence[Window]) -> list[Floats]:
        """Return (rows, width) for each window."""
        return self.layout.split(self.session.run(None, self.layout.feed(windows))[0], windows)
