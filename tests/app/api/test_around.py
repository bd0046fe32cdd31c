"""Pages of other origins, and proxies that are believed: both off unless the settings name them."""

from __future__ import annotations

import asyncio
import json

import pytest
from pydantic import ValidationError

from app.api.application import Application
from app.api.around import with_surroundings
from app.service import Service
from app.settings import Settings
from tests.app.backends import ToyBackend

ORIGIN = "https://app.example"
PREFLIGHT = {"origin": ORIGIN, "access-control-request-method": "POST"}


def ask(settings, method="POST", path="/classify", client=("10.0.0.9", 5), **headers):
    """Return the status, the headers and the body of one request."""
    sent = []

    async def receive():
        return {"type": "http.request", "body": b'{"inputs": "a"}'}

    async def send(message):
        sent.append(message)

    async def play():
        service = Service(Settings(**settings), ToyBackend())
        await service.start()
        scope = {
            **{"type": "http", "method": method, "path": path, "query_string": b"", "scheme": "http"},
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()],
            "client": client,
            "server": ("test", 80),
        }
        try:
            await with_surroundings(Application(service), service.settings)(scope, receive, send)
        finally:
            await service.stop()

    asyncio.run(play())
    start, *rest = sent
    return start["status"], {n.decode(): v.decode() for n, v in start["headers"]}, b"".join(m["body"] for m in rest)


# --- Other origins ----------------------------------------------------------------------------------------


def test_without_the_setting_no_page_of_another_origin_may_ask():
    service = Service(Settings(), ToyBackend())
    app = Application(service)
    assert with_surroundings(app, service.settings) is app
    status, headers, _ = ask({}, "OPTIONS", **PREFLIGHT)
    assert status == 405
    assert not [name for name in headers if name.startswith("access-control")]


@pytest.mark.parametrize("keys", [[], ["a-key"]], ids=["open", "with keys"])
@pytest.mark.parametrize("path", ["/classify", "/models/toy", "/", "/models"])
def test_a_preflight_is_answered_without_a_key(path, keys):
    settings = {"cors_origins": [ORIGIN], "api_keys": keys}
    wanted = "authorization, content-type, x-request-id, x-priority, x-request-timeout-ms, content-encoding"
    status, headers, _ = ask(settings, "OPTIONS", path, **PREFLIGHT, access_control_request_headers=wanted)
    assert (status, headers["access-control-allow-origin"]) == (200, ORIGIN)
    assert "POST" in headers["access-control-allow-methods"]
    assert {name.strip() for name in wanted.split(",")} <= {
        name.strip().lower() for name in headers["access-control-allow-headers"].split(",")
    }


@pytest.mark.parametrize(("settings", "status"), [({}, 200), ({"api_keys": ["a-key"]}, 401)])
def test_answers_and_errors_may_be_read_with_their_headers(settings, status):
    answered, headers, _ = ask({"cors_origins": [ORIGIN], **settings}, origin=ORIGIN)
    assert (answered, headers["access-control-allow-origin"], headers["vary"]) == (status, ORIGIN, "Origin")
    exposed = {name.strip() for name in headers["access-control-expose-headers"].split(",")}
    assert exposed == {"Retry-After", "Server-Timing", "Traceresponse", "X-Model", "X-Request-Id"}
    assert "access-control-allow-credentials" not in headers


def test_another_origin_is_not_let_in():
    for origin in ("https://evil.example", "null", f"{ORIGIN}.evil.example"):
        assert "access-control-allow-origin" not in ask({"cors_origins": [ORIGIN]}, origin=origin)[1]
    assert ask({"cors_origins": [ORIGIN]}, "OPTIONS", **{**PREFLIGHT, "origin": "https://evil.example"})[0] == 400
    assert ask({"cors_origins": ["*"]}, origin="https://any.example")[1]["access-control-allow-origin"] == "*"


# --- Proxies ----------------------------------------------------------------------------------------------

SAID = {"x_forwarded_proto": "https", "x_forwarded_host": "nlp.example", "x_forwarded_prefix": "/nlp"}


def servers(settings, **given):
    _, _, content = ask(settings, "GET", given.pop("path", "/openapi.json"), **given)
    return json.loads(content).get("servers")


@pytest.mark.parametrize(
    ("trusted", "client", "is_believed"),
    [
        ([], ("10.0.0.9", 5), False),
        (["10.0.0.9"], ("10.0.0.9", 5), True),
        (["10.0.0.0/8", "::1"], ("10.0.0.9", 5), True),
        (["10.0.0.8"], ("10.0.0.9", 5), False),
        (["10.0.0.8"], None, False),  # a Unix socket
        (["*"], None, True),
    ],
)
def test_only_a_trusted_proxy_is_believed(trusted, client, is_believed):
    found = servers({"forwarded_allow_ips": trusted}, client=client, **SAID)
    assert found == ([{"url": "https://nlp.example/nlp"}] if is_believed else None)


def test_a_prefix_that_the_proxy_says_may_be_left_on_or_taken_off():
    settings = {"forwarded_allow_ips": ["*"]}
    for path in ("/classify", "/nlp/classify", "/nlp/classify/"):
        assert ask(settings, path=path, **SAID)[0] == 200
        assert ask({}, path=path, **SAID)[0] == (200 if path == "/classify" else 404)


@pytest.mark.parametrize(
    "said",
    [
        {"x_forwarded_prefix": "//evil.example"},
        {"x_forwarded_prefix": "javascript:alert(1)"},
        {"x_forwarded_prefix": "/"},
        {"x_forwarded_host": "evil.example/path?"},
        {"x_forwarded_host": 'a"b'},
    ],
    ids=str,
)
def test_what_is_no_prefix_and_no_host_is_ignored(said):
    assert servers({"forwarded_allow_ips": ["*"]}, **said) is None


def test_of_several_proxies_the_nearest_counts():
    said = {"x_forwarded_host": "evil.example, nlp.example:8443", "x_forwarded_proto": "https"}
    assert servers({"forwarded_allow_ips": ["*"]}, **said) == [{"url": "https://nlp.example:8443"}]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("root_path", "nlp"),
        ("root_path", "/a b"),
        ("root_path", "https://x/y"),
        ("root_path", "//x"),
        ("forwarded_allow_ips", ["proxy"]),
        ("forwarded_allow_ips", ["10.0.0.1/8"]),
        ("cors_origins", ["app.example"]),
        ("cors_origins", ["https://app.example/path"]),
        ("uds_mode", "888"),
        ("uds_mode", "rw-rw-rw-"),
    ],
)
def test_a_setting_that_would_not_do_what_it_seems_to_is_refused(name, value):
    with pytest.raises(ValidationError):
        Settings(**{name: value})


def test_a_slash_at_the_end_of_a_prefix_or_an_origin_does_not_matter():
    settings = Settings(root_path="/a/", cors_origins=[f"{ORIGIN}/"])
    assert (settings.root_path, settings.cors_origins) == ("/a", [ORIGIN])
    assert Settings(root_path="/").root_path == ""
