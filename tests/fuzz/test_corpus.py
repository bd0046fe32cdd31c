"""Every input that is kept, through its harness: what was mended once stays so."""

from __future__ import annotations

import pytest

from tests.fuzz.harness import CORPUS, all_harnesses

HARNESSES = all_harnesses()


@pytest.mark.parametrize("name", HARNESSES)
def test_only_declared_errors_leave_a_reader(name, tmp_path):
    harness = HARNESSES[name](tmp_path)
    inputs = harness.corpus()
    assert inputs, f"corpus/{name} is empty: write a sound file and a broken one"
    failed = {}
    for file in inputs:
        try:
            harness(file.read_bytes())
        except BaseException as error:  # a panic of a library in Rust is no Exception
            failed[file.name] = f"{type(error).__name__}: {error}"
    harness.close()
    assert failed == {}


def test_the_corpus_is_small_and_belongs_to_harnesses():
    files = [file for file in CORPUS.rglob("*") if file.is_file()]
    assert {file.parent.name for file in files} == HARNESSES.keys()
    assert sum(file.stat().st_size for file in files) < 2_000_000
