"""Why there is no answer."""

from __future__ import annotations

from collections.abc import Mapping

import httpx


class ClientError(Exception):
    """Why there is no answer, in a sentence."""


class DeadlineError(ClientError):
    """No answer came within `timeout_s`, retries included."""


class RefusedError(ClientError):
    """The service refused a request: with an HTTP `status`, a `code` (its `error_type`), and a `request_id`."""

    def __init__(self, response: httpx.Response) -> None:
        try:
            body = response.json()
        except ValueError:  # of a proxy
            body = None
        said: Mapping[str, object] = body if isinstance(body, dict) else {}
        super().__init__(str(said.get("error", f"HTTP status {response.status_code}")))
        self.status, self.code = response.status_code, said.get("error_type")
        self.request_id: str | None = response.headers.get("x-request-id")
