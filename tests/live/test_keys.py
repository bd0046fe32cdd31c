"""Where keys are configured, who has none is a 401."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.answers import ask, assert_error
from tests.support.server import SHAPES, SeveralService, ThreadService, serve_as

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


@pytest.mark.parametrize("path", ["/health/live", "/health/ready", "/ner/health", "/metrics", "/", "/openapi.json"])
def test_health_and_metrics_ask_for_no_key(locked, path):
    assert locked.client.get(path).status_code == 200


def test_a_token_is_ignored_where_no_key_is_configured(tiny):
    assert ask(tiny, headers={"Authorization": "Bearer hf_saved_on_this_machine"}).status_code == 200
