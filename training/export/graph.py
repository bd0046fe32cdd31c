"""From a loaded checkpoint to an ONNX graph: fp32 for CPU and CUDA, fp16 for CUDA."""

from __future__ import annotations

import copy
import logging
import warnings
from typing import Any

import onnx
import torch
from onnx import ModelProto
from torch import Tensor
from torch.export import Dim
from transformers import PreTrainedModel

from training.export.attention import Attention, FlashAttention, GridAttention
from training.export.packed import PackedModel
from training.export.single_window import branch_for_single_windows

Shape = dict[int, Any]


def export_fp32(model: PreTrainedModel) -> ModelProto:
    """Export the packed graph in float32, with a branch for batches of a single window."""
    attention = GridAttention()
    packed = export(PackedModel(model, attention), attention, model.config.type_vocab_size)
    return branch_for_single_windows(packed)


def export_fp16(model: PreTrainedModel) -> ModelProto:
    """Export the packed graph in float16 with CUDA's packed attention; logits stay float32."""
    attention = FlashAttention()
    packed = PackedModel(copy.deepcopy(model).half(), attention)
    return export(packed, attention, model.config.type_vocab_size)


def export(module: PackedModel, attention: Attention, token_types: int) -> ModelProto:
    """Trace `module` with symbolic numbers of tokens, texts, grid columns and head rows."""
    tokens, texts, longest = Dim("tokens"), Dim("texts"), Dim("longest")
    grid_rows, head_rows = Dim("grid_rows"), Dim("head_rows")
    filled = torch.tensor([[True, True, True], [True, True, False]])
    where: dict[str, tuple[Tensor, Shape]] = {
        "pad_rows": (torch.tensor([[0, 1, 2], [3, 4, 0]]), {0: grid_rows, 1: longest}),
        "unpad_rows": (torch.tensor([0, 1, 2, 3, 4]), {0: tokens}),
        "attention_mask": (
            filled[:, None, :, None] & filled[:, None, None, :],
            {0: grid_rows, 2: longest, 3: longest},
        ),
        "token_offset": (torch.tensor([[0, 1, 2], [3, 4, 5]], dtype=torch.int32), {0: texts, 1: longest}),
        "cumulative_lengths": (torch.tensor([0, 3, 5], dtype=torch.int32), {0: Dim("texts_plus_1")}),
    }
    ids = torch.tensor([5, 6, 7, 5, 6])
    inputs: dict[str, Any] = {
        "input_ids": ids,
        "position_ids": torch.tensor([2, 3, 4, 2, 3]),
        "head_rows": torch.tensor([0, 3]),
        "where": tuple(where[name][0] for name in attention.input_names),
    }
    shapes: dict[str, Any] = {
        "input_ids": {0: tokens},
        "position_ids": {0: tokens},
        "head_rows": {0: head_rows},
        "where": tuple(where[name][1] for name in attention.input_names),
    }
    names = ["input_ids", "position_ids", "head_rows", *attention.input_names]
    if token_types > 1:
        inputs["token_type_ids"], shapes["token_type_ids"] = torch.zeros_like(ids), {0: tokens}
        names.append("token_type_ids")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own deprecations and registration notes
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        program = torch.onnx.export(
            module,
            kwargs=inputs,
            dynamic_shapes=shapes,
            input_names=names,
            output_names=["logits"],
            opset_version=attention.opset,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    proto = program.model_proto
    del proto.graph.value_info[:]  # stale after any rewriting; onnxruntime infers its own
    onnx.checker.check_model(proto, full_check=False)
    return proto
