"""What a command writes for given rows, in this process."""

import csv
import gzip
import json

import pytest

from app.commands.verbs import VERBS
from tests.app.builders import wordpiece_tokenizer, write_bundle

TOY = "toy"


@pytest.fixture(scope="session")
def toy_models(tmp_path_factory):
    """A models folder with a classifier of texts and pairs, whose answers are a table's."""
    models = tmp_path_factory.mktemp("toy-models")
    write_bundle(models, wordpiece_tokenizer(), TOY)
    return models


@pytest.fixture
def predict(toy_models, tmp_path, monkeypatch):
    """Return a function that runs the command in an empty folder, and returns its exit code."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda *_: None)
    monkeypatch.setattr("app.commands.predict.configure_logs", lambda *_: None)

    def call(*arguments, model=TOY, models=toy_models):
        with pytest.raises(SystemExit) as ended:
            VERBS["predict"].run([model, *map(str, arguments), "--models", str(models), "--device", "cpu"])
        return ended.value.code

    return call


def json_lines(path):
    raw = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(raw) if path.suffix == ".gz" else raw).splitlines()]


def csv_rows(path, delimiter=","):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))
