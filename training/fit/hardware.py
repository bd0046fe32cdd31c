"""What suits this machine: number format, attention and memory allocation."""

from __future__ import annotations

import ctypes
from functools import cache
from pathlib import Path
from typing import Literal

import torch

from training.config import RecipeError

NumberFormat = Literal["no", "bf16", "fp16"]

# glibc's mallopt: parameter numbers of malloc.h, and the values that keep freed memory for the next step.
M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_MAX = -1, -2, -4
KEEP_ALL = 2**31 - 1  # bytes that may lie free at the top of the heap
HEAP_STEP = 256 * 2**20  # bytes by which the heap grows
BF16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})  # of x86, x86 and ARM


def tune_allocator() -> bool:
    """Keep the memory of a step for the next one; say whether the C library could be told so.

    By default glibc gives large tensors back to the kernel, which clears every page again on the next step.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # not glibc
        return False
    settings = ((M_MMAP_MAX, 0), (M_TRIM_THRESHOLD, KEEP_ALL), (M_TOP_PAD, HEAP_STEP))
    accepted = [mallopt(parameter, value) == 1 for parameter, value in settings]
    return all(accepted)


def attention_implementation() -> str:
    """Return the fastest attention of transformers: on CPU and short texts that is plain matrix products."""
    return "sdpa" if torch.cuda.is_available() else "eager"


def mixed_precision(setting: str) -> NumberFormat:
    """Return the number format of matrix products that a recipe's `auto`, `no`, `bf16` or `fp16` means.

    Raises `RecipeError` for fp16 without a GPU.
    """
    if setting == "fp16" and not torch.cuda.is_available():
        raise RecipeError("training.mixed_precision: fp16 needs a CUDA GPU; set it to auto, bf16 or no")
    if setting == "auto":
        return "bf16" if multiplies_bf16() else "no"
    formats: dict[str, NumberFormat] = {"no": "no", "bf16": "bf16", "fp16": "fp16"}
    return formats[setting]


def precision_arguments(setting: str) -> dict[str, bool]:
    """Return a recipe's number format as arguments of `TrainingArguments`."""
    number_format = mixed_precision(setting)
    return {
        "bf16": number_format == "bf16",
        "fp16": number_format == "fp16",
        "use_cpu": not torch.cuda.is_available(),
        "dataloader_pin_memory": torch.cuda.is_available(),
    }


def multiplies_bf16() -> bool:
    """Whether the GPU, or else the CPU, has instructions for products of bf16 matrices."""
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(cpu_flags() & BF16_FLAGS)


@cache
def cpu_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Return the CPU's features as Linux names them; none elsewhere."""
    if not cpuinfo.is_file():
        return frozenset()
    lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    return frozenset(flag for line in lines if line.lower().startswith(("flags", "features")) for flag in line.split())
