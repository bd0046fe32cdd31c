"""Nothing that a client sent is kept or sent back: no text, key, header or query in a log, a metric or an error.

An error may quote the beginning of a field's or a model's name, with what is not printable escaped.
"""

from __future__ import annotations

import json
import signal
import sys
from urllib.parse import quote

import pytest

from tests.support.answers import assert_error
from tests.support.server import SHAPES, ProcessService, command

TEXT, NAME = "xylophonist", "marimbist"  # of texts and values; of fields and models, which errors may quote
KEY, HEADER, QUERY = "hf_key_that_nobody_may_read", "vibraphonist", "glockenspielist"
HEADERS = {
    "Authorization": f"Bearer {KEY}",
    **dict.fromkeys(["User-Agent", "Referer", "Cookie", "X-Forwarded-For", "Accept-Language", "X-Other"], HEADER),
}
ODD = "\x1b[31m\r\n\x00\u202e\u2066\u200b"  # colors, ends lines, reverses
TERMINAL = set("\x00\x1b\r\u202e\u2066\u200b\ud800")  # nothing of ODD may be seen; "\n" ends each line

BODIES = [
    ("/classify", {"inputs": f"{TEXT} film"}, 200),
    ("/classify", {"inputs": f"{TEXT} film", "truncate": True}, 200),
    ("/ner", {"inputs": f"{TEXT} in Paris", "parameters": {"aggregation_strategy": "none"}}, 200),
    ("/fill-mask", {"inputs": f"{TEXT} <mask>"}, 200),
    ("/fill-mask", {"inputs": f"{TEXT} without a gap"}, 422),
    ("/fill-mask", {"inputs": "<mask>", "parameters": {"targets": [TEXT]}}, 422),
    ("/classify", {"inputs": [TEXT, ""]}, 422),
    ("/classify", {"inputs": [{"text": TEXT}]}, 200),
    ("/classify", {"inputs": {"text": TEXT, "text_pair": 1}}, 422),
    ("/classify", {"inputs": "a", "truncate": TEXT}, 422),
    ("/classify", {"inputs": "a", NAME: TEXT}, 422),
    ("/classify", {"inputs": "a", NAME * 9000: TEXT}, 422),
    ("/classify", {"inputs": "a", f"{NAME}{ODD}": TEXT}, 422),
    ("/classify", {"inputs": "a", "parameters": {"function_to_apply": TEXT}}, 422),
    ("/classify", {"inputs": "a", "parameters": {NAME: TEXT}}, 422),
    ("/ner", {"inputs": "a", "parameters": {"ignore_labels": [TEXT, 1]}}, 422),
    ("/classify", {"inputs": TEXT, "model": NAME}, 404),
    ("/classify", {"inputs": TEXT, "model": NAME * 9000}, 404),
    ("/classify", {"inputs": TEXT, "model": f"{NAME}{ODD}"}, 404),
    ("/classify", {"inputs": TEXT, "model": f"tiny-classify:{NAME}{ODD}"}, 404),
    ("/classify", {"inputs": f"{TEXT} " * 500_000}, 413),
    (f"/classify?model={NAME}", {"inputs": TEXT}, 404),
    (f"/models/{NAME}", {"inputs": TEXT}, 404),
    (f"/models/{quote(NAME + ODD)}", {"inputs": TEXT}, 404),
    (f"/models/{NAME * 900}", {"inputs": TEXT}, 404),
    ("/models/tiny-ner", {"inputs": TEXT, "model": NAME}, 422),
    (f"/{TEXT}", {"inputs": TEXT}, 404),
    (f"/{quote(TEXT + ODD)}", {"inputs": TEXT}, 404),
    (f"/classify/{TEXT}", {"inputs": TEXT}, 404),
]
HEADERS_THAT_ARE_WRONG = [
    ({"Content-Type": f"text/{HEADER}"}, 415),
    ({"X-Priority": HEADER}, 422),
    ({"X-Request-Timeout-Ms": HEADER}, 422),
    ({"X-Request-Id": f"{HEADER} {HEADER}"}, 200),  # it cannot be echoed, and is replaced
    ({"X-Request-Id": f"{HEADER}\u00ad".encode()}, 200),
]
RAW_BODIES = [f'{{"inputs": "{TEXT}'.encode(), b'{"inputs": "\\ud800' + TEXT.encode() + b'"}', b"\xff" + TEXT.encode()]
PAGES = ["/", "/models", "/info", "/docs", "/openapi.json", "/health", "/nowhere", f"/{TEXT}", f"/models/{NAME}"]
SHAPES_AND_FORMATS = [((), "json"), (("--http-workers", "2"), "json"), ((), "console")]


@pytest.mark.parametrize(("flags", "form"), SHAPES_AND_FORMATS, ids=[*SHAPES, "console"])
def test_nothing_that_was_sent_is_kept(flags, form, tiny_models, tmp_path):
    flags = ("--log-level", "debug", "--log-format", form, *flags)
    with command(tiny_models, tmp_path / "log", *flags) as service:
        answers = [*asked_bodies(service), *asked_with_headers(service), *asked_pages(service)]
        metrics = service.client.get("/metrics", headers=HEADERS).text
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)

    for answer in answers:
        if answer.status_code >= 400:
            assert_forgotten(answer.text, repr(answer.headers.multi_items()))
            assert len(answer.text) < 1000
            assert not TERMINAL & set(answer.text)
    assert_forgotten(metrics, service.log())
    assert NAME not in metrics + service.log()
    colored = form == "console"  # its own colors
    assert not (TERMINAL - ({"\x1b"} if colored else set())) & set(service.log())
    assert "\x1b[31m" not in service.log().replace("\x1b[31m\x1b[1m", "")
    if not colored:
        assert all(json.loads(line) for line in service.log().splitlines())


def asked_bodies(service: ProcessService):
    query = {"other": QUERY}
    for path, body, status in BODIES:
        answer = service.client.post(path, json=body, headers=HEADERS, params=None if "?" in path else query)
        assert answer.status_code == status, answer.text
        yield answer
    for raw in RAW_BODIES:
        answer = service.client.post("/classify", content=raw, headers=HEADERS, params=query)
        assert answer.status_code == 400
        yield answer


def asked_with_headers(service: ProcessService):
    for wrong, status in HEADERS_THAT_ARE_WRONG:
        answer = service.client.post("/classify", json={"inputs": TEXT}, headers=HEADERS | wrong)
        assert answer.status_code == status, answer.text
        assert HEADER not in answer.headers["x-request-id"]
        yield answer


def asked_pages(service: ProcessService):
    for path in PAGES:
        for method in ("GET", "HEAD", "DELETE"):
            yield service.client.request(method, path, headers=HEADERS, params={"other": QUERY})


FAILING = """
from app.__main__ import main
from app.tasks.classify import Classify, ClassifyRequest

def fail(*given):
    raise RuntimeError(f"cannot do {{given}}")

{method} = fail
main()
"""


@pytest.mark.parametrize("method", ["ClassifyRequest.count_inputs", "Classify.decode"])
def test_a_defect_that_quotes_what_was_sent_is_a_500_that_does_not(tiny_models, tmp_path, method):
    program = [sys.executable, "-c", FAILING.format(method=method)]
    with command(tiny_models, tmp_path / "log", program=program) as service:
        headers = {"Authorization": KEY, "Connection": "close"}
        response = service.client.post("/classify", json={"inputs": TEXT}, headers=headers)
        metrics = service.client.get("/metrics").text
        service.process.send_signal(signal.SIGTERM)
        service.process.wait(30)

    assert_error(response, 500, "internal_error", "the cause is in its log")
    assert "RuntimeError" in service.log()
    assert_forgotten(response.text, metrics, service.log())


def assert_forgotten(*outputs: str) -> None:
    for output in outputs:
        for word in (TEXT, KEY, HEADER, QUERY):
            assert word not in output
