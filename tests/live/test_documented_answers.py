"""The answers that the documentation shows are those of the bundles that ship; every page that it lists has a HEAD."""

from __future__ import annotations

import numbers

import pytest

from app.tasks import TASKS

DOCUMENTED = [task for task in TASKS.values() if task.answered is not None]
WITHIN = 0.05  # int8 differs from processor to processor


def compare(found, shown):
    """Assert that an answer is what is shown, its numbers about so."""
    if isinstance(shown, dict):
        assert found.keys() == shown.keys()
        for name, each in shown.items():
            compare(found[name], each)
    elif isinstance(shown, list):
        assert len(found) == len(shown)
        for one, other in zip(found, shown, strict=True):
            compare(one, other)
    elif isinstance(shown, numbers.Real) and not isinstance(shown, bool):
        assert found == pytest.approx(shown, abs=WITHIN)
    else:
        assert found == shown


@pytest.mark.parametrize("task", DOCUMENTED, ids=lambda task: task.route)
def test_a_documented_request_is_answered_as_shown(shipped, task):
    answer = shipped.client.post(f"/{task.route}", json=task.answered.body)
    assert answer.status_code == 200
    compare(answer.json(), task.answered.answer)


def test_what_can_be_got_has_a_head_and_the_same_headers(shipped):
    paths = shipped.client.get("/openapi.json").json()["paths"]
    for path in (path for path, operations in paths.items() if "get" in operations):
        real = path.replace("{name}", "ner").replace("{version}", "1")
        got, head = shipped.client.get(real), shipped.client.head(real)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        assert head.headers["content-type"] == got.headers["content-type"]


def test_the_card_of_a_model_is_shown(tiny, tiny_models):
    answer = tiny.client.get("/models/tiny-ner/card")
    assert answer.headers["content-type"] == "text/markdown; charset=utf-8"
    assert answer.text == (tiny_models / "tiny-ner" / "1" / "README.md").read_text(encoding="utf-8")
    refused = tiny.client.get("/models/nobody/card")
    assert (refused.status_code, refused.json()["error_type"]) == (404, "model_not_found")
