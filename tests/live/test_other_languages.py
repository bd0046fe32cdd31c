"""The clients of other languages, unchanged: Hugging Face's for JavaScript, and Java's own."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "clients"
PACKAGES = Path(sys.prefix) / "clients"  # `make clients` puts it there
TIMEOUT_S = 120

TEXT = "👩‍💼 Angela Merkel met 𠮷 Emmanuel Macron in Paris."
NAMES = ["Angela Merkel", "Berlin"]


def output_of(*line: str) -> str:
    done = subprocess.run(line, capture_output=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


@pytest.fixture(scope="module")
def javascript():
    """Run a script with Hugging Face's client against a service; return what it prints."""
    if not shutil.which("node"):
        pytest.skip("node is not installed")
    if not (PACKAGES / "node_modules" / "@huggingface" / "inference").is_dir():
        pytest.skip("@huggingface/inference is not installed: make clients")
    return lambda script, service: json.loads(output_of("node", str(HERE / script), str(PACKAGES), service.url))


def test_hugging_face_s_client_for_javascript(javascript, shipped):
    answers = javascript("ask.mjs", shipped)

    assert [entry["label"] for entry in answers["classified"]] == ["positive", "negative"]
    assert answers["named"] == answers["classified"]
    ((best,), filled) = (answers["best"], answers["filled"])
    assert (best["label"], best["score"] > 1) == ("positive", True)
    assert [entity["word"] for entity in answers["entities"]] == answers["cut"] == NAMES
    assert [entity["entity_group"] for entity in answers["entities"]] == ["PER", "LOC"]
    assert [len(filled), filled[0]["token_str"]] == [2, " capital"]
    assert {candidate["token_str"].strip() for candidate in answers["targeted"]} == {"capital", "city"}
    assert "inputs: the text is empty" in answers["empty"]
    assert "the first text alone" in answers["several"]
    assert "there is no model 'nobody'" in answers["unknown"]


def test_hugging_face_s_client_for_javascript_asks_the_other_tasks(javascript, toys):
    answers = javascript("ask_tasks.mjs", toys)
    labels = {"a good film", "a bad film", "Paris"}

    assert answers["answered"]["answer"] == answers["cut"] != ""
    assert answers["best"].keys() == {"score", "answer", "start", "end"}  # the client keeps the first
    assert [len(vector) for vector in answers["vectors"]] == [4, 4, 4]
    assert answers["similarities"][0] == pytest.approx(1, abs=1e-5)
    for chosen in (answers["chosen"], answers["several"]):
        assert {entry["label"] for entry in chosen} == labels
    assert answers["summary"]["summary_text"] == answers["summary"]["sentences"][0]["text"] != ""
    assert "inputs.question" in answers["empty"]
    assert "expected Array<number[][][]" in answers["base64"]  # the client takes numbers alone


REQUESTS = [
    ("/classify", {"inputs": ["a good film", "a bad film"], "parameters": {"top_k": 1}}, 200),
    ("/ner", {"inputs": TEXT, "parameters": {"offset_unit": "utf16", "aggregation_strategy": "first"}}, 200),
    ("/fill-mask/", {"inputs": "a <mask> film", "parameters": {"top_k": 2.0, "targets": None}}, 200),
    ("/models/tiny-classify", {"inputs": [["a", "b"]], "options": {"use_cache": True}}, 200),
    ("/classify", {"inputs": ""}, 422),
    ("/models/nobody", {"inputs": "a"}, 404),
]


def test_the_client_of_java_as_it_comes(tiny):
    if not shutil.which("java"):
        pytest.skip("java is not installed")
    asked = [part for path, body, _ in REQUESTS for part in (path, json.dumps(body))]
    lines = output_of("java", "-Dfile.encoding=UTF-8", str(HERE / "Ask.java"), tiny.url, *asked).splitlines()

    answers = [(int(status), json.loads(body)) for status, _, body in (line.partition(" ") for line in lines)]
    assert [status for status, _ in answers] == [status for _, _, status in REQUESTS] * 2
    in_utf16 = TEXT.encode("utf-16-le")
    assert answers[1][1]
    for entity in answers[1][1]:
        assert in_utf16[2 * entity["start"] : 2 * entity["end"]].decode("utf-16-le") == entity["word"]
    expected = [tiny.client.post(path, json=body) for path, body, status in REQUESTS if status == 200]
    assert [body for status, body in answers[: len(REQUESTS)] if status == 200] == [each.json() for each in expected]
