"""The README asks each kind of model, and the reference has every field of a model."""

from __future__ import annotations

import re

import pytest

from tests.documents.reading import PAGES


@pytest.mark.parametrize("route", ["/classify", "/ner", "/fill-mask"])
def test_every_endpoint_has_an_example(route):
    assert f"$ curl http://localhost:8000{route} " in PAGES["README.md"]


def test_the_reference_has_every_field_of_a_model(shipped):
    _, _, section = PAGES["docs/reference.md"].partition("## What is served")
    rows = re.findall(r"^\| (`.*?) \|", section.partition("\n## ")[0], re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    models = shipped.client.get("/models").json()["models"]
    shown = {name for model in models for name in model}
    assert shown <= documented
    assert documented - shown <= {"task_settings", "note", "refused", "source", "advice"}
    assert models[0] == shipped.client.get(f"/models/{models[0]['name']}").json()
