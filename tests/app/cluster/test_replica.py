"""A replica does around the service what the command does: its last spans are sent, its dropped log lines counted."""

import asyncio

import pytest
from structlog.testing import capture_logs

from app.tracing.opening import PROTOCOLS

pytest.importorskip("ray", reason="Ray is not installed: pip install 'roberta-serve[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of Ray's own code


class Spans:
    """Tracing of which it is known whether it was closed."""

    is_closed = False

    def close(self):
        self.is_closed = True


@pytest.fixture
def replica(monkeypatch):
    """Return the module, without logs of the whole process."""
    from app.cluster import replica

    monkeypatch.setattr(replica, "configure_logs", lambda settings: None)
    return replica


def class_of(replica):
    """Return the class without Ray around it; only Ray awaits its `__del__`, which is called `end` here."""
    (original, *_) = replica.Replica.func_or_class.__bases__
    return type("Here", (original,), {"end": original.__del__, "__del__": lambda self: None})


def started_and_ended(replica, **settings):
    async def live():
        kind = class_of(replica)
        one = kind.__new__(kind)
        try:
            await one.__init__(**settings)
        finally:
            await one.end()

    asyncio.run(live())


def test_the_last_spans_are_sent_and_dropped_lines_counted(replica, monkeypatch, tiny_models):
    spans, counted = Spans(), []
    monkeypatch.setattr(replica, "open_tracing", lambda: spans)
    monkeypatch.setattr(replica, "count_dropped_lines", counted.append, raising=False)
    started_and_ended(replica, models=tiny_models, device="cpu")
    assert spans.is_closed
    assert len(counted) == 1


def test_it_says_why_there_are_no_traces_and_ends_where_the_start_fails(replica, monkeypatch, tmp_path):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv(PROTOCOLS[0], "grpc")
    with capture_logs() as lines, pytest.raises(Exception, match="model"):
        started_and_ended(replica, models=tmp_path, device="cpu")
    assert lines[0]["event"] == "tracing_off"
