"""What of the pages is open, needs a key, or is off; and what a page may load in a browser."""

import asyncio
import base64
import hashlib
import re

import httpx
import pytest

from app.api import status
from app.api.application import Application
from app.service import Service
from app.settings import Settings
from tests.app.backends import ToyBackend

PATHS = {
    "docs": ["/docs", "/openapi.json"],
    "metrics": ["/metrics"],
    "models": ["/models", "/models/toy", "/info", "/classify/info"],
    "page": ["/"],
    "health": ["/health", "/health/live", "/health/ready", "/classify/health"],
}
ALL = [(page, path) for page, paths in PATHS.items() for path in paths]


def entry(name, scope):
    return f'[{name}]\nsha256 = "{hashlib.sha256(name.encode()).hexdigest()}"\nscopes = ["{scope}"]\n'


def ask(path, settings, key=None, method="GET"):
    async def play():
        service = Service(settings, ToyBackend())
        await service.start()
        transport = httpx.ASGITransport(Application(service))
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answer = await client.request(method, path, headers=headers)
        await service.stop()
        return answer

    return asyncio.run(play())


@pytest.fixture(autouse=True)
def short_description(monkeypatch):
    """The toy model has no manifest to describe."""
    monkeypatch.setattr(status, "describe", lambda entry: {"name": entry.name})


@pytest.fixture
def keys(tmp_path):
    path = tmp_path / "keys.toml"
    path.write_text(entry("predicting", "predict") + entry("scraping", "metrics"))
    return path


@pytest.mark.parametrize(("page", "path"), ALL)
def test_all_is_open_without_keys(page, path):
    assert ask(path, Settings()).status_code == 200


@pytest.mark.parametrize(("page", "path"), ALL)
def test_with_keys_each_page_asks_for_what_it_needs(page, path, keys):
    settings = Settings(api_keys_file=keys)
    asked = page in ("docs", "metrics", "models")
    assert ask(path, settings).status_code == (401 if asked else 200)
    assert ask(path, settings, "predicting").status_code == (403 if page == "metrics" else 200)
    assert ask(path, settings, "scraping").status_code == 200


@pytest.mark.parametrize(("page", "path"), ALL[:-4])
def test_a_page_can_be_opened_and_switched_off(page, path, keys):
    assert ask(path, Settings(api_keys_file=keys, access={page: "open"})).status_code == 200
    for settings in (Settings(access={page: "off"}), Settings(api_keys_file=keys, access={page: "off"})):
        refused = ask(path, settings, "scraping")
        assert refused.status_code == (405 if path in ("/", "/models/toy") else 404)
        if refused.status_code == 405:
            assert refused.headers["allow"] == "POST"
    for other, another in ALL:
        if other != page:
            assert ask(another, Settings(access={page: "off"})).status_code == 200


@pytest.mark.parametrize(("page", "path"), ALL)
def test_what_can_be_got_has_a_head(page, path):
    assert ask(path, Settings(), method="HEAD").status_code == 200


@pytest.mark.parametrize(("page", "path"), ALL)
@pytest.mark.parametrize("method", ["PUT", "TRACE", "OPTIONS"])
def test_a_method_that_is_not_possible_says_which_are(page, path, method):
    refused = ask(path, Settings(), method=method)
    allowed = "GET, HEAD, POST" if path in ("/", "/models/toy") else "GET, HEAD"
    assert (refused.status_code, refused.headers["allow"]) == (405, allowed)


# --- In a browser -----------------------------------------------------------------------------------------


def policy_of(answer):
    directives = [part.split() for part in answer.headers["content-security-policy"].split(";")]
    return {name: sources for name, *sources in directives}


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_runs_its_own_scripts_alone(path):
    answer = ask(path, Settings())
    policy = policy_of(answer)
    inline = re.findall(r"<script>(.*?)</script>", answer.text, re.S)
    assert inline
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy["script-src"]
    assert "'unsafe-inline'" not in policy["script-src"]
    assert "'unsafe-eval'" not in policy["script-src"]
    assert (
        policy["default-src"] == policy["base-uri"] == policy["form-action"] == policy["frame-ancestors"] == ["'none'"]
    )
    assert policy["connect-src"] == ["'self'"]


def test_the_page_has_no_script_or_style_that_its_policy_forbids():
    html = ask("/", Settings()).text
    for harmless in ('<link rel="icon" href="data:', "http://www.w3.org/2000/svg"):  # the name of a namespace
        assert html.count(harmless) == 1
        html = html.replace(harmless, "")
    assert not re.search(r"<[^>]+\s(on\w+|style)\s*=|javascript:|<script\s|<link|<style\s|https?://", html)
