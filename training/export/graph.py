"""From a loaded checkpoint to an ONNX graph: fp32 for CPU and CUDA, fp16 for CUDA."""

from __future__ import annotations

import copy
from typing import Any

import torch
from onnx import ModelProto
from torch import Tensor, nn
from torch.export import Dim
from transformers import PreTrainedModel

from training.encoders import Reads, UnsupportedModelError, family_of
from training.export.attention import FlashAttention, GridAttention
from training.export.packed import PackedModel
from training.export.padded import export_padded
from training.export.single_window import branch_for_lone_windows
from training.export.tracing import trace

Shape = dict[int, Any]


def export_fp32(model: PreTrainedModel, head: nn.Module, reads: Reads = "rows") -> ModelProto:
    """Export in float32: packed, with a branch for batches of a single window, or padded where the family is."""
    family = family_of(model)
    if family.layout == "padded":
        return export_padded(family, model, head, reads)
    return branch_for_lone_windows(export(PackedModel(family, model, GridAttention(), head, reads)))


def export_fp16(model: PreTrainedModel, head: nn.Module, reads: Reads = "rows") -> ModelProto:
    """Export the packed graph in float16 with CUDA's packed attention; logits stay float32."""
    family = family_of(model)
    if "fp16" not in family.precisions:
        raise UnsupportedModelError(f"{type(model).__name__} is exported in fp32 only; set export.precisions to fp32")
    model, head = copy.deepcopy((model, head))  # together: a head may share its weights with the embeddings
    return export(PackedModel(family, model, FlashAttention(), head, reads).half())


def export(module: PackedModel) -> ModelProto:
    """Trace `module` with symbolic numbers of tokens, windows, grid columns and head rows."""
    examples = packed_examples()
    names = module.input_names
    return trace(
        module,
        {"inputs": {name: examples[name][0] for name in names}},
        {"inputs": {name: examples[name][1] for name in names}},
        names,
        module.opset,
    )


def packed_examples() -> dict[str, tuple[Tensor, Shape]]:
    """Return each input of a packed graph as it is for two windows of 3 and 2 tokens, and its variable axes."""
    tokens, texts, longest = Dim("tokens"), Dim("texts"), Dim("longest")
    grid_rows, head_rows = Dim("grid_rows"), Dim("head_rows")
    filled = torch.tensor([[True, True, True], [True, True, False]])
    mask = filled[:, None, :, None] & filled[:, None, None, :]
    mask_shape: Shape = {0: grid_rows, 2: longest, 3: longest}
    return {
        "input_ids": (torch.tensor([5, 6, 7, 5, 6]), {0: tokens}),
        "position_ids": (torch.tensor([2, 3, 4, 2, 3]), {0: tokens}),
        "token_type_ids": (torch.zeros(5, dtype=torch.int64), {0: tokens}),
        "head_rows": (torch.tensor([0, 3]), {0: head_rows}),
        "token_windows": (torch.tensor([0, 0, 0, 1, 1]), {0: tokens}),
        "window_lengths": (torch.tensor([3, 2]), {0: texts}),
        "pad_rows": (torch.tensor([[0, 1, 2], [3, 4, 0]]), {0: grid_rows, 1: longest}),
        "unpad_rows": (torch.tensor([0, 1, 2, 3, 4]), {0: tokens}),
        "attention_mask": (mask, mask_shape),
        "local_attention_mask": (mask.clone(), mask_shape),
        "token_offset": (torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.int32), {0: texts, 1: longest}),
        "cumulative_lengths": (torch.tensor([0, 3, 5], dtype=torch.int32), {0: Dim("texts_plus_1")}),
    }
