"""Headers of every answer that tell a browser to be careful with it. The server adds them, as bytes made once."""

from __future__ import annotations

HEADERS = (
    ("X-Content-Type-Options", "nosniff"),  # JSON is not run as a script
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),  # the path may have a model's name
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cache-Control", "no-store"),  # no answer to a text is kept on the way or on a disk
)
HSTS = ("Strict-Transport-Security", "max-age=31536000")  # a year


def security_headers(*, is_secure: bool) -> list[tuple[str, str]]:
    """Return the headers; with TLS also the one that keeps a browser from asking without it."""
    return [*HEADERS, HSTS] if is_secure else [*HEADERS]
