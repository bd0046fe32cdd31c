"""Kilobyte-sized checkpoints and bundles, made here through the real export: no download."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaForMaskedLM,
    RobertaForQuestionAnswering,
    RobertaForSequenceClassification,
    RobertaForTokenClassification,
)

from training.config import ExportConfig
from training.encoders import Head, family_of
from training.export.graph import export_fp16, export_fp32
from training.export.publication import Publication
from training.export.publish import publish
from training.pretraining.vocabulary import FIRST_SPECIALS, MASK, as_roberta
from training.tasks import task_of_config
from training.trained import TrainedCheckpoint

SPECIALS = [*FIRST_SPECIALS, MASK]
CORPUS = [
    "a good and lovely film , warm and great .",
    "a bad and awful film , cold and dull .",
    "Ada Byron met Bob in Paris and Rome .",
    "the café in São Paulo isn't open ( yet ) .",
]
TAGS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
MODEL_CLASSES = {
    "text-classification": RobertaForSequenceClassification,
    "token-classification": RobertaForTokenClassification,
    "fill-mask": RobertaForMaskedLM,
    "question-answering": RobertaForQuestionAnswering,
}


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """Return a byte-level BPE tokenizer of a few hundred tokens with RoBERTa's special tokens and framing."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(CORPUS, trainer)
    return as_roberta(bpe, 512)


def tiny_config(vocab_size: int, labels: list[str] | None = None) -> RobertaConfig:
    """Return the shape of a two-layer RoBERTa with 64 positions."""
    names = {} if labels is None else {"id2label": dict(enumerate(labels)), "num_labels": len(labels)}
    return RobertaConfig(
        vocab_size=vocab_size,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        type_vocab_size=1,
        pad_token_id=1,
        bos_token_id=0,
        eos_token_id=2,
        **names,
    )


def tiny_model(task: str, labels: list[str] | None = None) -> PreTrainedModel:
    """Return a random model whose weights are large enough to tell texts apart."""
    torch.manual_seed(0)
    model = MODEL_CLASSES[task](tiny_config(len(tiny_tokenizer()), labels)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    return model


def tiny_sequence_model(model_class: type[PreTrainedModel], config_class: type[PretrainedConfig], **fields: Any) -> Any:
    """Return a random two-layer classifier of any family, with the tokens of `tiny_tokenizer` and 64 positions."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": len(tiny_tokenizer()),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "max_position_embeddings": 66,
        "pad_token_id": 1,
        "bos_token_id": 0,
        "eos_token_id": 2,
        "id2label": {0: "a", 1: "b"},
    }
    model = model_class(config_class(**shape | fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    return model


def save_checkpoint(model: PreTrainedModel, folder: Path) -> Path:
    """Write a Hugging Face folder: safetensors, config and tokenizer."""
    model.save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    return folder


def publish_tiny(checkpoint: Path, models: Path, name: str, precisions: tuple[str, ...] = ("int8", "fp32")) -> Path:
    """Publish a checkpoint through the real export."""
    publication = Publication(name=name, export=ExportConfig(precisions=precisions, max_length=64))
    return publish(publication, TrainedCheckpoint(str(checkpoint), "tiny-random", CORPUS * 4), models).folder


def head_of(model: PreTrainedModel) -> Head:
    return task_of_config({"architectures": [type(model).__name__]}).head(family_of(model), model)


def fp32_graph(model: PreTrainedModel) -> ModelProto:
    """Export a model with its own head in float32."""
    return exported_once(export_fp32, model)


def fp16_graph(model: PreTrainedModel) -> ModelProto:
    """Export a model with its own head in float16, for CUDA."""
    return exported_once(export_fp16, model)


EXPORTED: dict[str, bytes] = {}  # graphs by what they were made of: many tests begin with one and the same


def exported_once(export: Callable[..., ModelProto], model: PreTrainedModel) -> ModelProto:
    """Export a model with its own head, or return a copy of the graph of an equal one."""
    origin = f"{export.__name__} {type(model).__name__} {model.config.to_json_string()}"
    sum_of_all = hashlib.sha256(origin.encode())
    for name, weight in model.state_dict().items():
        sum_of_all.update(name.encode())
        sum_of_all.update(weight.numpy().tobytes())
    key = sum_of_all.hexdigest()
    if key not in EXPORTED:
        EXPORTED[key] = export(model, *head_of(model)).SerializeToString()
    return ModelProto.FromString(EXPORTED[key])
