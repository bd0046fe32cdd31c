"""The checkpoint as its users would export it for a peer: a padded graph in fp32, and in dynamic int8."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import torch
from onnxruntime.quantization import QuantType, quantize_dynamic
from transformers import PreTrainedModel

from app.bundle import Precision
from training.encoders import load_checkpoint, load_tokenizer

MAX_TOKENS = 512
OPSET = 20  # from here GELU is one operator
INPUTS = ("input_ids", "attention_mask")
GRAPHS: dict[Precision, str] = {"fp32": "model.onnx", "int8": "model_quantized.onnx"}


class Classifier(torch.nn.Module):
    """Token ids and mask (batch, sequence) to logits (batch, labels)."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


def export_graphs(checkpoint: str, folder: Path) -> Path:
    """Write weights, both graphs, config and tokenizer into `folder`, unless they are there; return it.

    TorchScript's exporter, because its graph was the faster one: on two cores and the 6-layer model 142 texts/s one
    at a time, 114 from the dynamo exporter, 121 with onnxruntime's attention fusion on top of TorchScript's.
    """
    if (folder / GRAPHS["int8"]).is_file():  # written last
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    model, tokenizer = load_checkpoint(checkpoint), load_tokenizer(checkpoint)
    tokenizer.model_max_length = MAX_TOKENS  # without it, infinity hangs on a longer text
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    example = tokenizer(["a short text", "a text that is longer than the short one"], padding=True, return_tensors="pt")
    fp32, unnamed = folder / GRAPHS["fp32"], folder / "int8.partial"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that TorchScript's exporter is deprecated
        torch.onnx.export(
            Classifier(model).eval(),
            tuple(example[name] for name in INPUTS),
            str(fp32),
            dynamo=False,
            input_names=list(INPUTS),
            output_names=["logits"],
            dynamic_axes={name: {0: "batch", 1: "sequence"} for name in INPUTS} | {"logits": {0: "batch"}},
            opset_version=OPSET,
        )
    quantize_dynamic(  # as onnxruntime documents it, for CPUs that multiply int8
        fp32, unnamed, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"]
    )
    shutil.move(unnamed, folder / GRAPHS["int8"])
    return folder
