"""The modules of a sentence-transformers checkpoint: what stands behind its encoder, read and written as files.

Source: modules.json, 1_Pooling/config.json, sentence_bert_config.json and config_sentence_transformers.json, as
sentence-transformers writes them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from safetensors.torch import load_file, save_file
from torch import nn
from transformers.utils import cached_file

from app.bundle.hub_cache import is_cached_repository, snapshot_in
from app.bundle.sentence_modules import OLDER_KEYS
from app.bundle.sentence_modules import POOLINGS as OURS
from training.encoders.base import UnsupportedModelError
from training.encoders.pooling import POOLINGS

MODULES, LENGTHS, PROMPTS = "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json"
WEIGHTS = "model.safetensors"

# What sentence-transformers calls each of our poolings: the flag in older files, the value of `pooling_mode` in newer.
POOLING_NAMES = {OURS[name]: (flag, name) for flag, name in OLDER_KEYS.items()}
ACTIVATIONS = {"Identity": nn.Identity, "Tanh": nn.Tanh, "ReLU": nn.ReLU, "GELU": nn.GELU, "Sigmoid": nn.Sigmoid}
WITHOUT_EFFECT = ("Dropout",)  # at inference


@dataclass
class Modules:
    """What is behind an encoder: its pooling, dense layers, and whether vectors are normalized; and what is before it.

    `trained_pooling`: that of the files; None where there are none. `max_length`: tokens of a text, special tokens
    included; None: as many as the encoder has positions for.
    """

    pooling: str = "mean"
    trained_pooling: str | None = None
    dense: list[nn.Sequential] = field(default_factory=list)
    normalizes: bool = False
    max_length: int | None = None
    lowercase: bool = False
    prompts: dict[str, str] = field(default_factory=dict)
    default_prompt: str | None = None

    def prepared(self, text: str) -> str:
        """Return a text as it is tokenized: its prompt before it, and in lower case where the model was trained so."""
        whole = text if self.default_prompt is None else self.prompts[self.default_prompt] + text
        return whole.lower() if self.lowercase else whole


def transformer_path(source: str) -> str | None:
    """Return where the encoder of a sentence-transformers checkpoint lies; None for any other checkpoint."""
    listed = read(source, MODULES)
    if not listed:
        return None
    first = listed[0]
    if not isinstance(first, Mapping) or kind_of(first) != "Transformer":
        raise UnsupportedModelError(f"{source}: its {MODULES} begins with no Transformer")
    path = str(first.get("path", ""))
    return str(Path(source) / path) if path else source


def read_modules(source: str) -> Modules | None:
    """Read what is behind the encoder; None where there is no modules.json.

    Raises `UnsupportedModelError` for modules that are not known here.
    """
    listed = read(source, MODULES)
    if not listed:
        return None
    found = Modules()
    for each in listed[1:]:
        add_module(found, source, kind_of(each), str(each.get("path", "")))
    lengths = read(transformer_path(source) or source, LENGTHS) or {}
    length = lengths.get("max_seq_length")
    found.max_length = int(length) if length else None
    found.lowercase = bool(lengths.get("do_lower_case"))
    prompts = read(source, PROMPTS) or {}
    found.prompts = {str(name): str(text) for name, text in (prompts.get("prompts") or {}).items()}
    found.default_prompt = prompts.get("default_prompt_name")
    return found


def add_module(found: Modules, source: str, kind: str, path: str) -> None:
    if kind == "Pooling":
        found.pooling = found.trained_pooling = pooling_of(read(source, f"{path}/config.json") or {}, source)
    elif kind == "Dense":
        found.dense.append(read_dense(source, path))
    elif kind == "Normalize":
        found.normalizes = True
    elif kind not in WITHOUT_EFFECT:
        raise UnsupportedModelError(f"{source} has a module {kind}, which is not known here")


def pooling_of(config: Mapping[str, Any], source: str) -> str:
    """Return the one pooling that is switched on."""
    mode = config.get("pooling_mode")
    modes = [mode] if isinstance(mode, str) else list(mode or ())
    chosen = [name for name, (flag, value) in POOLING_NAMES.items() if config.get(flag) or value in modes]
    if len(chosen) != 1:
        which = f"joins {', '.join(chosen)}" if chosen else "names no pooling that is known here"
        raise UnsupportedModelError(f"{source}: its Pooling {which}; one of {', '.join(POOLINGS)} is needed")
    if config.get("include_prompt") is False:
        raise UnsupportedModelError(
            f"{source} leaves the tokens of the prompt out of its pooling, which is not done here"
        )
    return chosen[0]


def read_dense(source: str, path: str) -> nn.Sequential:
    """Return a dense layer with its activation: (B, in) -> (B, out)."""
    config = read(source, f"{path}/config.json") or {}
    name = str(config.get("activation_function", "torch.nn.modules.activation.Tanh")).rpartition(".")[2]
    weights = file_of(source, f"{path}/{WEIGHTS}")
    if name not in ACTIVATIONS or weights is None:
        reason = f"the activation {name}" if name not in ACTIVATIONS else f"no {path}/{WEIGHTS}"
        raise UnsupportedModelError(f"{source}: its dense layer has {reason}, which cannot be used here")
    tensors = load_file(weights)
    linear = nn.Linear(tensors["linear.weight"].shape[1], tensors["linear.weight"].shape[0], "linear.bias" in tensors)
    linear.load_state_dict({key.removeprefix("linear."): value.float() for key, value in tensors.items()})
    return nn.Sequential(linear, ACTIVATIONS[name]())


def write_modules(folder: Path, modules: Modules, width: int) -> None:
    """Make a folder that `save_pretrained` has written one of sentence-transformers; `width`: of the hidden states."""
    parts = [("Transformer", "")]
    parts.append(("Pooling", write_config(folder, parts, "Pooling", pooling_config(modules.pooling, width))))
    for layer in modules.dense:
        linear, activation = layer.children()
        config = {
            "in_features": linear.in_features,
            "out_features": linear.out_features,
            "bias": linear.bias is not None,
            "activation_function": f"torch.nn.modules.activation.{type(activation).__name__}",
        }
        parts.append(("Dense", write_config(folder, parts, "Dense", config)))
        state = {f"linear.{name}": value.contiguous() for name, value in linear.state_dict().items()}
        save_file(state, folder / parts[-1][1] / WEIGHTS)
    if modules.normalizes:
        parts.append(("Normalize", write_config(folder, parts, "Normalize", None)))
    write_json(folder / MODULES, listed_modules(parts))
    write_json(folder / LENGTHS, {"max_seq_length": modules.max_length, "do_lower_case": modules.lowercase})
    write_json(folder / PROMPTS, {"prompts": modules.prompts, "default_prompt_name": modules.default_prompt})


def listed_modules(parts: Sequence[tuple[str, str]]) -> list[dict[str, Any]]:
    return [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (kind, path) in enumerate(parts)
    ]


def pooling_config(pooling: str, width: int) -> dict[str, Any]:
    flags = {flag: name == pooling for name, (flag, _) in POOLING_NAMES.items()}
    return {"word_embedding_dimension": width, **flags, "include_prompt": True}


def write_config(folder: Path, parts: Sequence[object], kind: str, config: Mapping[str, Any] | None) -> str:
    """Make the folder of the next module, and return its name."""
    path = f"{len(parts)}_{kind}"
    (folder / path).mkdir()
    if config is not None:
        write_json(folder / path / "config.json", config)
    return path


def write_json(path: Path, content: object) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def kind_of(module: Mapping[str, Any]) -> str:
    return str(module.get("type", "")).rpartition(".")[2]


def read(source: str, name: str) -> Any:
    """Return the content of a JSON file of a checkpoint, a folder or a Hub id; None where it has none."""
    path = file_of(source, name)
    if path is None:
        return None
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UnsupportedModelError(f"{source}: {name} is no JSON: {error}") from error


def file_of(source: str, name: str) -> str | None:
    """Return where a file of a checkpoint lies; None where it has none."""
    if (folder := Path(source)).is_dir():
        path = (snapshot_in(folder) if is_cached_repository(folder) else folder) / name
        return str(path) if path.is_file() else None
    try:
        return cast(str | None, cached_file(source, name, _raise_exceptions_for_missing_entries=False))
    except OSError:  # what there is to say of it, loading says
        return None
