"""Pages for a browser: they load and send nothing but what the service itself has."""

from __future__ import annotations

import gzip
import hashlib
import re
from importlib.resources import files

import pytest

from app.api.browser import ASSETS, asset, docs_page, index_page, redoc_page
from tests.app.api.test_application import ask

PAGES = {"index": index_page, "docs": docs_page, "redoc": redoc_page}
FOLDER = files("app.api") / "assets"


@pytest.mark.parametrize("name", PAGES)
def test_a_page_names_no_other_host_and_may_ask_none(name):
    response = PAGES[name]()
    html, policy = bytes(response.body).decode(), response.headers["content-security-policy"]
    assert not re.search(r"(src|href|url\()[=\"']*(https?:)?//", html)
    assert not re.search(r'(src|href)="/', html)  # it may be shown behind a prefix
    assert "http" not in policy
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    scripts = re.search(r"script-src ([^;]*)", policy)[1]
    assert "unsafe" not in scripts
    assert scripts.count("sha256-") == len(re.findall(r"<script>", html))


@pytest.mark.parametrize("name", ["docs", "redoc"])
def test_what_a_page_of_documentation_loads_is_there(name):
    html = bytes(PAGES[name]().body).decode()
    loaded = re.findall(r'(?:src|href)="(docs/[^"]*)"', html)
    assert loaded
    for path in loaded:
        status, headers, content, _ = ask("GET", f"/{path}", headers=[(b"accept-encoding", b"br, gzip")])
        assert (status, headers["content-encoding"], headers["vary"]) == (200, "gzip", "Accept-Encoding")
        assert headers["content-type"].partition(";")[0] == ASSETS[path.removeprefix("docs/")]
        plain = ask("GET", f"/{path}")
        assert "content-encoding" not in plain[1]
        assert plain[2] == gzip.decompress(content)


@pytest.mark.parametrize("path", ["/docs/SHA256SUMS", "/docs/..%2fpages.py", "/docs/docs.html", "/docs/a/b"])
def test_no_other_file_is_shown(path):
    assert ask("GET", path)[0] == 404


def test_documentation_that_is_off_shows_no_files():
    settings = {"access": {"docs": "off"}}
    for path in ("/docs", "/redoc", "/openapi.json", "/docs/swagger-ui.css"):
        assert ask("GET", path, settings=settings)[0] == 404


def test_the_files_are_those_that_were_published():
    digests = dict(reversed(line.split()) for line in (FOLDER / "SHA256SUMS").read_text().splitlines())
    assert digests.keys() == ASSETS.keys()
    for name, digest in digests.items():
        assert hashlib.sha256(bytes(asset(name, "").body)).hexdigest() == digest
        assert (FOLDER / f"LICENSE.{'redoc' if 'redoc' in name else 'swagger-ui'}").is_file()
