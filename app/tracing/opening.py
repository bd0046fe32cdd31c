"""Whether there are traces: where the standard environment of OpenTelemetry says where to send them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from app.tracing.spans import Tracing

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
SPOKEN = "http/protobuf"
MODULES = ("opentelemetry.sdk.trace", "opentelemetry.exporter.otlp.proto.http")

log = structlog.get_logger(__name__)


def open_tracing(process: str | None = None) -> Tracing | None:
    """Return what makes spans and sends them; None where nobody asks for traces, or none can be made.

    `process` is the name of this process where there are several.
    """
    if not is_asked(os.environ) or why_not(os.environ) is not None:
        return None
    from app.tracing.spans import exporting

    return exporting(process)


def is_asked(variables: Mapping[str, str]) -> bool:
    """Whether the environment says where traces go, and does not turn them off."""
    is_off = variables.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return bool(first_of(ENDPOINTS, variables)) and not is_off and variables.get("OTEL_TRACES_EXPORTER") != "none"


def why_not(variables: Mapping[str, str]) -> str | None:
    """Return why traces that are asked for cannot be made, and what to do; None where they can, or nobody asks."""
    if not is_asked(variables):
        return None
    if (protocol := first_of(PROTOCOLS, variables)) not in ("", SPOKEN):
        return f"traces are sent as {SPOKEN} alone, not as {protocol}: set OTEL_EXPORTER_OTLP_PROTOCOL={SPOKEN}"
    if not all(map(is_installed, MODULES)):
        return "OpenTelemetry is not installed: install the extra `tracing`, in the clone: pip install -e '.[tracing]'"
    return None


def warn_without_tracing() -> None:
    """Say why there are no traces where the environment asks for them: a platform may ask it of every service."""
    if (reason := why_not(os.environ)) is not None:
        log.warning("tracing_off", reason=reason)


def first_of(names: tuple[str, ...], variables: Mapping[str, str]) -> str:
    return next((value for name in names if (value := variables.get(name, "").strip())), "")


def is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package around it
        return False
