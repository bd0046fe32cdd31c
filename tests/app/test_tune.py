"""`roberta-serve tune`: what is chosen of what was measured, and that the service starts with what was written."""

import io
import subprocess
import sys
from types import SimpleNamespace

import pytest

from app.http_settings import ENV_FILE
from app.settings import Settings
from app.tune import Tune, Way, choose, render, shown_trials, splits, unwritable
from tests.app.builders import write_hub_folder
from tests.support.terminal import screen_of


def test_of_ways_that_are_as_good_the_smallest_batches_win():
    best, close, slow = Way(2, 1, 2048), Way(2, 1, 256), Way(2, 1, 128)
    assert choose({best: 1000.0, close: 985.0, slow: 900.0}) == close
    assert choose({best: 1000.0, close: 900.0, slow: 700.0}) == best


def test_of_as_small_batches_the_fastest_win():
    assert choose({Way(1, 4, 256): 990.0, Way(4, 1, 256): 1000.0}) == Way(4, 1, 256)


@pytest.mark.parametrize(
    ("cores", "expected"), [(1, [(1, 1)]), (2, [(2, 1), (1, 2)]), (6, [(6, 1), (3, 2), (2, 3), (1, 6)])]
)
def test_every_way_uses_every_core(cores, expected, monkeypatch):
    monkeypatch.setattr("app.tune.available_cores", lambda: cores)
    assert splits("cpu", Settings()) == expected


def test_on_gpus_the_runners_of_each_are_varied():
    assert splits("cuda", Settings(gpus=[0, 1])) == [(2, 1), (4, 1), (6, 1), (8, 1)]


def test_a_file_that_cannot_be_written_is_found_out_without_a_trace(tmp_path):
    assert unwritable(tmp_path / "new.env") is None
    assert unwritable(tmp_path) == "Is a directory"
    assert unwritable(tmp_path / "nowhere" / "new.env") == "No such file or directory"
    assert list(tmp_path.iterdir()) == []


def test_an_interrupt_is_not_said_behind_the_line_of_trials(monkeypatch):
    stream = io.StringIO()
    stream.isatty = lambda: True
    monkeypatch.setattr("sys.stderr", stream)

    def be_interrupted():
        with shown_trials(10, 1.0) as show:
            show(5, Way(2, 1, 128))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        be_interrupted()
    assert "5/10 trials, 5 s left" in stream.getvalue()
    assert screen_of(stream.getvalue()) == [""]


def tune(folder, *arguments):
    command = [sys.executable, "-m", "app", "tune", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def tuning(tiny_models, tmp_path, monkeypatch):
    """Run the command in a folder of its own."""
    monkeypatch.setenv("PYTHONPATH", str(pytest.importorskip("app").__path__[0]) + "/..")

    def run(*arguments, folder=tmp_path):
        return tune(folder, *arguments, "--models", str(tiny_models), "--seconds", "0.01")

    return run


def test_what_it_writes_the_service_reads(tuning, tmp_path, monkeypatch):
    done = tuning("tiny-classify")
    assert done.returncode == 0, done.stderr
    assert "(the default)" in done.stdout
    assert "written to roberta-serve.env" in done.stdout
    written = (tmp_path / ENV_FILE).read_text(encoding="utf-8")
    assert "for tiny-classify:1 on cpu" in written
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    for name in ("runners", "intra_op_threads", "max_batch_tokens"):
        assert f"ROBERTA_{name.upper()}={getattr(settings, name)}\n" in written
    monkeypatch.setenv("ROBERTA_MAX_BATCH_TOKENS", "77")  # goes before the file
    assert Settings().max_batch_tokens == 77


def test_an_output_that_cannot_be_written_is_a_sentence_before_anything_is_measured(tuning):
    done = tuning("tiny-classify", "--output", "/proc/here.env")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "roberta-serve: /proc/here.env cannot be written: No such file or directory; choose another --output\n"
    )


def test_in_a_folder_that_is_read_only_the_settings_are_printed(tuning):
    done = tuning("tiny-classify", folder="/sys")
    assert done.returncode == 0, done.stderr
    first, *rest = done.stdout.splitlines()
    assert first == "roberta-serve.env cannot be written here: Permission denied; the settings are printed only"
    assert rest[-4].startswith("# By `roberta-serve tune` for tiny-classify:1")
    assert [line.partition("=")[0] for line in rest[-3:]] == [
        "ROBERTA_RUNNERS",
        "ROBERTA_INTRA_OP_THREADS",
        "ROBERTA_MAX_BATCH_TOKENS",
    ]


def test_other_settings_of_the_file_stay():
    bundle = SimpleNamespace(manifest=SimpleNamespace(name="toy", version=1))
    first = render(bundle, "cpu", Way(2, 1, 256), "ROBERTA_PORT=81\nROBERTA_RUNNERS=9\n")
    assert first.startswith("ROBERTA_PORT=81\n# By `roberta-serve tune` for toy:1")
    assert first.endswith("\nROBERTA_RUNNERS=2\nROBERTA_INTRA_OP_THREADS=1\nROBERTA_MAX_BATCH_TOKENS=256\n")
    assert render(bundle, "cpu", Way(2, 1, 256), first) == first


def test_a_hub_folder_can_be_tuned_for(byte_level, tmp_path):
    write_hub_folder(tmp_path / "toy", byte_level)
    for model in ("toy", "toy:1"):
        found = Tune.model_construct(bundle=model, models=tmp_path).find_bundle()
        assert found.path == tmp_path / "toy"


@pytest.mark.parametrize("model", ["no-such-model", "tiny-classify:99", "tiny-classify:latest"])
def test_a_bundle_that_is_not_there_is_a_sentence(model, tuning):
    done = tuning(model)
    assert done.returncode == 1
    assert done.stderr.startswith("roberta-serve: ")
    assert "Traceback" not in done.stderr
