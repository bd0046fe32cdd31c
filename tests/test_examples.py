"""The examples work: the recipe on its data, the service without HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from examples.embed import classify
from tests.support.answers import assert_alike
from tests.support.server import ThreadService, serve

EXAMPLES = Path(__file__).parents[1] / "examples"
TEXTS = ["a good film", "a bad film", "Ada Byron met Bob in Paris"]
TOLERANCE = 1e-3  # of a score: batches of other sizes add in another order


@pytest.fixture(scope="module")
def service(tiny_models) -> Iterator[ThreadService]:
    with serve(tiny_models) as running:
        yield running


# --- The recipe -------------------------------------------------------------------------------------------


def test_the_recipe_is_valid_and_its_data_is_clean(monkeypatch):
    from training.checking import check
    from training.config import Recipe, load_recipe

    monkeypatch.chdir(EXAMPLES.parent)
    recipe = load_recipe(Recipe, EXAMPLES / "tickets.toml")
    findings = check(recipe, Path())
    assert [finding for finding in findings if finding.severity != "note"] == []
    summaries = [finding.summary for finding in findings]
    assert "examples: train 300" in summaries
    assert any(summary.startswith("tokens: median") for summary in summaries), "the bundle's tokenizer was not read"


# --- The service without HTTP -----------------------------------------------------------------------------


def test_the_service_answers_without_http(service, tiny_models):
    expected = service.client.post("/classify", json={"inputs": TEXTS}).json()
    assert_alike(asyncio.run(classify(tiny_models, TEXTS)), expected, TOLERANCE)
