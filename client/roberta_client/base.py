"""What both clients know: where the service is, who asks, and how lists are cut."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypedDict

from roberta_client.asking import JSON, Post
from roberta_client.version import __version__


class Options(TypedDict, total=False):
    """What may be said to both clients, beside the URL."""

    key: str | None  # where the service asks for one
    timeout_s: float  # for each chunk, retries included
    chunk: int  # most texts in one request
    chunk_characters: int  # most characters of them
    in_flight: int  # requests at a time of one call
    priority: int  # -10 to 10; higher goes first


class BaseClient:
    """The options of both clients, as the client uses them."""

    def __init__(
        self,
        url: str = "http://localhost:8000",
        *,
        key: str | None = None,
        timeout_s: float = 60.0,
        chunk: int = 64,
        chunk_characters: int = 100_000,
        in_flight: int = 4,
        priority: int = 0,
    ) -> None:
        """`url`: of the service, with its prefix where a proxy gives it one; the rest: see `Options`."""
        self.url, self.timeout_s, self.in_flight = url.rstrip("/"), timeout_s, in_flight
        self.chunk, self.chunk_characters = chunk, chunk_characters
        self.headers = {"User-Agent": f"roberta-client/{__version__}", "X-Priority": str(priority)}
        if key is not None:
            self.headers["Authorization"] = f"Bearer {key}"

    def chunks(self, texts: Iterable[JSON]) -> Iterator[list[JSON]]:
        """Cut a list. A text, or an object, is a list of one."""
        chunk: list[JSON] = []
        characters = 0
        for text in [texts] if isinstance(texts, str | Mapping) else texts:
            size = len(str(text))
            if chunk and (len(chunk) == self.chunk or characters + size > self.chunk_characters):
                yield chunk
                chunk, characters = [], 0
            chunk.append(text)
            characters += size
        if chunk:
            yield chunk

    def sent(self, post: Post) -> dict[str, Any]:
        """Return what httpx is called with. The service is told how long its answer is waited for."""
        headers = {**self.headers, "X-Request-Timeout-Ms": str(max(1, round(post.timeout_s * 1000)))}
        return {"url": self.url + post.path, "json": post.body, "headers": headers, "timeout": post.timeout_s + 1}
