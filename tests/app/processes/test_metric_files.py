"""Metrics in files on a file system that fills up: the process lives, and what was counted stays."""

import os
import subprocess
import sys
import textwrap

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector

from app.processes import metric_files
from app.processes.metric_files import FIRST_BYTES, AllocatedDict
from tests.support.server import REPOSITORY


def values_in(file):
    return {key: value for key, value, *_ in MmapedDict.read_all_values_from_file(str(file))}


def allocated(file):
    return file.stat().st_blocks * 512


def full(*_):
    raise OSError(28, "No space left on device")


def test_a_file_s_blocks_are_there_before_they_are_written_to(tmp_path):
    file = tmp_path / "counter_worker-0.db"
    counts = AllocatedDict(str(file))
    assert allocated(file) >= FIRST_BYTES
    keys = [f"{number:0100}" for number in range(2000)]
    for number, key in enumerate(keys):
        counts.write_value(key, float(number), 0.0)
    assert allocated(file) >= file.stat().st_size > FIRST_BYTES
    assert values_in(file) == {key: float(number) for number, key in enumerate(keys)}
    counts.close()
    again = AllocatedDict(str(file))
    assert again.read_value(keys[7])[0] == 7.0
    again.close()


def test_what_finds_no_block_is_not_shown_and_the_rest_goes_on(tmp_path, monkeypatch):
    file = tmp_path / "counter_worker-0.db"
    counts = AllocatedDict(str(file))
    counts.write_value("before", 1.0, 0.0)
    monkeypatch.setattr(metric_files.os, "posix_fallocate", full)
    keys = [f"{number:0100}" for number in range(2000)]
    for key in keys:
        counts.write_value(key, 5.0, 0.0)
    counts.write_value("before", 2.0, 0.0)
    found = values_in(file)
    assert found.pop("before") == 2.0
    assert 400 < len(found) < 600
    assert set(found.values()) == {5.0}
    assert file.stat().st_size == FIRST_BYTES
    counts.close()


def test_without_a_file_everything_is_counted_where_nobody_sees_it(tmp_path, monkeypatch):
    monkeypatch.setattr(metric_files.os, "posix_fallocate", full)
    counts = AllocatedDict(str(tmp_path / "counter_worker-0.db"))
    for number in range(2000):
        counts.write_value(f"{number:0100}", 5.0, 0.0)
    assert counts.read_value(f"{7:0100}")[0] == 5.0
    assert list(tmp_path.iterdir()) == []


def test_a_process_counts_on_in_the_files_of_the_one_that_it_replaces(tmp_path):
    code = textwrap.dedent(f"""
        from pathlib import Path
        from prometheus_client import CollectorRegistry, Counter
        from app.processes.metric_files import count_in_files
        count_in_files("worker-0", Path({str(tmp_path)!r}))
        Counter("toy", "A toy.", registry=CollectorRegistry()).inc()
    """)
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(tmp_path))
    assert registry.get_sample_value("toy_total") == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a file system")
def test_a_file_system_that_is_full_ends_no_process(tmp_path):
    """The real thing, in a mount namespace of its own, where that is allowed."""
    code = textwrap.dedent(f"""
        from pathlib import Path
        from prometheus_client import CollectorRegistry, Counter
        from app.processes.metric_files import count_in_files
        count_in_files("worker-0", Path({str(tmp_path)!r}))
        counter = Counter("toy", "A toy.", ("label",), registry=CollectorRegistry())
        counter.labels("first").inc()
        filler = (Path({str(tmp_path)!r}) / "filler").open("wb", buffering=0)
        try:
            while True:
                filler.write(bytes(4096))
        except OSError:
            pass
        for number in range(5000):
            counter.labels(str(number)).inc()
        print("lives")
    """)
    mount = f"mount -t tmpfs -o size=1m tmpfs {tmp_path}"
    if subprocess.run(["unshare", "-m", *mount.split()], capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed here")
    run = f"{mount} && exec {sys.executable} -W error -"
    line = ["unshare", "-m", "sh", "-c", run]
    done = subprocess.run(line, cwd=REPOSITORY, input=code.encode(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(b"lives\n")
