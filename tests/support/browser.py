"""Headless Chromium, and the page at `/` in it before a service whose documents and answers a test writes."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright
from pydantic import TypeAdapter

from app.api.browser import index_page
from app.api.openapi import REF

ORIGIN = "http://page.test"
PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the machine's own Chromium; skip the test where there is none."""
    program = next(filter(None, map(shutil.which, PROGRAMS)), None)
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Reply:
    """What the written service answers."""

    body: Any
    status: int = 200  # of a 502, the body is no JSON
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return str(self.body) if self.status == 502 else json.dumps(self.body)


@dataclass
class Written:
    """A service as a test writes it: `answer` is what its routes say, `asked` what they were asked, with the key."""

    requests: dict[str, tuple[Any, dict[str, Any]]] = field(default_factory=dict)  # type and example, by route
    models: list[dict[str, Any]] = field(default_factory=list)
    answer: Callable[[str, dict[str, Any]], Any] = lambda route, body: []
    key: str | None = None
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    answers: dict[str, Any] = field(default_factory=dict)  # the types of the answers, by route, where they matter
    listing: Reply | None = None  # in place of the list of models
    is_away: bool = False
    held: list[Route] | None = None  # a list holds what is asked for
    texts: dict[str, str] = field(default_factory=dict)  # pages that are plain text, by path
    opened_urls: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        schemas: dict[str, Any] = {}
        paths = {}
        for route, (kind, example) in self.requests.items():
            schema = TypeAdapter(kind).json_schema(ref_template=REF)
            schemas |= schema.pop("$defs", {})
            content = {"application/json": {"schema": schema | {"examples": [example]}}}
            operation = {"tags": ["predictions"], "summary": route.capitalize(), "requestBody": {"content": content}}
            if route in self.answers:
                described = TypeAdapter(self.answers[route]).json_schema(ref_template=REF, mode="serialization")
                schemas |= described.pop("$defs", {})
                operation["responses"] = {"200": {"content": {"application/json": {"schema": described}}}}
            paths[f"/{route}"] = {"post": operation}
        return {"paths": paths, "components": {"schemas": schemas}}

    def listed(self) -> dict[str, Any]:
        models = self.models or [
            {"name": route, "state": "ready", "route": f"/{route}", "routes": [f"/{route}"]} for route in self.requests
        ]
        first = {
            route: next((m["name"] for m in models if f"/{route}" in m.get("routes", ())), "")
            for route in self.requests
        }
        return {"models": models, "defaults": first, "problems": []}

    def handle(self, route: Route) -> None:
        path = urlsplit(route.request.url).path.strip("/")
        self.opened_urls.append(route.request.url)
        if self.is_away:
            route.abort()
        elif path == "":
            page = index_page()
            route.fulfill(body=bytes(page.body).decode(), headers=dict(page.headers))
        elif self.key is not None and route.request.headers.get("authorization") != f"Bearer {self.key}":
            self.reply(route, Reply({"error": "send a key", "error_type": "unauthorized"}, 401))
        elif path in ("openapi.json", "models"):
            self.reply(route, self.document() if path == "openapi.json" else self.listing or self.listed())
        elif path in self.texts:
            route.fulfill(body=self.texts[path], content_type="text/plain; charset=utf-8")
        elif path in self.requests:
            self.predict(route, path)
        else:
            self.reply(route, Reply({"error": f"there is nothing at {path}", "error_type": "not_found"}, 404))

    def predict(self, route: Route, path: str) -> None:
        body = json.loads(route.request.post_data or "")
        self.asked.append((path, body))
        if self.held is not None:
            self.held.append(route)
        else:
            self.reply(route, self.answer(path, body))

    def reply(self, route: Route, answer: Any) -> None:
        reply = answer if isinstance(answer, Reply) else Reply(answer)
        headers = {"Content-Type": "application/json"} | reply.headers
        route.fulfill(status=reply.status, headers=headers, body=reply.text)


@contextmanager
def opened(browser: Browser, url: str, written: Written | None = None, **context: Any) -> Iterator[Page]:
    """Open a page; what it logs as an error, a violation of its policy among them, fails the test."""
    with browser.new_context(**context) as tab:
        page = tab.new_page()
        page.set_default_timeout(30_000)
        wrong: list[str] = []
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda line: wrong.append(line.text) if is_wrong(line.type, line.text) else None)
        if written is not None:
            page.route("**/*", written.handle)
        page.goto(url)
        yield page
        assert wrong == []


def is_wrong(kind: str, text: str) -> bool:
    """Whether a line of the console is an error of the page's own, not one of what it has asked for."""
    return kind == "error" and "Failed to load resource" not in text


AXE = Path(sys.prefix) / "clients" / "node_modules" / "axe-core" / "axe.min.js"  # `make clients` puts it there


def problems(page: Page, scheme: str = "light") -> list[tuple[str, str]]:
    """Return what axe finds: rules, each with the element that breaks it. The page was opened without CSP.

    In the dark, only colors are others.
    """
    if not AXE.is_file():
        pytest.skip("axe-core is not installed: make clients")
    if page.evaluate("typeof axe") == "undefined":
        page.add_script_tag(path=AXE)
    found = page.evaluate("axe.run()" if scheme == "light" else "axe.run({ runOnly: ['color-contrast'] })")
    return [(each["id"], node["html"]) for each in found["violations"] for node in each["nodes"]]


def ask(page: Page) -> None:
    """Ask, and wait for what comes."""
    page.click("#ask")
    page.wait_for_selector("#result:not([hidden])")
    page.wait_for_selector("#ask:enabled")
