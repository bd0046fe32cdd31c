"""What a browser shows: the page to try the models on, and the documentation. Each may run its own scripts alone."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files

from fastapi import Response
from fastapi.openapi.docs import get_swagger_ui_html

SCRIPT, STYLE = re.compile(r"<script>(.*?)</script>", re.DOTALL), re.compile(r"<style>(.*?)</style>", re.DOTALL)
SWAGGER = "https://cdn.jsdelivr.net"  # where FastAPI's page of documentation takes Swagger UI from
SWAGGER_IMAGES = "https://fastapi.tiangolo.com data:"


def index_page() -> Response:
    """Return the page at `/`. It is static: who opens it needs no key to read it, but one to ask a model."""
    html = (files("app.api") / "index.html").read_text(encoding="utf-8")
    return page(html, script=hashes(SCRIPT, html), style=hashes(STYLE, html))


def docs_page(title: str) -> Response:
    """Return Swagger UI, which shows `openapi.json` from beside the page."""
    html = bytes(get_swagger_ui_html(openapi_url="openapi.json", title=title).body).decode()
    return page(
        html,
        script=f"{SWAGGER} {hashes(SCRIPT, html)}",
        style=f"{SWAGGER} 'unsafe-inline'",  # Swagger UI sets styles as it goes
        images=SWAGGER_IMAGES,
    )


def page(html: str, *, script: str, style: str, images: str = "'none'") -> Response:
    """Return a page that loads and sends nothing but what is named. Source: Content Security Policy Level 3."""
    policy = [
        "default-src 'none'",
        f"script-src {script}",
        f"style-src {style}",
        f"img-src {images}",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    return Response(html, media_type="text/html", headers={"Content-Security-Policy": "; ".join(policy)})


def hashes(inline: re.Pattern[str], html: str) -> str:
    """Return the sources that let the inline scripts or styles of a page run, whose content is known."""
    digests = [hashlib.sha256(content.encode()).digest() for content in inline.findall(html)]
    return " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
