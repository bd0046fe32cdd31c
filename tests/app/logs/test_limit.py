"""Of lines that are alike, ten a second are written; of the rest, the number."""

import logging

import pytest
import structlog

from app.logs import limit
from app.logs.limit import LINES_PER_S, MOST_KINDS, OTHERS, LineLimit


@pytest.fixture
def clock(monkeypatch):
    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    made = Clock()
    monkeypatch.setattr(limit, "time", made)
    return made


@pytest.fixture
def reported():
    return []


@pytest.fixture
def limited(clock, reported):
    return LineLimit(lambda *given: reported.append(given))


def admitted(limited, kinds):
    return sum(limited.admits(kind) for kind in kinds)


def test_of_each_kind_ten_lines_a_second_and_then_a_number(limited, clock, reported):
    kinds = [("request_failed", code) for code in ("unauthorized", "not_found")]
    assert admitted(limited, kinds * 5000) == 2 * LINES_PER_S
    assert reported == []
    clock.now += 1
    assert admitted(limited, kinds) == 2
    assert reported == [("request_failed", code, 5000 - LINES_PER_S) for _, code in kinds]


def test_what_is_under_the_limit_is_not_reported(limited, clock, reported):
    for _ in range(5):
        admitted(limited, [("request_failed", "")] * LINES_PER_S)
        clock.now += 1
    limited.end_second()
    assert reported == []
    assert not limited.is_counting


def test_kinds_without_end_are_one_kind(limited, reported):
    kinds = [("request_failed", str(number)) for number in range(MOST_KINDS + 500)]
    assert admitted(limited, kinds) == MOST_KINDS + LINES_PER_S
    limited.end_second()
    assert reported == [(*OTHERS, 500 - LINES_PER_S)]


@pytest.mark.parametrize(
    ("one", "other", "are_alike"),
    [
        ({"event": "request_failed", "code": "a", "model": "x"}, {"event": "request_failed", "code": "a"}, True),
        ({"event": "request_failed", "code": "a"}, {"event": "request_failed", "code": "b"}, False),
        ({"event": "bundle_refused", "model": "a"}, {"event": "bundle_refused", "model": "b"}, False),
        ({"event": "process_died", "name": "worker-0"}, {"event": "process_died", "name": "worker-1"}, False),
        ({"event": "started", "port": 1}, {"event": "started", "port": 2}, True),
    ],
)
def test_events_are_alike_by_what_they_are_about(limited, one, other, are_alike):
    for _ in range(LINES_PER_S):
        limited.of_event(None, "info", dict(one))
    if are_alike:
        with pytest.raises(structlog.DropEvent):
            limited.of_event(None, "info", dict(other))
    else:
        assert limited.of_event(None, "info", dict(other)) == other


def test_records_of_libraries_are_limited_by_their_message(limited):
    record = logging.makeLogRecord({"name": "uvicorn.error", "msg": "Invalid HTTP request received."})
    assert sum(limited.of_record(record) for _ in range(500)) == LINES_PER_S
    assert limited.of_record(logging.makeLogRecord({"name": "uvicorn.error", "msg": "Shutting down"}))


def test_a_line_that_would_be_left_out_need_not_be_made(limited, clock, reported):
    written = 0
    for _ in range(1000):
        if not limited.leaves_out("request_failed", "not_found"):
            written += limited.admits(("request_failed", "not_found"))
    assert written == LINES_PER_S
    clock.now += 1
    assert not limited.leaves_out("request_failed", "not_found")
    limited.end_second()
    assert reported == [("request_failed", "not_found", 1000 - LINES_PER_S)]
