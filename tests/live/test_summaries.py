"""Summaries of the shipped embedding model, as Hugging Face's client parses them."""

from __future__ import annotations

import pytest
from huggingface_hub.inference._generated.types import SummarizationOutput

from tests.support.server import SHAPES, serve_as

TEXT = "The soup was cold. Our waiter was kind, though. He brought us new soup at once. It was cold as well."


@pytest.mark.parametrize("shape", SHAPES)
def test_a_text_is_answered_by_its_own_sentences(shape, shipped_models, tmp_path):
    with serve_as(shape, shipped_models, tmp_path) as service:
        body = {"inputs": TEXT, "parameters": {"sentences": 2}}
        answer = service.client.post("/summarize", json=body).json()
        (word,) = service.client.post("/summarize", json={"inputs": "word"}).json()
    (summary,) = answer
    spans = [(each["start"], each["end"]) for each in summary["sentences"]]
    assert [TEXT[start:end] for start, end in spans] == [each["text"] for each in summary["sentences"]]
    assert spans == sorted(spans)
    assert len(spans) == 2
    assert SummarizationOutput.parse_obj_as_list(answer)[0].summary_text == summary["summary_text"]
    assert word["summary_text"] == "word"
    assert word["sentences"][0]["score"] == pytest.approx(1, abs=1e-5)
