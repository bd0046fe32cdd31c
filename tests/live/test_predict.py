"""`roberta-serve predict` as a process: killed, interrupted, piped, and as its documentation shows it."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.bulk.resuming import State
from tests.app.builders import write_hub_folder
from tests.support.answers import assert_alike
from tests.support.hub import files_of, hub_server
from tests.support.server import until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "predict.md").read_text(encoding="utf-8")
COMMAND = [sys.executable, "-m", "app", "predict"]
ROWS = 12_000
TWO_DECIMALS = 0.01


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("predict") / "in.csv"
    texts = ("a good film" if number % 3 else "bad and dull , " * (number % 11) for number in range(ROWS))
    path.write_text("id,text\n" + "".join(f'{number},"{text}"\n' for number, text in enumerate(texts)))
    return path


@pytest.fixture(scope="module")
def arguments(source, tiny_models) -> list[str]:
    """A command whose chunks are small, without its output."""
    return ["tiny-classify", str(source), "--models", str(tiny_models), "--device", "cpu", "--max-batch-tokens", "64"]


@pytest.fixture(scope="module")
def whole(arguments, source) -> bytes:
    output = source.with_name("whole.csv")
    assert finish(arguments, output).returncode == 0
    return output.read_bytes()


def start(arguments: list[str], output: Path) -> subprocess.Popen[str]:
    command = [*COMMAND, *arguments, "-o", str(output)]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def finish(arguments: list[str], output: Path) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, *arguments, "-o", str(output)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)


def rows_kept(output: Path) -> int:
    """Return how many rows a command can go on after."""
    state = output.with_name(f"{output.name}.partial") / "state.json"
    return State.model_validate_json(state.read_bytes()).rows if state.exists() else 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGKILL, -9), (signal.SIGINT, 130)], ids=["kill -9", "Ctrl-C"])
def test_a_command_that_is_ended_goes_on_when_it_is_given_again(arguments, source, whole, number, code):
    output = source.with_name(f"{code}.csv")
    with start(arguments, output) as process:
        until(lambda: rows_kept(output))
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
    assert process.returncode == code
    assert ("the same command goes on" in said) == (code > 0)
    kept = rows_kept(output)
    assert 0 < kept < ROWS
    assert not output.exists()
    if number == signal.SIGKILL:  # half of a row, as a crash may leave it
        with (output.with_name(f"{output.name}.partial") / "rows").open("ab") as rows:
            rows.write(b'17,"half of a')
    done = finish(arguments, output)
    assert done.returncode == 0, done.stderr
    assert f"going on after {kept:,} rows" in done.stderr
    assert output.read_bytes() == whole


def test_a_model_of_the_hub_is_fetched(source, tokenizer, tmp_path):
    folder = write_hub_folder(tmp_path / "toy", tokenizer.backend_tokenizer)
    with hub_server() as hub:
        hub.add("Acme/Reviews", files_of(folder))
        variables = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "0"}
        arguments = ["Acme/Reviews", "-", "--models", str(tmp_path), "--device", "cpu"]
        done = subprocess.run(
            [*COMMAND, *arguments],
            cwd=ROOT,
            env=os.environ | variables,
            input=b"good\n",
            capture_output=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["error"] is None


def test_a_reader_that_goes_away_ends_it_in_silence(arguments):
    reads, writes = os.pipe()
    command = [*COMMAND, *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=writes, stderr=subprocess.PIPE, text=True) as process:
        os.close(writes)
        os.read(reads, 10)
        os.close(reads)
        _, said = process.communicate(timeout=120)
    assert process.returncode == 141
    assert said == ""


def test_the_command_of_the_page_answers_what_it_says():
    command, answers = re.search(r"^\$ (printf .*)\n((?:\{.*\}\n)+)", PAGE, re.MULTILINE).groups()
    line = command.replace("roberta-serve", f"{sys.executable} -m app")
    done = subprocess.run(["bash", "-c", line], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    found, expected = ([json.loads(each) for each in text.splitlines()] for text in (done.stdout, answers))
    assert_alike(found, expected, TWO_DECIMALS)


def test_the_code_of_the_page_runs(monkeypatch, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(ROOT)
    exec(compile(code, "docs/predict.md", "exec"), {})
    first, second = capsys.readouterr().out.splitlines()
    assert "'label': 'positive'" in first
    assert second == "the text is empty"
