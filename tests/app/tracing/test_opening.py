"""When there are traces: by OpenTelemetry's standard environment."""

import subprocess
import sys

import pytest

from app.tracing import opening
from app.tracing.opening import is_asked, open_tracing, why_not

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318"}


@pytest.mark.parametrize(
    ("variables", "asked"),
    [
        ({}, False),
        (ENDPOINT, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": " "}, False),
        ({**ENDPOINT, "OTEL_SDK_DISABLED": "True"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "none"}, False),
        ({**ENDPOINT, "OTEL_TRACES_EXPORTER": "otlp"}, True),
    ],
    ids=str,
)
def test_traces_are_made_where_the_environment_says_where_to_send_them(variables, asked):
    assert is_asked(variables) is asked
    assert why_not(variables) is None


def test_a_protocol_that_is_not_spoken_is_said():
    reason = why_not({**ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"})
    assert reason is not None
    assert "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf" in reason


def test_a_missing_package_is_said_with_how_to_install_it(monkeypatch):
    monkeypatch.setattr(opening, "MODULES", ("no_such_package.at_all",))
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector")
    reason = why_not(ENDPOINT)
    assert reason is not None
    assert "pip install -e '.[tracing]'" in reason
    assert open_tracing() is None


def test_nothing_of_the_sdk_is_imported_where_nobody_asks_for_traces():
    code = "import sys, app.processes.worker, app.processes.engine, app.main; from app.tracing.opening import *\n"
    code += "assert open_tracing() is None; assert 'opentelemetry.sdk' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, env={})
