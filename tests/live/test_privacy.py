"""No text and no key reaches a log or a metric, whatever goes wrong."""

from __future__ import annotations

import signal
import sys

import pytest

from tests.support.answers import assert_error
from tests.support.server import SHAPES, command

MARKER = "xylophonist"
KEY = "hf_key_that_nobody_may_read"
REQUESTS = [
    ("/classify", {"inputs": f"{MARKER} film"}),
    ("/ner", {"inputs": f"{MARKER} in Paris"}),
    ("/fill-mask", {"inputs": f"{MARKER} <mask>"}),
    ("/fill-mask", {"inputs": f"{MARKER} without a gap"}),
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"targets": [MARKER]}}),
    ("/classify", {"inputs": [MARKER, ""]}),
    ("/classify", {"inputs": "a", MARKER: 1}),
    ("/classify", {"inputs": "a", "parameters": {"function_to_apply": MARKER}}),
    ("/classify", {"inputs": "a", "model": MARKER}),
    (f"/classify?model={MARKER}", {"inputs": "a"}),
    (f"/models/{MARKER}", {"inputs": "a"}),
    (f"/{MARKER}", {"inputs": "a"}),
]
FAILING = """
from app.__main__ import main
from app.tasks.classify import Classify, ClassifyRequest

def fail(*given):
    raise RuntimeError(f"cannot do {{given}}")

{method} = fail
main()
"""


@pytest.mark.parametrize("flags", [(), ("--http-workers", "2")], ids=SHAPES)
def test_nothing_that_was_sent_is_kept(flags, tiny_models, tmp_path):
    headers = {"Authorization": f"Bearer {KEY}"}
    with command(tiny_models, tmp_path / "log", "--log-level", "debug", *flags) as service:
        statuses = [service.client.post(path, json=body, headers=headers).status_code for path, body in REQUESTS]
        service.client.post("/classify", content=f'{{"inputs": "{MARKER}'.encode(), headers=headers)
        metrics = service.client.get("/metrics", headers=headers).text
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)

    assert statuses == [200] * 3 + [422] * 5 + [404] * 4
    assert_forgotten(metrics, service.log())


@pytest.mark.parametrize("method", ["ClassifyRequest.count_inputs", "Classify.decode"])
def test_a_defect_that_quotes_what_was_sent_is_a_500_that_does_not(tiny_models, tmp_path, method):
    program = [sys.executable, "-c", FAILING.format(method=method)]
    with command(tiny_models, tmp_path / "log", program=program) as service:
        headers = {"Authorization": KEY, "Connection": "close"}
        response = service.client.post("/classify", json={"inputs": MARKER}, headers=headers)
        metrics = service.client.get("/metrics").text
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)

    assert_error(response, 500, "internal_error", "the cause is in its log")
    assert "RuntimeError" in service.log()
    assert_forgotten(response.text, metrics, service.log())


def assert_forgotten(*outputs: str) -> None:
    for output in outputs:
        assert MARKER not in output
        assert KEY not in output
