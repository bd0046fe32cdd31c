"""Exemplars of several processes: the newest of a bucket is shown, of whichever process it is."""

import pytest
from prometheus_client import CollectorRegistry, Histogram, values
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.openmetrics.exposition import generate_latest

from app.processes.exemplars import END, read_exemplars, show
from app.processes.metric_files import count_in_files


@pytest.fixture
def process(monkeypatch, tmp_path):
    """Return what makes the histogram of a process, and the exemplars that it writes."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", "")
    monkeypatch.setattr(values, "ValueClass", values.ValueClass)
    monkeypatch.setattr(values, "MmapedDict", values.MmapedDict)

    def made(name):
        exemplars = count_in_files(name, tmp_path)
        histogram = Histogram("seconds", "Of requests.", ("model",), buckets=(0.1, 1.0), registry=CollectorRegistry())
        return histogram.labels('a "name"'), exemplars

    return made


def lines_of(folder):
    registry = CollectorRegistry()

    class Shown:
        def collect(self):
            for family in MultiProcessCollector(None, str(folder)).collect():
                show(family, read_exemplars(folder))
                yield family

    registry.register(Shown())
    return [line for line in generate_latest(registry).decode().splitlines() if "_bucket{" in line]


def test_the_newest_of_each_bucket_is_shown(process, tmp_path):
    (first, of_first), (second, of_second) = process("worker-0"), process("worker-1")
    first.observe(0.05, {"trace_id": "old"})
    first.observe(0.5, {"trace_id": "slow"})
    second.observe(0.06, {"trace_id": "new"})
    second.observe(0.5)
    of_second.write()
    of_first.write()
    fast, slow, slowest = lines_of(tmp_path)
    assert '# {trace_id="new"} 0.06' in fast
    assert '# {trace_id="slow"} 0.5' in slow
    assert "#" not in slowest


def test_nothing_is_written_that_is_not_new(process, tmp_path):
    histogram, exemplars = process("worker-0")
    exemplars.write()
    assert not list(tmp_path.glob(f"*{END}"))
    histogram.observe(0.5, {"trace_id": "one"})
    exemplars.write()
    (file,) = tmp_path.glob(f"*{END}")
    file.unlink()
    exemplars.write()
    assert not file.exists()


def test_a_folder_that_is_gone_ends_nothing(process, tmp_path):
    histogram, exemplars = process("worker-0")
    histogram.observe(0.5, {"trace_id": "one"})
    away = tmp_path.rename(tmp_path.with_name("away"))
    exemplars.write()
    assert read_exemplars(tmp_path) == {}
    away.rename(tmp_path)
