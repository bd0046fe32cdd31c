"""What the machine is said to do best, on machines that are made up."""

import pytest
import torch

from training.config import RecipeError
from training.fit import hardware
from training.fit.hardware import (
    attention_implementation,
    cpu_flags,
    mixed_precision,
    precision_arguments,
    tune_allocator,
)


@pytest.fixture
def cpu(monkeypatch, tmp_path):
    """Return a function that makes this a machine without a GPU whose CPU has the given flags."""

    def make(flags):
        file = tmp_path / "cpuinfo"
        file.write_text(f"processor\t: 0\nmodel name\t: bf16 in a name\nflags\t\t: fpu sse2 {flags}\n")
        found = cpu_flags.__wrapped__(file)
        monkeypatch.setattr(hardware, "cpu_flags", lambda: found)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    return make


@pytest.mark.parametrize(
    ("flags", "expected"), [("avx512_bf16", "bf16"), ("amx_bf16", "bf16"), ("avx512f avx2", "no"), ("", "no")]
)
def test_auto_takes_bf16_where_the_cpu_multiplies_it(cpu, flags, expected):
    cpu(flags)
    assert mixed_precision("auto") == expected
    assert mixed_precision("bf16") == "bf16"
    assert mixed_precision("no") == "no"


def test_fp16_needs_a_gpu(cpu):
    cpu("avx512_bf16")
    with pytest.raises(RecipeError, match=r"training\.mixed_precision: fp16 needs a CUDA GPU"):
        mixed_precision("fp16")


@pytest.mark.parametrize(("emulated", "expected"), [(True, "no"), (False, "bf16")])
def test_auto_takes_bf16_where_the_gpu_multiplies_it(monkeypatch, emulated, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not emulated)
    assert mixed_precision("auto") == expected
    assert mixed_precision("fp16") == "fp16"
    assert attention_implementation() == "sdpa"


def test_the_cpu_gets_plain_attention_and_is_named_to_the_trainer(cpu):
    cpu("avx512_bf16")
    assert attention_implementation() == "eager"
    arguments = precision_arguments("auto")
    assert arguments == {"bf16": True, "fp16": False, "use_cpu": True, "dataloader_pin_memory": False}


def test_a_machine_without_cpuinfo_has_no_flags(tmp_path):
    assert cpu_flags.__wrapped__(tmp_path / "none") == frozenset()


def test_the_allocator_is_tuned_where_there_is_glibc(monkeypatch):
    calls = []
    library = type("Library", (), {"mallopt": lambda self, *call: calls.append(call) or 1})()
    monkeypatch.setattr(hardware.ctypes, "CDLL", lambda name: library)
    assert tune_allocator()
    assert calls == [(-4, 0), (-1, 2**31 - 1), (-2, 2**28)]
    monkeypatch.setattr(hardware.ctypes, "CDLL", lambda name: object())
    assert not tune_allocator()
