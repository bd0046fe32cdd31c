"""What OpenAI's clients read otherwise than this service's own: errors, and the list of models.

Source: the package openai 3.57, which shows `error.message` of an error's body and nothing where `error` is a text.
"""

from __future__ import annotations

from typing import Any

from app.errors import ServeError

PREFIX = "/v1/"  # of the paths of OpenAI's API
VERTEX = "/v1/endpoints/"


def is_openai(path: str) -> bool:
    """Whether a path belongs to OpenAI's API; those of Vertex AI's endpoints begin alike."""
    return path.startswith(PREFIX) and not path.startswith(VERTEX)


def error_of(error: ServeError) -> dict[str, Any]:
    """Return what `error` is in the body of an error."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {"message": error.message, "type": kind, "param": None, "code": error.code}


def about_model(name: str) -> dict[str, Any]:
    """Describe a model; when it was made is not known here."""
    return {"id": name, "object": "model", "created": 0, "owned_by": "roberta-serve"}
