"""What both commands write to standard output, in a terminal of few characters and where nobody reads it."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys

import pytest

from app.command_line.output import READER_GONE, as_json, is_reader_gone, standard_output


def western():
    return io.TextIOWrapper(io.BytesIO(), "latin-1")


def test_characters_that_the_encoding_has_not_are_escaped(monkeypatch):
    monkeypatch.setattr("sys.stdout", stream := western())
    with standard_output():
        sys.stdout.write("café …")
    assert stream.buffer.getvalue() == b"caf\xe9 \\u2026"


def test_json_is_json_in_every_encoding(monkeypatch):
    monkeypatch.setattr("sys.stdout", western())
    said = {"text": "café … 😀"}
    assert as_json(said, 1).isascii()
    assert json.loads(as_json(said, 1)) == said


@pytest.mark.parametrize("module", ["app", "training"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_gone_away_ends_a_command_in_silence(module, unbuffered):
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", module, "--version"]
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    ended = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, env=environment, check=False)
    os.close(write)
    assert (ended.returncode, ended.stderr) == (READER_GONE, b"")


def test_another_broken_pipe_is_not_that_of_standard_output(monkeypatch):
    read, write = os.pipe()
    with os.fdopen(read), os.fdopen(write, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        assert not is_reader_gone()
