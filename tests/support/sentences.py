"""Tiny folders of sentence-transformers with an ONNX graph, and what that library answers for them, by torch alone."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F
from transformers import RobertaModel

from tests.support.tiny import tiny_config, tiny_tokenizer

WIDTH = 32
BASE = "sentence_transformers.base.modules"
NEWER = {  # where version 6 has its modules
    "Transformer": f"{BASE}.transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling",
    "Dense": f"{BASE}.dense",
    "Normalize": f"{BASE}.normalize",
}
OLDER = {"cls": "cls_token", "mean": "mean_tokens", "max": "max_tokens", "lasttoken": "lasttoken"}


@dataclass
class Sentences:
    """A model of sentence-transformers: an encoder, a pooling, and what comes after it."""

    folder: Path
    encoder: RobertaModel
    pooling: tuple[str, ...]
    dense: list[tuple[nn.Linear, str]] = field(default_factory=list)
    normalize: bool = False

    @torch.inference_mode()
    def encode(self, text: str) -> np.ndarray:
        """Return the vector of a text, (width,), as `SentenceTransformer.encode` does."""
        tokens = tiny_tokenizer()(text, return_tensors="pt", truncation=True, max_length=64)
        hidden = self.encoder(**tokens).last_hidden_state[0]  # (S, width)
        vector = torch.cat([pool(hidden, way) for way in self.pooling])
        for linear, activation in self.dense:
            vector = getattr(nn, activation)()(linear(vector))
        return (F.normalize(vector, dim=0) if self.normalize else vector).numpy()


def pool(hidden: torch.Tensor, way: str) -> torch.Tensor:
    count, places = len(hidden), torch.arange(1, len(hidden) + 1).float()
    ways = {
        "cls": lambda: hidden[0],
        "mean": lambda: hidden.mean(dim=0),
        "max": lambda: hidden.max(dim=0).values,
        "mean_sqrt_len_tokens": lambda: hidden.sum(dim=0) / count**0.5,
        "weightedmean": lambda: (hidden * places[:, None]).sum(dim=0) / places.sum(),
        "lasttoken": lambda: hidden[-1],
    }
    return ways[way]()


class Tokens(nn.Module):
    """The encoder as Optimum exports it."""

    def __init__(self, encoder: RobertaModel) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
        answer: torch.Tensor = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return answer


def export_tokens(encoder: RobertaModel, file: Path) -> None:
    """Write the encoder's graph, with dynamic axes, once for all folders of a test."""
    ids = torch.full((2, 8), 5)  # no padding
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own, of its own
        torch.onnx.export(
            Tokens(encoder).eval(),
            (ids, torch.ones_like(ids)),
            file,
            input_names=["input_ids", "attention_mask"],
            output_names=["last_hidden_state"],
            dynamic_axes={
                name: {0: "windows", 1: "tokens"} for name in ("input_ids", "attention_mask", "last_hidden_state")
            },
            dynamo=False,  # as Optimum does it, and faster
            opset_version=14,
        )


def tiny_encoder() -> RobertaModel:
    torch.manual_seed(3)
    encoder = RobertaModel(tiny_config(len(tiny_tokenizer())), add_pooling_layer=False).eval()
    with torch.no_grad():
        for weight in encoder.parameters():
            weight.mul_(4.0)
    return encoder


def write_sentences(
    folder: Path,
    encoder: RobertaModel,
    graph: bytes | None = None,
    pooling: tuple[str, ...] = ("mean",),
    dense: tuple[str, ...] = (),
    normalize: bool = False,
    older: bool = False,
    **about: Any,
) -> Sentences:
    """Write a folder as sentence-transformers 6 saves it, or as its versions before 5 did."""
    model = Sentences(folder, encoder, pooling, normalize=normalize)
    folder.mkdir(parents=True)
    tiny_tokenizer().save_pretrained(folder)
    encoder.config.architectures = ["RobertaModel"]
    encoder.config.save_pretrained(folder)
    if graph is not None:
        (folder / "onnx").mkdir()
        (folder / "onnx" / "model.onnx").write_bytes(graph)
    kinds = ["Transformer", "Pooling", *(["Dense"] * len(dense)), *(["Normalize"] if normalize else [])]
    packages = {kind: "sentence_transformers.models" if older else NEWER[kind] for kind in kinds}
    folders = ["", *(f"{number}_{kind}" for number, kind in enumerate(kinds) if number)]
    entries = [
        {"idx": n, "name": str(n), "path": folders[n], "type": f"{packages[kind]}.{kind}"}
        for n, kind in enumerate(kinds)
    ]
    write(folder / "modules.json", entries)
    write(folder / "config_sentence_transformers.json", {"prompts": {}, "default_prompt_name": None, **about})
    config: dict[str, Any] = {
        "pooling_mode": pooling[0] if len(pooling) == 1 else list(pooling),
        "include_prompt": True,
    }
    if older:
        config = {f"pooling_mode_{name}": way in pooling for way, name in OLDER.items()}
    write(folder / folders[1] / "config.json", config | {"word_embedding_dimension": WIDTH})
    width = WIDTH * len(pooling)
    for place, activation in zip(folders[2:], dense, strict=False):
        torch.manual_seed(len(place))
        linear = nn.Linear(width, 8)
        model.dense.append((linear, activation))
        width = 8
        path = f"torch.nn.modules.activation.{activation}"
        write(folder / place / "config.json", {"in_features": linear.in_features, "activation_function": path})
        save_file(
            {f"linear.{name}": value for name, value in linear.state_dict().items()},
            folder / place / "model.safetensors",
        )
    return model


def write(file: Path, content: Any) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))
