"""From pickled weights to safetensors."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from transformers import AutoConfig, PreTrainedModel

from app.bundle.contents import PICKLED, WEIGHTS
from training.encoders.base import UnsupportedModelError
from training.encoders.loading import reason_of

SMALL = (".json", ".txt", ".model")


def convert(source: Path, out: Path) -> Path:
    """Write the weights of a folder as safetensors into `out`, with its other files where that is another folder.

    torch reads pickled weights with `weights_only`, which runs no code of the file. Raises `UnsupportedModelError`.
    """
    modules = pickled_modules(source)
    if any((source / file).is_file() for file in WEIGHTS):
        if not modules:
            raise UnsupportedModelError(f"{source} has safetensors already")
        if out.resolve() != source.resolve():
            raise UnsupportedModelError(f"{source} has safetensors but in {modules[0].name}; convert it in place")
        return convert_modules(modules, source, out)
    if not any((source / file).is_file() for file in PICKLED):
        raise UnsupportedModelError(f"{source} has no {PICKLED[0]} to convert")
    model = load_pickled(source)
    out.mkdir(parents=True, exist_ok=True)
    convert_modules(modules, source, out)
    with tempfile.TemporaryDirectory(dir=out, prefix=".convert-") as unfinished:
        model.save_pretrained(unfinished)
        if out.resolve() != source.resolve():
            for file in source.iterdir():
                if file.suffix in SMALL and file.name not in PICKLED:
                    shutil.copy(file, out)
        for file in Path(unfinished).glob("model*.safetensors*"):
            file.replace(out / file.name)
    return out


def pickled_modules(source: Path) -> list[Path]:
    """Return the folders of sentence-transformers' modules, such as 2_Dense, whose weights are pickled only."""
    folders = sorted(source.glob("[0-9]*_*"))
    return [each for each in folders if (each / PICKLED[0]).is_file() and not (each / WEIGHTS[0]).is_file()]


def convert_modules(modules: Sequence[Path], source: Path, out: Path) -> Path:
    """Write the weights of modules as safetensors, in the folders of the same names in `out`."""
    for module in modules:
        try:
            weights = torch.load(module / PICKLED[0], map_location="cpu", weights_only=True)
            (out / module.name).mkdir(exist_ok=True)
            save_file({name: value.contiguous() for name, value in weights.items()}, out / module.name / WEIGHTS[0])
        except Exception as error:  # torch and pickle have errors of their own
            raise UnsupportedModelError(f"{source}/{module.name} cannot be converted: {reason_of(error)}") from error
    return out


def load_pickled(source: Path) -> PreTrainedModel:
    try:
        architecture = (AutoConfig.from_pretrained(source).architectures or ["none"])[0]
        model_class: Any = getattr(transformers, architecture, None)
        if model_class is None:
            raise UnsupportedModelError("config.json names no architecture of transformers")
        model: PreTrainedModel = model_class.from_pretrained(source, dtype="auto", use_safetensors=False)
    except Exception as error:  # torch and every config have errors of their own
        raise UnsupportedModelError(f"{source} cannot be converted: {reason_of(error)}") from error
    return model
