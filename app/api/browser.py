"""What a browser shows: the page to try the models on, and the documentation. Each may run its own scripts alone."""

from __future__ import annotations

import base64
import gzip
import hashlib
import re
from importlib.resources import files

from fastapi import Response

SCRIPT, STYLE = re.compile(r"<script>(.*?)</script>", re.DOTALL), re.compile(r"<style>(.*?)</style>", re.DOTALL)
SCRIPTS = (  # of the page at `/`, in one, in this order
    *("dom.js", "service.js", "tabs.js", "schema.js", "form.js"),
    *("drawing.js", "spans.js", "fills.js", "task.js", "asking.js", "link.js", "snippets.js"),
    *("markdown.js", "models.js", "exposition.js", "sparks.js", "live.js"),
    *("records.js", "annotated.js", "batch.js", "page.js"),
)
ASSETS = {  # of the pages of documentation; app/api/assets/README.md says where they come from
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "redoc.standalone.js": "text/javascript",
}


def index_page() -> Response:
    """Return the page at `/`. It is static: who opens it needs no key to read it, but one to ask a model."""
    html = read("page/index.html").replace("<!-- style.css -->", read("page/style.css"))
    html = html.replace("<!-- scripts -->", "".join(read(f"page/{name}") for name in SCRIPTS))
    html = html.replace("<!-- icon -->", icon())
    return page(html, script=hashes(SCRIPT, html), style=hashes(STYLE, html), images="data:")


def docs_page() -> Response:
    """Return Swagger UI, which shows `openapi.json` from beside the page."""
    html = read("docs.html").replace("<!-- icon -->", icon())
    return page(html, script=f"'self' {hashes(SCRIPT, html)}", style="'self' 'unsafe-inline'", images="'self' data:")


def redoc_page() -> Response:
    """Return ReDoc, which shows the same. Its search runs in a worker that it makes of a script of its own."""
    html = read("redoc.html").replace("<!-- icon -->", icon())
    script = f"'self' {hashes(SCRIPT, html)}"
    return page(html, script=script, style="'unsafe-inline'", images="data:", workers="blob:")


def icon() -> str:
    """Return the icon of the pages as a URL that asks nobody for it."""
    return f"data:image/svg+xml;base64,{base64.b64encode(read('page/icon.svg').encode()).decode()}"


def read(name: str) -> str:
    return (files("app.api") / name).read_text(encoding="utf-8")


def asset(name: str, accepted: str) -> Response:
    """Return a file of `ASSETS`, compressed where the client accepts that."""
    content, headers = (files("app.api") / "assets" / f"{name}.gz").read_bytes(), {"Vary": "Accept-Encoding"}
    if "gzip" in accepted:
        headers["Content-Encoding"] = "gzip"
    else:
        content = gzip.decompress(content)
    return Response(content, media_type=ASSETS[name], headers=headers)


def page(html: str, *, script: str, style: str, images: str = "'none'", workers: str = "'none'") -> Response:
    """Return a page that loads and sends nothing but what is named. Source: Content Security Policy Level 3.

    Pages that show tools of others set styles as they go, which is what `'unsafe-inline'` allows.
    """
    policy = [
        "default-src 'none'",
        f"script-src {script}",
        f"style-src {style}",
        f"img-src {images}",
        f"worker-src {workers}",
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
