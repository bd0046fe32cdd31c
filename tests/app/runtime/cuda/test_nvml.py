"""What is read of GPUs at a scrape; a device that does not tell something harms no scrape."""

import sys
from types import SimpleNamespace

import pytest
from prometheus_client import CollectorRegistry

from app.metrics import Metrics
from app.runtime.cuda.nvml import GpuReader


def fail(*_):
    raise RuntimeError("Not Supported")


@pytest.fixture
def nvml(monkeypatch):
    """Two GPUs, by what NVIDIA's library calls its functions."""
    fake = SimpleNamespace(
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: 2,
        nvmlDeviceGetHandleByIndex=lambda index: index,
        nvmlDeviceGetMemoryInfo=lambda index: SimpleNamespace(used=100 + index, total=1000),
        nvmlDeviceGetUtilizationRates=lambda index: SimpleNamespace(gpu=25 * (index + 1)),
    )
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    return fake


def read():
    """Return every GPU series after two scrapes."""
    registry = CollectorRegistry()
    reader, metrics = GpuReader(), Metrics(registry)
    reader.report(metrics)
    reader.report(metrics)
    samples = (s for family in registry.collect() for s in family.samples if s.name.startswith("roberta_gpu"))
    return {(sample.name, sample.labels["gpu"]): sample.value for sample in samples}


def test_every_device_is_read(nvml):
    assert read() == {
        ("roberta_gpu_memory_used_bytes", "0"): 100,
        ("roberta_gpu_memory_used_bytes", "1"): 101,
        ("roberta_gpu_memory_total_bytes", "0"): 1000,
        ("roberta_gpu_memory_total_bytes", "1"): 1000,
        ("roberta_gpu_utilization_ratio", "0"): 0.25,
        ("roberta_gpu_utilization_ratio", "1"): 0.5,
    }


def test_what_a_device_does_not_tell_is_left_out_and_said_once(nvml, capsys):
    nvml.nvmlDeviceGetUtilizationRates = fail
    assert {name for name, _ in read()} == {"roberta_gpu_memory_used_bytes", "roberta_gpu_memory_total_bytes"}
    assert capsys.readouterr().out.count("GPU 1: Not Supported") == 1


def test_a_device_that_is_lost_harms_no_scrape(nvml):
    nvml.nvmlDeviceGetHandleByIndex = fail
    assert read() == {}


def test_without_a_driver_there_is_nothing_to_read(nvml):
    nvml.nvmlInit = fail
    assert read() == {}
