"""Where keys are configured, who has none is a 401."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.answers import ask, assert_error
from tests.support.server import ANSWER_S, SHAPES, SeveralService, ThreadService, held, serve_as, until

PREDICTIONS = ["/classify", "/ner", "/fill-mask", "/", "/models/tiny-classify"]


@pytest.fixture(scope="module", params=SHAPES)
def locked(request, tiny_models, tmp_path_factory) -> Iterator[ThreadService | SeveralService]:
    """A service that asks for a key."""
    folder = tmp_path_factory.mktemp("locked")
    with serve_as(request.param, tiny_models, folder, api_keys=["first-key", "second-key"]) as service:
        yield service


@pytest.mark.parametrize(
    "given", [None, "", "Bearer", "Bearer wrong", "Basic first-key", "first-key", "Bearer first-key second-key"]
)
@pytest.mark.parametrize(("method", "path"), [("POST", path) for path in PREDICTIONS] + [("GET", "/models")])
def test_a_request_without_a_configured_key_is_a_401(locked, method, path, given):
    headers = {} if given is None else {"Authorization": given}

    response = locked.client.request(method, path, headers=headers, content=b"not even JSON")

    assert_error(response, 401, "unauthorized", "Authorization: Bearer")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_key_that_is_not_ascii_is_a_401(locked):
    assert_error(ask(locked, headers={b"Authorization": "Bearer schlüssel".encode()}), 401, "unauthorized")


@pytest.mark.parametrize("given", ["Bearer first-key", "bearer second-key"])
def test_a_configured_key_opens(locked, given):
    assert ask(locked, headers={"Authorization": given}).status_code == 200
    assert locked.client.get("/models", headers={"Authorization": given}).status_code == 200


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/ner/health", "/"])
def test_health_and_the_page_ask_for_no_key(locked, path):
    assert locked.client.get(path).status_code == 200


@pytest.mark.parametrize(
    "path", ["/metrics", "/models", "/models/tiny-ner", "/info", "/ner/info", "/docs", "/openapi.json"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_all_else_asks_for_a_key(locked, method, path):
    refused = locked.client.request(method, path)
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
    assert locked.client.request(method, path, headers={"Authorization": "Bearer first-key"}).status_code == 200


def test_a_token_is_ignored_where_no_key_is_configured(tiny):
    assert ask(tiny, headers={"Authorization": "Bearer hf_saved_on_this_machine"}).status_code == 200


# --- A file of keys -----------------------------------------------------------------------------------------


@pytest.fixture(params=SHAPES)
def kept(request, tiny_models, tmp_path) -> Iterator[tuple[ThreadService | SeveralService, Path]]:
    """A service that follows a file of keys, and the file."""
    path = tmp_path / "keys.toml"
    path.write_text(ENTRIES, encoding="utf-8")
    with serve_as(request.param, tiny_models, tmp_path, api_keys_file=str(path), access={"metrics": "open"}) as service:
        yield service, path


def entry(name: str, *fields: str) -> str:
    return "\n".join([f"[{name}]", f'sha256 = "{hashlib.sha256(name.encode()).hexdigest()}"', *fields, ""])


ENTRIES = (
    entry("reader")
    + entry("scraper", 'scopes = ["metrics"]')
    + entry("slow", "requests_per_s = 0.001")
    + entry("single", "concurrent_requests = 1")
)


def asked_anew(service: ThreadService | SeveralService, key: str) -> httpx.Response:
    """Ask on a connection of its own, which any of the workers may accept."""
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.post(f"{service.url}/classify", json={"inputs": "a"}, headers=headers, timeout=ANSWER_S)


def test_scopes_limits_and_rotation(kept):
    service, path = kept
    assert asked_anew(service, "reader").status_code == 200
    assert_error(asked_anew(service, "scraper"), 403, "forbidden", "`predict`")

    answers = [asked_anew(service, "slow") for _ in range(8)]
    assert sorted(answer.status_code for answer in answers) == [200, *[429] * 7]
    refused = answers[-1]
    assert_error(refused, 429, "rate_limited", "0.001 requests per second")
    assert 980 <= int(refused.headers["retry-after"]) <= 1000

    with held(service, "tiny-classify") as gate, ThreadPoolExecutor() as pool:
        first = pool.submit(asked_anew, service, "single")
        gate.wait_for_batch()
        for _ in range(6):
            assert_error(asked_anew(service, "single"), 429, "rate_limited", "1 requests in hand")
        gate.opened.set()
        assert first.result().status_code == 200
    assert asked_anew(service, "single").status_code == 200

    path.write_text(entry("next"), encoding="utf-8")
    until(lambda: asked_anew(service, "next").status_code == 200)
    until(lambda: {asked_anew(service, "reader").status_code for _ in range(8)} == {401})
    path.write_text("[", encoding="utf-8")
    if isinstance(service, SeveralService):
        until(lambda: asked_anew(service, "next").status_code == 200 and "api_keys_kept" in service.log())
    assert asked_anew(service, "next").status_code == 200


def test_keys_are_counted_by_name(kept):
    service, _ = kept
    for key in ("reader", "reader", "slow", "slow", "wrong"):
        asked_anew(service, key)
    assert service.metric("roberta_key_requests_total", key="reader") == 2
    assert service.metric("roberta_key_requests_total", key="slow") == 2
    assert service.metric("roberta_key_limited_total", key="slow") == 1
    assert service.metric("roberta_key_limited_total", key="single") == 0
