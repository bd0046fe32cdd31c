"""What a folder of sentence-transformers says beside its config: what makes one vector of a text's token vectors.

    modules.json                        the modules, in order, each with its type and folder
    sentence_bert_config.json           of the transformer: the longest window, and lower case
    1_Pooling/config.json               how one vector is made of those of the tokens
    2_Dense/config.json                 a dense layer after that, with model.safetensors beside it
    config_sentence_transformers.json   prompts by name

Source: the modules of sentence-transformers 6.2, and what its versions since 2 have written.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from app.bundle.files import belongs_to, read_file, read_json
from app.bundle.manifest import BundleError
from app.bundle.positions import sensible
from app.bundle.safetensors_file import read_safetensors

MODULES, ABOUT, TRANSFORMER = "modules.json", "config_sentence_transformers.json", "sentence_bert_config.json"
MODULE_FILES = ("config.json", "model.safetensors")
POOLING_FILE = re.compile(r"\d+_Pooling/config\.json")
MOST_MODULES = 16
WITHOUT_EFFECT = "Dropout"  # in training only

# sentence-transformers' names of poolings, and ours; the keys that its older versions set to true have them at the end.
POOLINGS = {
    "cls": "first",
    "mean": "mean",
    "max": "max",
    "mean_sqrt_len_tokens": "mean_sqrt_len",
    "weightedmean": "weighted_mean",
    "lasttoken": "last",
}
OLDER_KEYS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
ACTIVATIONS = ("Identity", "Tanh", "ReLU", "Sigmoid", "GELU")


@dataclass(frozen=True)
class Dense:
    """A linear layer, `weight` (out, in) and `bias` (out,), and one of `ACTIVATIONS` after it."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32] | None
    activation: str


@dataclass(frozen=True)
class SentenceModules:
    """What is done with a text before the encoder, and with its token vectors after it.

    `pooling` is one of our names, or several joined by a plus sign: one vector after the other.
    """

    pooling: str
    dense: tuple[Dense, ...] = ()
    normalize: bool = False
    prompts: Mapping[str, str] = field(default_factory=dict)
    default_prompt: str | None = None
    max_length: int | None = None
    lowercase: bool = False

    def dimensions(self, hidden_size: int) -> int:
        """Return the width of a text's vector, where token vectors are `hidden_size` wide."""
        if self.dense:
            return len(self.dense[-1].weight)
        return hidden_size * (1 + self.pooling.count("+"))


def is_sentence_model(names: Collection[str]) -> bool:
    """Whether a folder with files of these names has modules that make one vector of a text."""
    return MODULES in names and any(POOLING_FILE.fullmatch(name) for name in names)


def module_files(path: Path) -> list[str]:
    """Return the files that are read of a folder beside those of transformers, where they are there."""
    inner = [f"{folder.name}/{name}" for folder in sorted(path.glob("[0-9]*_*")) for name in MODULE_FILES]
    return [
        name for name in (MODULES, ABOUT, TRANSFORMER, *inner) if (path / name).exists() or (path / name).is_symlink()
    ]


def read_modules(path: Path) -> SentenceModules | None:
    """Return what the modules of a folder say; None for a folder that is none of sentence-transformers.

    A cross-encoder has no pooling, and is none here. Raises `BundleError` for a module that is not supported, by name.
    """
    if not (path / MODULES).is_file():
        return None
    entries = module_entries(path)
    kinds = [kind for kind, _ in entries]
    if "Pooling" not in kinds:
        return None
    if kinds[:2] != ["Transformer", "Pooling"] or entries[0][1] not in ("", "."):
        raise BundleError(
            f"{MODULES} has {', '.join(kinds)}; a transformer whose files are beside {MODULES} and a pooling after it "
            "are served: save the model again with sentence-transformers, version 3 or newer"
        )
    about = read_json(path / ABOUT) if (path / ABOUT).is_file() else {}
    encoder = read_json(path / TRANSFORMER) if (path / TRANSFORMER).is_file() else {}
    prompts = prompts_of(about)
    rest = entries[2:]
    is_normalized = bool(rest) and rest[-1][0] == "Normalize"
    return SentenceModules(
        pooling=pooling_of(path / entries[1][1], prompts),
        dense=tuple(dense_of(path / folder) for kind, folder in rest[: len(rest) - is_normalized] if is_dense(kind)),
        normalize=is_normalized,
        prompts=prompts,
        default_prompt=about.get("default_prompt_name"),
        max_length=sensible(encoder.get("max_seq_length")),
        lowercase=encoder.get("do_lower_case") is True,
    )


def module_entries(path: Path) -> list[tuple[str, str]]:
    """Return the type of each module, by its class, and its folder. Raises `BundleError`."""
    try:
        entries = TypeAdapter(list[dict[str, Any]]).validate_json(read_file(path / MODULES))
        found = [(str(entry["type"]).rpartition(".")[2], str(entry.get("path", ""))) for entry in entries]
    except (KeyError, OSError, ValidationError) as error:
        raise BundleError(f"{MODULES} is not a list of modules, each with a type") from error
    if len(found) > MOST_MODULES:
        raise BundleError(f"{MODULES} has more than {MOST_MODULES} modules")
    if outside := [folder for _, folder in found if folder and not belongs_to(path, folder)]:
        raise BundleError(f"{MODULES} names {outside[0][:80]!r}, which is outside of the folder")
    return found


def is_dense(kind: str) -> bool:
    """Whether a module is a dense layer; one that only training needs is none. Raises `BundleError` for any other."""
    if kind not in ("Dense", WITHOUT_EFFECT):
        raise BundleError(
            f"{MODULES} has the module {kind[:80]} after the pooling, which is not served; Dense is, and Normalize at "
            "the end"
        )
    return kind == "Dense"


def pooling_of(folder: Path, prompts: Mapping[str, str]) -> str:
    """Return how token vectors are pooled. Raises `BundleError` naming what is not known."""
    config = read_json(folder / "config.json")
    given = config.get("pooling_mode", [mode for key, mode in OLDER_KEYS.items() if config.get(key) is True])
    modes = given if isinstance(given, list) else [given]
    if unknown := [mode for mode in modes if mode not in POOLINGS]:
        raise BundleError(f"{folder.name} has the pooling {unknown[0]!r}; these are served: {', '.join(POOLINGS)}")
    if not modes:
        raise BundleError(f"{folder.name}/config.json names no pooling; these are served: {', '.join(POOLINGS)}")
    if config.get("include_prompt") is False and any(prompts.values()):
        raise BundleError(f"{folder.name} leaves prompts out of the pooling (include_prompt), which is not served")
    return "+".join(POOLINGS[mode] for mode in modes)


def dense_of(folder: Path) -> Dense:
    """Read a dense layer. Raises `BundleError` for pickled weights, and for what is not known, by name."""
    config = read_json(folder / "config.json")
    activation = str(config.get("activation_function", "Tanh")).rpartition(".")[2]
    if activation not in ACTIVATIONS:
        raise BundleError(f"{folder.name} has the activation {activation[:80]!r}; {', '.join(ACTIVATIONS)} are served")
    places = {config.get(key) or "sentence_embedding" for key in ("module_input_name", "module_output_name")}
    if config.get("use_residual") or places != {"sentence_embedding"}:
        raise BundleError(f"{folder.name} is a dense layer with a residual or over tokens, which is not served")
    if not (folder / "model.safetensors").is_file() and (folder / "pytorch_model.bin").is_file():
        raise BundleError(
            f"the weights of {folder.name} are pickled, which is not safe to load; type: roberta-train convert "
            f"{folder.parent.name}"
        )
    tensors = read_safetensors(folder / "model.safetensors")
    weight, bias = tensors.get("linear.weight"), tensors.get("linear.bias")
    if weight is None or weight.ndim != 2 or (bias is not None and bias.shape != weight.shape[:1]):
        raise BundleError(f"{folder.name}/model.safetensors has no linear.weight and linear.bias that fit each other")
    return Dense(weight, bias, activation)


def prompts_of(about: Mapping[str, Any]) -> dict[str, str]:
    """Return prompts by name. Raises `BundleError`."""
    try:
        return TypeAdapter(dict[str, str]).validate_python(about.get("prompts") or {})
    except ValidationError as error:
        raise BundleError(f"{ABOUT} has prompts that are not texts by name") from error
