"""Builds the service in one process: HTTP, the engine and its models."""

from __future__ import annotations

from pathlib import Path

from app.api.application import Application
from app.service import Service
from app.settings import Settings
from app.tracing.opening import open_tracing


def create_app(settings: Settings, table: Path | None = None) -> Application:
    """Build the service. Models load in the background once it starts; until then it answers 503.

    `table` says where the models are that were named at the start; see `app.serving.places`.

    Raises `KeyFileError` when the file of keys cannot be used, `SessionError` when CUDA is asked for and the installed
    onnxruntime has none.
    """
    return Application(Service(settings, table=table), tracing=open_tracing())
